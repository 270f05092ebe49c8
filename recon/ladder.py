"""The ladder of camera sources: what `--cameras` may say, in one place.

The manifest records the rung that was used and why (`prior`, `prior_reason`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.errors import InputError
from recon.io.known import model_files

RUNGS = {
    "known:PATH": "cameras of a COLMAP model, a transforms.json or a cameras.json of fewview",
    "keypoints": "cameras of a rig of videos, calibrated from the people in them",
    "matching": "cameras found from what the photos share",
}
"""Most trusted first; a rung with PATH takes a file or folder."""


@dataclass(frozen=True)
class CameraSource:
    """A rung, and the file or folder that it reads."""

    rung: str
    path: Path | None = None

    def files(self) -> tuple[Path, ...]:
        """What the rung reads: its contents belong to the key of the stage.

        Raises:
            InputError: there is no such model.
        """
        return model_files(self.path) if self.path is not None else ()

    def reason(self) -> str:
        """Why this rung and no other, for the manifest."""
        if self.rung == "matching":
            return "the photos come without cameras, and no other source was asked for"
        return f"`--cameras {self.rung}` was asked for"


def parse_source(text: str) -> CameraSource:
    """The source that `--cameras` names.

    Raises:
        InputError: there is no such rung, or its path is missing.
    """
    rung, separator, path = text.partition(":")
    takes_path = {name.partition(":")[0]: ":" in name for name in RUNGS}
    if rung not in takes_path or takes_path[rung] != bool(path) or (separator and not path):
        choices = "; ".join(f"{name} ({what})" for name, what in RUNGS.items())
        raise InputError(f"--cameras {text} is no source of cameras.", f"Choose from: {choices}.")
    return CameraSource(rung, Path(path) if path else None)
