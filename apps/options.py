"""Options that several subcommands share: presets, stages and the configuration of each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from apps.pipeline import PRESETS, SPECS, PipelineConfig

PresetName = Literal["fast", "default", "best"]
if TYPE_CHECKING:
    StageName = str
else:
    StageName = Literal[tuple(spec.name for spec in SPECS.values())]


@dataclass(frozen=True)
class StageOptions:
    """What to run."""

    preset: PresetName = "default"
    """Where the options of the stages start from."""
    until: StageName | None = None
    """Stop after this stage and what it needs."""
    start: Annotated[StageName | None, tyro.conf.arg(name="from")] = None
    """Redo this stage and everything after it, whatever is cached."""
    force: tuple[StageName, ...] = ()
    """Redo these stages."""
    layout: bool = True
    """Find the room's layout: plan, shell, overlays. It says so where the photos show no room."""
    dry_run: bool = False
    """Print what would run and what is cached; change nothing."""
    options: Annotated[PipelineConfig, tyro.conf.arg(name="")] = PRESETS["default"]
    """Options of the stages."""


def stage_options(argv: Sequence[str]) -> StageOptions:
    """The defaults for parsing `argv`: those of the preset that it names."""
    preset = _preset_named_in(argv)
    return StageOptions(preset=preset, options=PRESETS[preset])


def _preset_named_in(argv: Sequence[str]) -> PresetName:
    """A look ahead: defaults must be known before the other options are parsed. tyro reports a wrong name."""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        name = following if word == "--preset" else word.removeprefix("--preset=") if "=" in word else ""
        if name in PRESETS:
            return name  # type: ignore[return-value]
    return "default"
