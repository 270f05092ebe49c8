"""What this package's stages leave for others (docs/artifacts.md): `keypoints/`, what the cameras saw, one npz a camera
and take; and `rig.json` of `motion/`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fewview.calibration.observations import Detections
from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_npz, read_text
from fewview.recon.io.inputs import Names

_AGAIN = "It was altered: delete its folder and run again."


@dataclass(frozen=True)
class Take:
    """One recording of the rig."""

    name: str
    detections: list[Detections]
    videos: dict[str, str] = field(default_factory=dict)
    """File name of the video by camera, where there is one."""
    sound_offsets_s: dict[str, float] = field(default_factory=dict)
    """Time offsets that the videos' sound suggests, as in `Rig.offsets_s`."""


def save_takes(folder: Path, takes: list[Take]) -> None:
    """Write `keypoints.json` and `<take>/<camera>.npz`; the same takes always give the same bytes."""
    entries: list[dict[str, Any]] = []
    for take in takes:
        (folder / take.name).mkdir()
        names = Names()
        cameras = []
        for each in take.detections:
            path = f"{take.name}/{names.claim(each.camera)[1]}.npz"
            np.savez_compressed(
                folder / path, xy=each.xy, confidence=each.confidence, size=np.array(each.size), fps=np.array(each.fps)
            )
            cameras.append({"camera": each.camera, "file": path, "video": take.videos.get(each.camera)})
        entries.append({"name": take.name, "cameras": cameras, "sound_offsets_s": take.sound_offsets_s})
    text = json.dumps({"takes": entries}, indent=1, sort_keys=True, allow_nan=False)
    (folder / "keypoints.json").write_text(text + "\n", encoding="utf-8")


def load_takes(folder: Path) -> list[Take]:
    """Read what `save_takes` wrote.

    Raises:
        InputError: a file is missing or was altered.
    """
    path = folder / "keypoints.json"
    try:
        entries = json.loads(read_text(path, _AGAIN))["takes"]
        return [
            Take(
                str(entry["name"]),
                [_detections(folder / camera["file"], str(camera["camera"])) for camera in entry["cameras"]],
                {camera["camera"]: camera["video"] for camera in entry["cameras"] if camera["video"]},
                entry["sound_offsets_s"],
            )
            for entry in entries
        ]
    except MALFORMED as error:
        raise InputError(f"{path} is not a keypoints.json of fewview: {error!r}.", _AGAIN) from error


@dataclass(frozen=True)
class RigRecord:
    """`rig.json`."""

    offsets_s: dict[str, float]
    """By camera, to be added to its clock to get the common time; first take."""
    unplaced: dict[str, str]
    """By camera, why."""
    units: str
    scale_source: str
    scale_uncertainty: float
    """Relative standard deviation."""
    takes: list[str]
    facts: dict[str, Any]
    """Of the solver."""


def save_rig(folder: Path, record: RigRecord) -> None:
    """Write `rig.json`."""
    text = json.dumps(asdict(record), indent=1, sort_keys=True, allow_nan=False)
    (folder / "rig.json").write_text(text + "\n", encoding="utf-8")


def load_rig(folder: Path) -> RigRecord:
    """Read what `save_rig` wrote.

    Raises:
        InputError: the file is missing or was altered.
    """
    path = folder / "rig.json"
    try:
        stored = json.loads(read_text(path, "Name the output of `fewview calibrate`."))
        if not stored["takes"]:
            raise ValueError("it names no take")
        return RigRecord(
            {str(camera): float(seconds) for camera, seconds in stored["offsets_s"].items()},
            {str(camera): str(reason) for camera, reason in stored["unplaced"].items()},
            str(stored["units"]),
            str(stored["scale_source"]),
            float(stored["scale_uncertainty"]),
            [str(take) for take in stored["takes"]],
            dict(stored["facts"]),
        )
    except MALFORMED as error:
        raise InputError(f"{path} is damaged: {error!r}.", "Calibrate again.") from error


def _detections(path: Path, camera: str) -> Detections:
    arrays = read_npz(path, _AGAIN)
    width, height = (int(value) for value in arrays["size"])
    return Detections(camera, (width, height), float(arrays["fps"]), arrays["xy"], arrays["confidence"])
