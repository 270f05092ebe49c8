"""Options that several subcommands share: presets, stages and the configuration of each stage."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import tyro

from fewview.apps.pipeline import PRESETS, RIG, SPECS, PipelineConfig

ArgumentsT = TypeVar("ArgumentsT")
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


HELP = ("-h", "--help")
HELP_ALL = "--help-all"
_SECTION = re.compile(r"^(?= [a-z][a-z ]*\n -{9})", re.MULTILINE)
_MORE = f"The options of `fewview run` go with it, too. {HELP_ALL} lists those of single stages."
_PEOPLE = f"Options about people: `fewview calibrate --help`, and `--cameras keypoints {HELP_ALL}` here."


def parse_tiered(
    arguments: type[ArgumentsT], prog: str, argv: Sequence[str], default: ArgumentsT, page: str | None = None
) -> ArgumentsT:
    """As `tyro.cli`, but `--help` leaves out the options of single stages, which `--help-all` lists.

    Options about people are among them only where cameras come from people: else they do nothing.

    Args:
        page: what `--help` says; by default tyro's without the options of stages.
    """
    if HELP_ALL in argv:
        people = {name for name, spec in SPECS.items() if spec in RIG}
        asked = any(word.endswith("keypoints") for word in argv)
        _say(_without(set() if asked else people, _help(arguments, prog, default)), "" if asked else _PEOPLE)
    if any(word in HELP for word in argv):
        _say(_without(set(SPECS), _help(arguments, prog, default)) if page is None else page, "" if page else _MORE)
    return tyro.cli(arguments, prog=prog, args=list(argv), default=default)


def _help(arguments: type[ArgumentsT], prog: str, default: ArgumentsT) -> str:
    """tyro's help, without the boxes that it draws on terminals."""
    said = StringIO()
    with redirect_stdout(said), suppress(SystemExit):
        tyro.cli(arguments, prog=prog, args=["--help"], default=default)
    return "".join(line.rstrip() + "\n" for line in said.getvalue().splitlines())


def _without(stages: set[str], text: str) -> str:
    return "".join(part for part in _SECTION.split(text) if part.split(" options\n")[0].strip() not in stages)


def _say(text: str, more: str) -> None:
    """Prints help and ends. It is flushed here, so that a reader who left is noticed while it can be told."""
    print(text.rstrip() + (f"\n\n{more}" if more else ""), flush=True)
    sys.exit(0)


def essence(text: str) -> str:
    """What tyro says is wrong, out of its boxes."""
    lines = [line.strip(" │╭╮╰╯─-") for line in text.splitlines()]
    return next((line for line in lines if ":" in line), "its options are not understood").rstrip(".") + "."
