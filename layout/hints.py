"""Optional learned help: what networks of the user's say of the photos, read from files.

For a photo `kitchen.jpg`, a folder of hints may hold

- `kitchen.png` or `kitchen.npz` (array `labels`): a label map in NYUv2's 40 classes, of any size;
- `kitchen.json`: plane detections as Plane-DUSt3R's detector writes them, `{"plane", "floor", "ceiling": lists of
  [x1, y1, x2, y2, score, class]}`, in pixels of the upright photo.

Surface that they do not take for the room's shell is no evidence for floor, ceiling and walls; it still blocks the
view. Photos without hints are used as they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Integer

from fewview.layout.surfaces import DepthView
from fewview.recon.errors import InputError

SHELL = (1, 2, 8, 9, 11, 13, 22, 30)
"""Of NYUv2's 40 classes those on the shell: wall, floor, door, window, picture, blinds, ceiling, whiteboard."""
MIN_SCORE = 0.5


def hint_files(folder: Path | None) -> tuple[Path, ...]:
    """All files in a folder of hints, sorted.

    Raises:
        InputError: there is no such folder.
    """
    if folder is None:
        return ()
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Name the folder that holds the photos' hints.")
    return tuple(sorted(path for path in folder.iterdir() if path.suffix in (".png", ".npz", ".json")))


def weigh(
    depths: Sequence[DepthView], sizes: Sequence[tuple[int, int]], files: Sequence[Path]
) -> tuple[list[DepthView], int]:
    """The views, with no confidence in what is not the shell; and how many of them have hints.

    Args:
        depths: named like the photos.
        sizes: width and height of the upright photos, pixels.

    Raises:
        InputError: a file is not in its format.
    """
    out, hinted = [], 0
    for view, size in zip(depths, sizes, strict=True):
        mine = [path for path in files if path.stem == Path(view.name).stem]
        confidence = view.confidence
        for path in mine:
            shell = read_shell(path, size)
            shell = cv2.resize(shell.astype(np.uint8), view.depth.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
            confidence = np.where(shell, confidence, 0.0)
        out.append(replace(view, confidence=confidence))
        hinted += bool(mine)
    return out, hinted


def read_shell(path: Path, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Where one file sees floor, ceiling or walls.

    Args:
        size: width and height of the photo; detections come as a mask of this size.

    Raises:
        InputError: the file is not in its format.
    """
    try:
        if path.suffix == ".json":
            return _boxes(json.loads(path.read_text(encoding="utf-8")), size)
        return np.isin(_labels(path), SHELL)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(
            f"{path} is neither a label map nor plane detections: {error!r}.", "Write it again, or take it away."
        ) from error


def _labels(path: Path) -> Integer[np.ndarray, "H W"]:
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            labels = np.asarray(arrays["labels"])
    else:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise ValueError("not a picture")
        labels = np.asarray(image)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ValueError(f"{labels.dtype} of shape {labels.shape} instead of whole numbers in rows and columns")
    return labels


def _boxes(document: dict[str, list[list[float]]], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    shell = np.zeros((size[1], size[0]), bool)
    for kind in ("plane", "floor", "ceiling"):
        boxes = np.array(document[kind], np.float64).reshape(-1, 6)
        if not np.isfinite(boxes).all():
            raise ValueError("a box that is not finite")
        for x1, y1, x2, y2, score, _ in boxes:
            if score >= MIN_SCORE:
                left, top, right, bottom = (round(max(0.0, edge)) for edge in (x1, y1, x2, y2))
                shell[top:bottom, left:right] = True
    return shell
