"""The tabs at the right: each builds its components and fills them from the results of a run."""

from __future__ import annotations

from typing import Any, Protocol

from gradio.components import Component

from fewview.apps.results import Results


class Tab(Protocol):
    """One tab."""

    outputs: list[Component]

    @property
    def stages(self) -> tuple[str, ...]:
        """Those whose artifacts it shows: it is filled again when one of them was made anew."""

    def fill(self, results: Results | None) -> list[Any]:
        """A value for each of `outputs`; of no run where `results` is None."""
