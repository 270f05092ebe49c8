"""Options that several subcommands share: presets, stages and the configuration of each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from fewview.apps.pipeline import PRESETS, SPECS, PipelineConfig

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


@dataclass(frozen=True)
class _Preset:
    """What must be known before the other options are parsed, because their defaults depend on it."""

    preset: PresetName = "default"


def stage_options(argv: Sequence[str], preset: PresetName = "default") -> StageOptions:
    """The defaults for parsing `argv`: those of the preset that it names, or else of `preset`.

    Where an option is given twice, the last one counts, as tyro has it for all of them: so it looks ahead itself.
    """
    try:
        known, _ = tyro.cli(
            _Preset,
            args=list(argv),
            default=_Preset(preset),
            return_unknown_args=True,
            add_help=False,
            console_outputs=False,
        )
    except SystemExit:  # no preset has this name: the parser of all options says so
        known = _Preset(preset)
    return StageOptions(preset=known.preset, options=PRESETS[known.preset])
