"""Writes the upright photos at original resolution, for tools that want cameras and images side by side."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from PIL import Image

from fewview.recon.errors import InputError
from fewview.recon.io.images import decode_image, open_image
from fewview.recon.io.inputs import digest, is_video
from fewview.recon.photos import Photo, load_photos
from fewview.recon.scene import View

_UPRIGHT = 1
_ORIENTATION = 0x0112
_EVERY_PIXEL = 1 << 20
_QUALITY = 95


def write_originals(photos: Path, originals: list[Path], views: list[View], to: Path) -> dict[str, View]:
    """Writes one image a view into `to`.

    Upright JPEG and PNG files are copied as they are; all else is turned upright and written as JPEG.
    Frames of a video are written at the working size of the run, and turned JPEG files too large to be decoded whole at
    a fraction; their cameras are resized with them.

    Args:
        photos: folder of the `photos` artifact.
        originals: the user's files that it was made from.
        views: whose photos to write.
        to: a folder, made here.

    Returns:
        By the name of each view: the view with the name and size of the image that was written.

    Raises:
        InputError: an original is no longer there, or is another file now.
    """
    to.mkdir(parents=True)
    by_name = {photo.name: photo for photo in load_photos(photos)}
    by_digest = {digest(path): path for path in originals if path.is_file() and not is_video(path)}
    written = {}
    for view in views:
        photo = by_name[view.name]
        if photo.time_s is not None:
            written[view.name] = _write_frame(photo, photos, view, to)
            continue
        original = by_digest.get(photo.sha256)
        if original is None:
            raise InputError(
                f"The photo {photo.source} has been moved or changed since the run.",
                "Put it back, or run again with its new path.",
            )
        written[view.name] = _write_photo(original, view, to)
    return written


def _write_frame(photo: Photo, photos: Path, view: View, to: Path) -> View:
    shutil.copyfile(photos / photo.image, to / view.name)
    height, width = photo.load_image8(photos).shape[:2]
    return replace(view, camera=view.camera.resized(width, height))


def _write_photo(original: Path, view: View, to: Path) -> View:
    name = view.name
    with open_image(original.read_bytes(), _EVERY_PIXEL) as file:
        plain = file.format in ("JPEG", "PNG") and file.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT
    if plain:
        shutil.copyfile(original, to / name)
        return view
    name = f"{Path(name).stem}.jpg"
    if (to / name).exists():
        name = f"{Path(name).stem}_{len(list(to.iterdir()))}.jpg"
    decoded = decode_image(original.read_bytes(), _EVERY_PIXEL)
    Image.fromarray(decoded.rgb).save(to / name, quality=_QUALITY, subsampling=0)
    height, width = decoded.rgb.shape[:2]
    camera = view.camera
    if (width, height) != (camera.width, camera.height):  # a JPEG too large to be decoded whole
        camera = camera.resized(width, height)
    return replace(view, name=name, camera=camera)
