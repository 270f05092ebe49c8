"""`fewview batch`: many scenes, each in a process of its own, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial


def parse(argv: Sequence[str]) -> Callable[[], int]:
    """`batch status` is told from `batch SCENES` here, so that it answers without loading the pipeline."""
    if argv[:1] == ["status"]:
        from fewview.apps.batches import status

        return partial(status.main, status.parse(argv[1:]))
    from fewview.apps.batches import command

    return partial(command.main, command.parse(argv))


def main(chosen: Callable[[], int]) -> int:
    return chosen()
