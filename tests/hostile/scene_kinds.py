"""Readable photos of what cannot or can hardly be reconstructed, and given cameras that cannot be."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from fewview.recon.io.colmap import SparsePoints, write_model
from fewview.recon.io.transforms import write_transforms
from fewview.recon.scene import Camera, View
from tests.hostile.kinds import Place, kind

_NAMES = ("a.jpg", "b.jpg", "c.jpg")


def _photo(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def _written(place: Place, images: list[np.ndarray]) -> list[str]:
    for name, image in zip(_NAMES, images, strict=True):
        Image.fromarray(image).save(place.photos / name, quality=95)
    return place.command


@kind("scene", 0, whole=1)
def blank_walls(place: Place) -> list[str]:
    return _written(place, [np.full((240, 320, 3), 200 + k, np.uint8) for k in range(3)])


@kind("scene", 0, whole=1)
def noise_alone(place: Place) -> list[str]:
    return _written(place, [np.random.default_rng(k).integers(0, 256, (240, 320, 3), np.uint8) for k in range(3)])


@kind("scene", 0, whole=1)
def one_photo_encoded_three_times(place: Place) -> list[str]:
    image = Image.open(place.photos / "a.jpg").convert("RGB")
    for name, quality in zip(_NAMES, (95, 90, 85), strict=True):
        image.save(place.photos / name, quality=quality)
    return place.command


@kind("scene", 0, whole=1)
def pure_rotation(place: Place) -> list[str]:
    image = _photo(place.photos / "a.jpg")
    height, width = image.shape[:2]
    K = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]])
    turned = []
    for angle in (-0.08, 0.0, 0.08):
        R = np.array([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
        turned.append(cv2.warpPerspective(image, K @ R @ np.linalg.inv(K), (width, height)))
    return _written(place, turned)


@kind("scene", 0, whole=(0, 1))
def mirrored_photo(place: Place) -> list[str]:
    Image.fromarray(_photo(place.photos / "c.jpg")[:, ::-1]).save(place.photos / "c.jpg", quality=95)
    return place.command


@kind("scene", 0)
def mixed_sizes(place: Place) -> list[str]:
    for name, scale in zip(_NAMES, (1.0, 0.6, 1.7), strict=True):
        image = Image.open(place.photos / name).convert("RGB")
        image.resize((round(image.width * scale), round(image.height * scale))).save(place.photos / name, quality=95)
    return place.command


@kind("scene", 0, whole=(0, 1))
def two_scenes(place: Place) -> list[str]:
    noise = np.random.default_rng(5).uniform(0, 255, (240, 320, 3)).astype(np.float32)
    other = cv2.GaussianBlur(noise, (0, 0), 3)
    other = cv2.normalize(other, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    Image.fromarray(other).save(place.photos / "x.jpg", quality=95)
    Image.fromarray(np.roll(other, 9, 1)).save(place.photos / "y.jpg", quality=95)
    return place.command


@kind("scene", 0, whole=1)
def two_photos_of_different_places(place: Place) -> list[str]:
    (place.photos / "c.jpg").unlink()
    noise = np.random.default_rng(5).uniform(0, 255, (240, 320, 3)).astype(np.float32)
    Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8)).save(place.photos / "b.jpg")
    return place.command


def _views(place: Place) -> list[View]:
    views = []
    for k, name in enumerate(_NAMES):
        width, height = Image.open(place.photos / name).size
        T = np.eye(4)
        T[0, 3] = 0.3 * k
        views.append(View(name, Camera(width, height, width, width, width / 2, height / 2), T))
    return views


def _transforms(place: Place, edit: Any) -> list[str]:
    """`edit` changes the document of three cameras, or is the text of the file."""
    path = place.out.with_name("transforms.json")
    write_transforms(path, _views(place))
    if isinstance(edit, str):
        path.write_text(edit)
    else:
        document = json.loads(path.read_text())
        edit(document["frames"][0])
        path.write_text(json.dumps(document))
    return [*place.command, "--cameras", f"known:{path}"]


def _model(place: Place, edit: dict[str, Any], text: bool = False) -> list[str]:
    """`edit` maps files of a COLMAP model to what becomes of their bytes."""
    folder = place.out.with_name("model")
    folder.mkdir()
    tracks = [[(0, np.array([10.0, 20.0])), (1, np.array([12.0, 21.0]))]]
    points = SparsePoints(np.ones((1, 3)), np.zeros((1, 3), np.uint8), np.ones(1), tracks)
    write_model(folder, _views(place), points, "text" if text else "binary")
    for name, change in edit.items():
        (folder / name).write_bytes(change((folder / name).read_bytes()))
    return [*place.command, "--cameras", f"known:{folder}"]


def _matrix(value: Any) -> Any:
    def edit(frame: dict[str, Any]) -> None:
        frame["transform_matrix"] = value

    return edit


@kind("cameras", 2, "is not a readable transforms.json: a pose is not a finite 4x4 matrix")
def transforms_of_nan(place: Place) -> list[str]:
    return _transforms(place, _matrix([[math.nan] * 4] * 4))


@kind("cameras", 2, "a pose is not a rotation and a translation")
def transforms_that_are_singular(place: Place) -> list[str]:
    return _transforms(place, _matrix(np.diag([1.0, 1, 0, 1]).tolist()))


@kind("cameras", 2, "a pose is not a rotation and a translation")
def transforms_with_a_scale(place: Place) -> list[str]:
    return _transforms(place, _matrix(np.diag([2.0, 2, 2, 1]).tolist()))


@kind("cameras", 2, "lacks 'transform_matrix'")
def transforms_without_poses(place: Place) -> list[str]:
    return _transforms(place, lambda frame: frame.pop("transform_matrix") and None)


@kind("cameras", 2, "is not a readable transforms.json")
def transforms_of_huge_numbers(place: Place) -> list[str]:
    return _transforms(place, lambda frame: frame.update(w=1e999, fl_x=10**400))


@kind("cameras", 2, "is not a readable transforms.json: maximum recursion depth exceeded")
def transforms_without_end(place: Place) -> list[str]:
    return _transforms(place, '{"frames":' + "[" * 100_000)


@kind("cameras", 2, "are of other photos: none is named like a.jpg")
def cameras_of_other_photos(place: Place) -> list[str]:
    command = _transforms(place, lambda frame: None)
    path = place.out.with_name("transforms.json")
    path.write_text(path.read_text().replace(".jpg", "0.jpg"))
    return command


@kind("cameras", 2, "fit 0 of the photos")
def cameras_of_another_shape(place: Place) -> list[str]:
    command = _transforms(place, lambda frame: None)
    path = place.out.with_name("transforms.json")
    document = json.loads(path.read_text())
    for frame in document["frames"]:
        frame["h"] *= 3
    path.write_text(json.dumps(document))
    return command


@kind("cameras", 2, "The COLMAP model in", "images.bin: it is cut short")
def colmap_cut_short(place: Place) -> list[str]:
    return _model(place, {"images.bin": lambda data: data[: len(data) // 2]})


@kind("cameras", 2, "The COLMAP model in", "points3D.bin: it is cut short")
def colmap_that_announces_terabytes(place: Place) -> list[str]:
    return _model(place, {"points3D.bin": lambda data: struct.pack("<Q", 2**62) + data[8:]})


@kind("cameras", 2, "The COLMAP model in", "images.bin: it is cut short")
def colmap_that_announces_gigabytes_of_observations(place: Place) -> list[str]:
    def edit(data: bytes) -> bytes:
        at = data.index(b"a.jpg\0") + 6
        return data[:at] + struct.pack("<Q", 2**31) + data[at + 8 :]

    return _model(place, {"images.bin": edit})


@kind("cameras", 2, "The COLMAP model in")
def colmap_of_nan(place: Place) -> list[str]:
    nan = struct.pack("<7d", *[math.nan] * 7)
    # Poses stand in either file, by COLMAP's version.
    edit = {
        "images.bin": lambda data: data[:12] + nan + data[68:],
        "frames.bin": lambda data: data[:16] + nan + data[72:],
    }
    return _model(place, edit)


@kind("cameras", 2, "The COLMAP model in", "cannot be read")
def colmap_text_of_words(place: Place) -> list[str]:
    return _model(place, {"cameras.txt": lambda data: b"1 PINHOLE wide high\n"}, text=True)


@kind("cameras", 2, "The COLMAP model in", "cannot be read")
def colmap_text_cut_short(place: Place) -> list[str]:
    return _model(place, {"images.txt": lambda data: data[: data.index(b"a.jpg") - 12]}, text=True)


@kind("cameras", 2, "There are no cameras at")
def cameras_that_are_not_there(place: Place) -> list[str]:
    return [*place.command, "--cameras", f"known:{place.out.with_name('nowhere')}"]


@kind("cameras", 2, "--intrinsics nan is no focal length")
def focal_length_that_is_no_number(place: Place) -> list[str]:
    return [*place.command, "--intrinsics", "nan"]
