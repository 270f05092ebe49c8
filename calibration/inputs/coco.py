"""One COCO JSON a camera: a list of results, or a dataset with `annotations` and `images`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fewview.calibration.inputs.recording import Recording, recording, stack_people
from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_text

_FLAGS = {0.0: 0.0, 1.0: 0.5, 2.0: 1.0}
"""COCO's visibility (absent, hidden, visible) as a confidence."""


def read_coco(path: Path, camera: str, skeleton: str | None) -> Recording:
    """People by `image_id`: a number, a file name whose last number counts, or an id that `images` gives a file name.

    The size of the images is that of `images`, where it is given.

    Raises:
        InputError: the file is empty, not of this kind, or without people.
    """
    text = read_text(path, errors="replace")
    if not text.strip():
        raise InputError(f"{path} is empty.", "Write it again.")
    try:
        document = json.loads(text)
        results = document["annotations"] if isinstance(document, dict) else document
        images = {entry["id"]: entry for entry in document.get("images", [])} if isinstance(document, dict) else {}
        frames: dict[int, list[Any]] = {_frame(key, images): [] for key in images}
        for result in results:
            person = np.array(result["keypoints"], np.float64).reshape(-1, 3)
            frames.setdefault(_frame(result["image_id"], images), []).append(person)
        sizes = {(int(entry["width"]), int(entry["height"])) for entry in images.values() if "width" in entry}
    except MALFORMED as error:
        raise InputError(
            f"{path} is not a COCO JSON of keypoints ({type(error).__name__}: {error}).",
            "Each result needs `image_id`, and `keypoints` as x, y, confidence.",
        ) from error
    if len(sizes) > 1:
        raise InputError(f"The images of {path} differ in size.", "Give each camera a file of its own.")
    people = _graded(stack_people(frames, str(path)))
    return recording(camera, people, skeleton, str(path), next(iter(sizes), None))


def _frame(key: Any, images: dict[Any, Any]) -> int:
    name = images[key].get("file_name", key) if key in images else key
    if isinstance(name, int):
        return name
    numbers = re.findall(r"\d+", Path(str(name)).stem)
    if not numbers:
        raise ValueError(f"image {name!r} has no number")
    return int(numbers[-1])


def _graded(people: Float[np.ndarray, "F P K 3"]) -> Float[np.ndarray, "F P K 3"]:
    """Visibility flags turned into confidences; confidences as they are."""
    marks = people[..., 2]
    if not np.isin(marks, list(_FLAGS)).all() or marks.max() <= 1:
        return people
    return np.concatenate([people[..., :2], np.vectorize(_FLAGS.__getitem__)(marks)[..., None]], axis=-1)
