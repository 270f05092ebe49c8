"""Stage `photos`: from the user's files to upright working images and what is known of each camera.

The files are only read. A photo that cannot be used is left out with its reason, as long as two remain.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import tyro
from jaxtyping import Bool, UInt8

from fewview.recon.errors import InputError
from fewview.recon.io.exif import ExifFacts, camera_group, focal_prior
from fewview.recon.io.images import DecodedImage, UnusableImage, decode_image, sharpness, write_png
from fewview.recon.io.inputs import Names, check_regular, digest, find, find_mask, find_sources, is_raw, is_video
from fewview.recon.io.video import sharpest_frames
from fewview.recon.photos import STAGE_NAME, MasksFound, Photo, PhotoCount, PhotosFacts, save_photos
from fewview.recon.progress import Progress
from fewview.recon.stage import StageSpec

MIN_PHOTOS = 2
MIN_SIDE = 64
"""Smaller pictures are icons and thumbnails: no stage can match them."""


def is_given(path: Path | None) -> bool:
    """What counts of the folder of masks: with one, the last of the files are masks and no photos."""
    return path is not None


@dataclass(frozen=True)
class IngestConfig:
    """How photos are read."""

    photos: tyro.conf.Suppress[tuple[Path, ...]] = field(default=(), metadata={"key": False})
    """Folders, photos and videos; the command line has its own place for them."""
    masks: Path | None = field(default=None, metadata={"key": is_given})
    """Folder of masks named after the photos: white is used, black is ignored. Where none is given, a folder
    `masks` in or beside that of the photos."""
    long_side: int = 1024
    """Of the working images, in pixels."""
    video_frames: int = 12
    """Taken from each video."""

    def __post_init__(self) -> None:
        if self.long_side < MIN_SIDE:
            raise InputError(f"A long side of {self.long_side} px is too small.", f"Ask for {MIN_SIDE} or more.")
        if self.video_frames < 1:
            raise InputError(f"A video cannot give {self.video_frames} frames.", "Ask for 1 or more.")

    def sources(self) -> tuple[Path, ...]:
        """Every file that the stage can read: photos, videos and masks.

        Raises:
            InputError: a path is missing or unreadable, or holds no photos.
        """
        photos = find_sources(self.photos)
        masks = {mask for photo in photos if (mask := find_mask(photo, self.masks)) is not None}
        # `run` names the unreadable ones and goes on without them.
        return tuple(path for path in (*photos, *sorted(masks)) if path.is_file() and os.access(path, os.R_OK))

    def names(self) -> list[str] | None:
        """What tells each photo from the others (`fewview.recon.io.inputs.Found.names`), also those that will be left
        out; None where there are videos, whose frames are not chosen yet.

        Raises:
            InputError: as `sources`.
        """
        found = find(self.photos)
        return None if any(map(is_video, found.sources)) else found.names()


def run(inputs: Mapping[str, Path], config: IngestConfig, out: Path, progress: Progress) -> None:
    """Fill `out` with `views.json`, `images/` and `masks/` (docs/artifacts.md).

    A transparent photo is masked by its alpha, besides the mask that the user may give for it.

    Raises:
        InputError: a path is missing or unreadable, fewer than two photos can be used, or masks do not fit.
    """
    found = find(config.photos)
    sources = dict(zip(found.sources, found.names(), strict=True))
    (out / "images").mkdir()
    (out / "masks").mkdir()
    names = Names()
    photos: list[Photo] = []
    for done, (source, told) in enumerate(sources.items()):
        progress.step(done, len(sources), "photo")
        photos += [replace(each, source=told) for each in _ingest(source, photos, names, config, out, progress)]
    progress.step(len(sources), len(sources), "photo")
    _check_count(photos)
    if config.masks is not None and not any(find_mask(source, config.masks) for source in sources):
        raise InputError(f"No mask in {config.masks} is named after a photo.", "Name the mask of IMG_1.jpg IMG_1.png.")
    save_photos(out, photos)
    used = [photo for photo in photos if photo.excluded is None]
    for file, why in found.passed_over:
        progress.note(f"Passed over {file.name}: {why}.")
    progress.tell(
        PhotosFacts(
            photos=PhotoCount(len(photos), len(used)),
            excluded={photo.name: photo.excluded for photo in photos if photo.excluded is not None},
            focal_priors=sum(photo.focal_px is not None for photo in used),
            passed_over={file.name: why for file, why in found.passed_over},
            masks=_say_masks(list(sources), used, config, progress),
        )
    )


STAGE = StageSpec(
    name=STAGE_NAME,
    title="Photos",
    run=run,
    Config=IngestConfig,
    Facts=PhotosFacts,
    sources=IngestConfig.sources,
    typical_s=1.0,
)


def _say_masks(sources: list[Path], used: list[Photo], config: IngestConfig, progress: Progress) -> MasksFound:
    """Masks that nobody asked for are said, since they hide a part of the photos from all that follows."""
    folders = sorted({mask.parent.name for source in sources if (mask := find_mask(source, config.masks)) is not None})
    masked = sum(photo.mask is not None for photo in used)
    if folders and config.masks is None:
        progress.fallback(
            "whole photos",
            f"what their masks leave of {masked} of {len(used)}",
            f"a folder `{'`, `'.join(folders)}` lies in or beside that of the photos; move it away to use all of them",
        )
    return MasksFound(masked, tuple(folders), asked_for=config.masks is not None)


def _ingest(
    source: Path, earlier: list[Photo], names: Names, config: IngestConfig, out: Path, progress: Progress
) -> list[Photo]:
    """The photo of a file, or the frames of a video; where it cannot be used, one entry that says why."""
    sha256 = ""
    try:
        try:
            sha256 = digest(source)
        except OSError as error:
            raise UnusableImage(f"cannot be read ({error.strerror})") from error
        for photo in earlier:
            if photo.sha256 == sha256 and photo.excluded is None:
                # Two copies look like two views from one place and mislead every later stage.
                raise UnusableImage(f"the same file as {photo.source}")
        if is_video(source):
            return [replace(photo, sha256=sha256) for photo in _frames(source, names, config, out)]
        return [replace(_photo(source, names, config, out, progress), sha256=sha256)]
    except UnusableImage as error:
        reason = str(error)
    progress.fallback("all photos", f"the photos without {source.name}", reason)
    return [Photo(*names.claim(source.name), source.name, sha256, 0, 0, image="", excluded=reason)]


def _photo(source: Path, names: Names, config: IngestConfig, out: Path, progress: Progress) -> Photo:
    if is_raw(source):
        raise UnusableImage("a RAW file; export it as JPEG, PNG or TIFF")
    decoded = decode_image(source.read_bytes(), config.long_side)
    if min(decoded.width, decoded.height) < MIN_SIDE:
        raise UnusableImage(f"only {decoded.width}x{decoded.height} pixels; {MIN_SIDE} are needed")
    if decoded.is_panorama:
        raise UnusableImage("a panorama of 360 degrees, which no lens takes; cut flat pictures out of it")
    if decoded.colour_note is not None:
        progress.fallback("the embedded colour profile", f"sRGB for {source.name}", decoded.colour_note)
    mask = _mask(source, decoded, config)
    if mask is not None and not mask.any():
        raise UnusableImage("masked everywhere")
    name, key = names.claim(source.name)
    focal_px, focal_source = focal_prior(decoded.exif, decoded.width, decoded.height)
    image_path, mask_path = _store(key, decoded.rgb, mask, out)
    return Photo(
        name=name,
        key=key,
        source=source.name,
        sha256="",
        width=decoded.width,
        height=decoded.height,
        image=image_path,
        mask=mask_path,
        focal_px=focal_px,
        focal_source=focal_source,
        camera_group=camera_group(decoded.exif, decoded.width, decoded.height),
        sharpness=sharpness(decoded.rgb),
        exif=decoded.exif.summary(),
    )


def _frames(source: Path, names: Names, config: IngestConfig, out: Path) -> Iterator[Photo]:
    for frame in sharpest_frames(source, config.video_frames, config.long_side):
        name, key = names.claim(f"{source.stem}_{frame.index:06d}.png")
        image_path, _ = _store(key, frame.rgb, None, out)
        yield Photo(
            name=name,
            key=key,
            source=source.name,
            sha256="",
            width=frame.width,
            height=frame.height,
            image=image_path,
            camera_group=f"{source.name}, {camera_group(ExifFacts(), frame.width, frame.height)}",
            sharpness=frame.sharpness,
            time_s=frame.time_s,
        )


def _store(
    key: str, rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"] | None, out: Path
) -> tuple[str, str | None]:
    """Write the working image and the mask; where they are, relative to `out`."""
    image_path, mask_path = f"images/{key}.png", f"masks/{key}.png"
    write_png(out / image_path, rgb)
    if mask is None:
        return image_path, None
    write_png(out / mask_path, np.where(mask, np.uint8(255), np.uint8(0)))
    return image_path, mask_path


def _mask(photo: Path, decoded: DecodedImage, config: IngestConfig) -> Bool[np.ndarray, "h w"] | None:
    """The user's mask and the photo's own transparency, at working size; None where there is neither."""
    opaque = None if decoded.alpha is None else decoded.alpha >= 128
    path = find_mask(photo, config.masks)
    if path is None:
        return opaque
    try:
        check_regular(path)
        mask = decode_image(path.read_bytes(), config.long_side)
    except (UnusableImage, OSError) as error:
        raise InputError(f"The mask {path} cannot be used: {error}.", "Repair it or take it away.") from error
    if not math.isclose(mask.width * decoded.height, mask.height * decoded.width, rel_tol=0.01):
        raise InputError(
            f"The mask {path} is {mask.width}x{mask.height}, but its photo {decoded.width}x{decoded.height}.",
            "Draw masks on the upright photo, at its size or shrunk.",
        )
    grey = mask.rgb.max(axis=2)
    # Many tools write 0 and 1; a lone 1 in a mask of 0 and 255 is dark anyway.
    white = grey > 0 if grey.max() == 1 else grey >= 128
    height, width = decoded.rgb.shape[:2]
    fitted = cv2.resize(white.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) >= 0.5
    return fitted if opaque is None else fitted & opaque


def _check_count(photos: list[Photo]) -> None:
    left_out = [f"{photo.name}: {photo.excluded}" for photo in photos if photo.excluded is not None]
    usable = len(photos) - len(left_out)
    if usable >= MIN_PHOTOS:
        return
    if left_out:
        shown = "; ".join(left_out[:5]) + ("; ..." if len(left_out) > 5 else "")
        raise InputError(
            f"Of {len(photos)} photos, {usable} can be used ({shown}).",
            f"Replace or repair them: at least {MIN_PHOTOS} photos that overlap are needed.",
        )
    raise InputError(
        f"There is only one photo, {photos[0].name}.",
        f"Give at least {MIN_PHOTOS} photos that overlap; 3 to 12 work best.",
    )
