"""Where cameras come from: what `--cameras` may say, in one place.

The manifest records the source that was used and why (`prior`, `prior_reason`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewview.recon.errors import InputError
from fewview.recon.io.known import model_files
from fewview.recon.io.pointmaps import pointmap_files
from fewview.recon.networks import NETWORKS

SOURCES = {
    "known:PATH": "cameras of a COLMAP model, a transforms.json or a cameras.json of fewview",
    "pointmaps:PATH": "pre-computed pointmaps of any network, an npz file or a folder of them, refined by matches",
    "mapanything": "pointmaps by MapAnything, an optional package, refined by matches",
    "mast3r": "pointmaps by MASt3R, an optional package that is not for commercial use, refined by matches",
    "keypoints": "cameras of a rig of videos, calibrated from the people in them",
    "matching": "cameras found from what the photos share",
}
"""Most trusted first; a source with PATH takes a file or folder."""


@dataclass(frozen=True)
class CameraSource:
    """Its kind, and the file or folder that it reads."""

    kind: str
    path: Path | None = None

    @property
    def is_learned(self) -> bool:
        """Whether the source is pointmaps."""
        return self.kind == "pointmaps" or self.kind in NETWORKS

    def files(self) -> tuple[Path, ...]:
        """What the source reads: its contents belong to the key of the stage.

        Raises:
            InputError: there is no such model, or the package of the network is not installed.
        """
        if self.kind in NETWORKS:
            NETWORKS[self.kind].require()
        if self.path is None:
            return ()
        return pointmap_files(self.path) if self.kind == "pointmaps" else model_files(self.path)

    def notice(self) -> str | None:
        """What the user must know before anything is downloaded, such as a licence."""
        return NETWORKS[self.kind].notice() if self.kind in NETWORKS else None

    def reason(self) -> str:
        """Why this source and no other, for the manifest."""
        if self.kind == "matching":
            return "the photos come without cameras, and no other source was asked for"
        return f"`--cameras {self.kind}` was asked for"


def kind_of(text: str) -> str:
    """The kind of source that `--cameras` names: where its path lies is nothing to the results, what lies there is."""
    return parse_source(text).kind


def parse_source(text: str) -> CameraSource:
    """The source that `--cameras` names.

    Raises:
        InputError: there is no such source, or its path is missing.
    """
    kind, separator, path = text.partition(":")
    takes_path = {name.partition(":")[0]: ":" in name for name in SOURCES}
    if kind not in takes_path or takes_path[kind] != bool(path) or (separator and not path):
        choices = "; ".join(f"{name} ({what})" for name, what in SOURCES.items())
        raise InputError(f"--cameras {text} is no source of cameras.", f"Choose from: {choices}.")
    return CameraSource(kind, Path(path) if path else None)
