"""The images of a perspective view other than the photo: depth, normals, labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int

from fewview.recon.errors import InputError
from fewview.recon.scene import Camera

LABELS = {
    "wall": 1, "floor": 2, "cabinet": 3, "bed": 4, "sofa": 6, "table": 7, "door": 8, "window": 9, "bookshelf": 10,
    "picture": 11, "desk": 14, "rug": 20, "ceiling": 22, "lamp": 35, "wardrobe": 39, "wall unit": 39,
}  # fmt: skip
"""NYUv2's 40 labels; what is not here is 40, other props."""
OTHER = 40
BACKGROUND = 65535
"""Instance of walls, floor and ceiling."""


def read_depth(path: Path, camera: Camera) -> Float32[np.ndarray, "H W"]:
    """z-depth in metres, NaN where there is no reading. The file holds lengths of rays in millimetres.

    Raises:
        InputError: the file is missing, or not 16 bits of the camera's size.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if image is None or image.dtype != np.uint16 or image.shape != (camera.height, camera.width):
        raise InputError(
            f"{path} is not a depth image of {camera.width}x{camera.height} pixels and 16 bits.",
            "Download or write it again.",
        )
    depth = image / 1000 / _ray_length(camera)
    return np.where(image > 0, depth, np.nan).astype(np.float32)


def write_depth(path: Path, depth: Float[np.ndarray, "H W"], camera: Camera) -> None:
    """Write z-depth in metres; NaN becomes 0, no reading."""
    millimetres = np.nan_to_num(depth * _ray_length(camera) * 1000, nan=0.0)
    _write(path, np.clip(np.round(millimetres), 0, 65535).astype(np.uint16))


def write_normals(path: Path, normal: Float[np.ndarray, "H W 3"], T_world_camera: Float[np.ndarray, "4 4"]) -> None:
    """Write unit normals (given in the camera's frame) as 128 (1 + n) in the world's."""
    world = normal @ T_world_camera[:3, :3].T
    _write(path, np.clip(np.round(128 * (1 + world)), 0, 255).astype(np.uint8)[..., ::-1])


def write_labels(folder: Path, instance: Int[np.ndarray, "H W"], kinds: dict[int, str]) -> None:
    """Write `semantic.png` and `instance.png`.

    Args:
        kinds: what each instance is.
    """
    labels = np.zeros(max(kinds) + 1, np.uint8)
    numbers = np.zeros(max(kinds) + 1, np.uint16)
    for number, kind in kinds.items():
        labels[number] = LABELS.get(kind, OTHER)
        numbers[number] = BACKGROUND if kind in ("wall", "floor", "ceiling") else number
    _write(folder / "semantic.png", labels[instance])
    _write(folder / "instance.png", numbers[instance])


def write_rgb(path: Path, image: np.ndarray) -> None:
    _write(path, image[..., ::-1])


def _ray_length(camera: Camera) -> Float[np.ndarray, "H W"]:
    """Length of each pixel's ray of unit z."""
    x, y = camera.slopes()
    return np.sqrt(1 + x[None, :] ** 2 + y[:, None] ** 2)


def _write(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image):
        raise OSError(f"cannot write {path}")
