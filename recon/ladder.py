"""The ladder of camera sources: what `--cameras` may say, in one place.

The manifest records the rung that was used and why (`prior`, `prior_reason`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.errors import InputError
from recon.io.known import model_files
from recon.io.pointmaps import pointmap_files
from recon.networks import NETWORKS

RUNGS = {
    "known:PATH": "cameras of a COLMAP model, a transforms.json or a cameras.json of fewview",
    "pointmaps:PATH": "pre-computed pointmaps of any network, an npz file or a folder of them, refined by matches",
    "mapanything": "pointmaps by MapAnything, an optional package, refined by matches",
    "mast3r": "pointmaps by MASt3R, an optional package that is not for commercial use, refined by matches",
    "keypoints": "cameras of a rig of videos, calibrated from the people in them",
    "matching": "cameras found from what the photos share",
}
"""Most trusted first; a rung with PATH takes a file or folder."""


@dataclass(frozen=True)
class CameraSource:
    """A rung, and the file or folder that it reads."""

    rung: str
    path: Path | None = None

    @property
    def is_learned(self) -> bool:
        """Whether the rung is pointmaps."""
        return self.rung == "pointmaps" or self.rung in NETWORKS

    def files(self) -> tuple[Path, ...]:
        """What the rung reads: its contents belong to the key of the stage.

        Raises:
            InputError: there is no such model, or the package of the network is not installed.
        """
        if self.rung in NETWORKS:
            NETWORKS[self.rung].require()
        if self.path is None:
            return ()
        return pointmap_files(self.path) if self.rung == "pointmaps" else model_files(self.path)

    def notice(self) -> str | None:
        """What the user must know before anything is downloaded, such as a licence."""
        return NETWORKS[self.rung].notice() if self.rung in NETWORKS else None

    def reason(self) -> str:
        """Why this rung and no other, for the manifest."""
        if self.rung == "matching":
            return "the photos come without cameras, and no other source was asked for"
        return f"`--cameras {self.rung}` was asked for"


def rung_of(text: str) -> str:
    """The rung that `--cameras` names: where its path lies is nothing to the results, what lies there is."""
    return parse_source(text).rung


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
