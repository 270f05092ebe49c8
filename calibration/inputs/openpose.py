"""A folder of OpenPose JSON, one file a frame, as OpenPose itself, Pose2Sim and RTMLib's users write it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from fewview.calibration.inputs.recording import Recording, recording, stack_people
from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_text


def read_openpose(folder: Path, camera: str, skeleton: str | None) -> Recording:
    """The people of all `*.json` in `folder`; a frame's number is the last one in its file's name.

    Numbers count from the folder's first; frames without a file are without people.

    Raises:
        InputError: a file is no OpenPose JSON or has no number, two have the same, or nobody is in any.
    """
    frames: dict[int, list[Any]] = {}
    for path in sorted(folder.glob("*.json")):
        numbers = re.findall(r"\d+", path.stem)
        if not numbers:
            raise InputError(f"{path} has no frame number in its name.", "Name frames like cam1_000012_keypoints.json.")
        if int(numbers[-1]) in frames:
            raise InputError(f"Two files in {folder} are of frame {int(numbers[-1])}.", "Give each camera a folder.")
        frames[int(numbers[-1])] = _people(path)
    return recording(camera, stack_people(frames, str(folder)), skeleton, str(folder))


def _people(path: Path) -> list[Any]:
    text = read_text(path, errors="replace")
    if not text.strip():
        raise InputError(f"{path} is empty.", "Delete it, or write it again: a frame without people has an empty list.")
    try:
        people = json.loads(text)["people"]
        return [np.array(person["pose_keypoints_2d"], np.float64).reshape(-1, 3) for person in people]
    except MALFORMED as error:
        raise InputError(
            f"{path} is not an OpenPose JSON ({type(error).__name__}: {error}).",
            "It needs `people`, each with `pose_keypoints_2d` as x, y, confidence.",
        ) from error
