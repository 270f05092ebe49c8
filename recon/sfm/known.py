"""What the user knows of the cameras, joined to the photos by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fewview.recon.errors import InputError
from fewview.recon.io.known import read_known
from fewview.recon.io.transforms import SizeOf
from fewview.recon.photos import Photo, named_like
from fewview.recon.scale import Scale
from fewview.recon.scene import Camera, View

_SHAPE_TOLERANCE = 0.01
"""By how much the aspect ratios of a photo and its camera may differ."""
MIN_POSES = 2


@dataclass(frozen=True)
class Known:
    """What is given, by index of the photo; cameras are at the size of the upright original."""

    cameras: dict[int, Camera] = field(default_factory=dict)
    poses: dict[int, Float[np.ndarray, "4 4"]] = field(default_factory=dict)
    """Camera to world, in the frame and units of their file."""
    scale: Scale = field(default_factory=lambda: Scale("unknown", "none"))
    misfits: dict[int, str] = field(default_factory=dict)
    """Why what the file says of a photo cannot be used."""


def join_known(photos: Sequence[Photo], known: Path | None, intrinsics: str | None) -> Known:
    """Read what the user knows and find whose it is.

    Args:
        known: cameras with poses.
        intrinsics: a focal length in pixels of the originals, or a file of cameras whose poses play no part. It
            goes before the intrinsics of `known`.

    Raises:
        InputError: a file cannot be read, names none of the photos, or the focal length is not positive.
    """
    out = Known()
    if known is not None:
        read = read_known(known, _sizes(photos))
        views = _by_photo([photo.told for photo in photos], read.views, known)
        cameras, misfits = _fitted(photos, views)
        poses = {i: views[i].T_world_camera for i in cameras}
        _check_count(len(poses), known)
        out = Known(cameras, poses, read.scale, misfits)
    if intrinsics is not None:
        cameras, misfits = _intrinsics(photos, intrinsics)
        out = Known(out.cameras | cameras, out.poses, out.scale, out.misfits | misfits)
    return Known(_shared(photos, out.cameras), out.poses, out.scale, out.misfits)


def check_known(photos: Sequence[str] | None, known: Path | None, intrinsics: str | None) -> None:
    """Whether what `join_known` will be given can be read and names the photos: told before they are matched.

    Args:
        photos: what tells each of all that may come from the others (`Photo.told`), also of those that turn out to be
            unfit; None where they are not known yet.

    Raises:
        InputError: as `join_known`, as far as names tell.
    """
    if known is not None:
        views = read_known(known, _any_size).views
        if photos is not None:
            _check_count(len(_by_photo(photos, views, known)), known)
    given = None if intrinsics is None else focal_or_path(intrinsics)
    if isinstance(given, Path):
        views = read_known(given, _any_size).views
        if photos is not None:
            _by_photo(photos, views, given)


def focal_or_path(text: str) -> float | Path:
    """What `--intrinsics` says.

    Raises:
        InputError: a focal length that is not positive.
    """
    try:
        focal = float(text)
    except ValueError:
        return Path(text)
    if not (math.isfinite(focal) and focal > 0):
        raise InputError(f"--intrinsics {text} is no focal length.", "Give pixels of the original photos, or a file.")
    return focal


def focal_or_kind(text: str | None) -> float | str | None:
    """What of `--intrinsics` counts, besides what the file holds."""
    given = None if text is None else focal_or_path(text)
    return "file" if isinstance(given, Path) else given


def _intrinsics(photos: Sequence[Photo], text: str) -> tuple[dict[int, Camera], dict[int, str]]:
    given = focal_or_path(text)
    if isinstance(given, Path):
        views = read_known(given, _sizes(photos)).views
        return _fitted(photos, _by_photo([photo.told for photo in photos], views, given))
    focal = given
    return {
        i: Camera(photo.width, photo.height, focal, focal, photo.width / 2, photo.height / 2)
        for i, photo in enumerate(photos)
    }, {}


def _sizes(photos: Sequence[Photo]) -> SizeOf:
    """Tells the size of the photo that a camera's name means."""

    def size_of(name: str) -> tuple[int, int] | None:
        fitting = (photo for photo in photos if named_like(photo.told, [name]))
        return next(((photo.width, photo.height) for photo in fitting), None)

    return size_of


def _any_size(name: str) -> tuple[int, int]:
    """Where names alone count: the photos have not been read yet."""
    return 1, 1


def _by_photo(photos: Sequence[str], views: Sequence[View], path: Path) -> dict[int, View]:
    """The view of each photo that has one, by what tells the photos apart."""
    names = [view.name for view in views]
    fitting = {i: named_like(photo, names) for i, photo in enumerate(photos)}
    found = {i: views[places[0]] for i, places in fitting.items() if len(places) == 1}
    if not found and (several := next((places for places in fitting.values() if places), None)):
        raise InputError(
            f"The cameras in {path} do not say which photo is whose: {' and '.join(names[k] for k in several[:2])} are "
            "named alike.",
            "Give the photos as the folders that the cameras name, such as cam0 and cam1.",
        )
    if not found:
        raise InputError(
            f"The cameras in {path} are of other photos: none is named like {photos[0]}.",
            "Name the cameras after the photos' files.",
        )
    return found


def _check_count(poses: int, path: Path) -> None:
    if poses < MIN_POSES:
        raise InputError(
            f"The cameras in {path} fit {poses} of the photos; {MIN_POSES} fix a frame and its scale.",
            "Name more of the photos there, or take over the intrinsics alone by --intrinsics.",
        )


def _fitted(photos: Sequence[Photo], views: dict[int, View]) -> tuple[dict[int, Camera], dict[int, str]]:
    """Cameras at the size of the photos; and why some do not fit."""
    cameras, misfits = {}, {}
    for i, view in views.items():
        photo, camera = photos[i], view.camera
        if math.isclose(camera.width * photo.height, camera.height * photo.width, rel_tol=_SHAPE_TOLERANCE):
            cameras[i] = camera.resized(photo.width, photo.height)
        else:
            misfits[i] = (
                f"Its given camera is {camera.width}x{camera.height}, but the upright photo "
                f"{photo.width}x{photo.height}."
            )
    return cameras, misfits


def _shared(photos: Sequence[Photo], cameras: dict[int, Camera]) -> dict[int, Camera]:
    """Also for photos of the same camera and size, where all their given cameras are equal."""
    out = dict(cameras)
    for i, photo in enumerate(photos):
        kind = photo.camera_group, photo.width, photo.height
        same = {cameras[k] for k in cameras if (photos[k].camera_group, photos[k].width, photos[k].height) == kind}
        if i not in out and len(same) == 1:
            out[i] = same.pop()
    return out
