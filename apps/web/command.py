"""From what a visitor chose to the command line of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fewview.apps.commands import run as run_command
from fewview.apps.options import PresetName
from fewview.apps.pipeline import stages
from fewview.apps.web.store import Run
from fewview.recon.errors import InputError

Kind = Literal["place", "people"]


@dataclass(frozen=True)
class Choices:
    """The options for the next run."""

    kind: Kind = "place"
    """Photos or videos of a place, or one video of people from each camera of a rig."""
    preset: PresetName = "default"
    frames: int = 12
    """Taken from each video of a place."""
    layout: bool = True
    height_m: float | None = None
    """Of the person seen most, in videos of people."""
    scale: str | None = None
    """As `--scale` takes it."""


def arguments(run: Run, choices: Choices) -> tuple[str, ...]:
    """The words after `fewview`, checked as the command would.

    Raises:
        InputError: a choice is out of its range, or the photos cannot be used in this way.
    """
    words = ["run", str(run.photos), "--out", str(run.out), "--preset", choices.preset]
    words += ["--layout" if choices.layout else "--no-layout"]
    if choices.kind == "people":
        words += ["--cameras", "keypoints"]
        if choices.height_m is not None:
            if not 0.5 <= choices.height_m <= 2.5:
                raise InputError(f"A height of {choices.height_m:g} m is no person's.", "Give metres, such as 1.80.")
            words += ["--motion.height-m", f"{choices.height_m:g}"]
    else:
        words += ["--photos.video-frames", str(choices.frames)]
        if choices.scale is not None:
            words += ["--scale", choices.scale]
    parsed = run_command.parse(words[1:])
    stages(parsed.stages.options, parsed.photos)
    return tuple(words)
