"""Stage `photos` of a rig of videos: one picture a camera, of a moment or of the room without its people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tyro
from jaxtyping import Bool, UInt8

from fewview.calibration.artifact import load_rig, load_takes
from fewview.calibration.detect.videos import frames_of
from fewview.calibration.inputs.rig import find_cameras
from fewview.calibration.observations import Detections
from fewview.calibration.skeleton import ACROSS, INDEX, SIDED
from fewview.recon.errors import InputError
from fewview.recon.io.images import sharpness, shrink_to, write_png
from fewview.recon.io.inputs import Names, digest
from fewview.recon.photos import STAGE_NAME, Photo, PhotoCount, PhotosFacts, save_photos
from fewview.recon.progress import Progress
from fewview.recon.stage import StageSpec

_TRUNK = (
    ("nose", "left_shoulder"), ("nose", "right_shoulder"),
    ("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"),
)  # fmt: skip
_LIMBS = tuple((INDEX[a], INDEX[b]) for a, b in ACROSS + _TRUNK + SIDED)
_THICKNESS = 0.16
"""Of a limb with its clothes, to either side, as a share of the person's height in the picture."""
_EMPTY = 3
"""Frames in which a pixel must be without people to count as seen."""


@dataclass(frozen=True)
class MomentConfig:
    """Which picture of its videos a rig gives."""

    videos: tyro.conf.Suppress[Path] = field(default=Path(), metadata={"key": False})
    """Folder of the first take; the command line has its own place for it."""
    long_side: tyro.conf.Suppress[int] = 1024
    """Of the working images, in pixels: as for photos."""
    time_s: float | None = None
    """On the first camera's clock; None: the background, the median of frames where no person covers it."""
    frames: int = 30
    """Of each video, for the background."""

    def sources(self) -> tuple[Path, ...]:
        """Raises InputError where there are no videos."""
        found = tuple(each.video for each in find_cameras(self.videos) if each.video is not None)
        if len(found) < 2:
            raise InputError(
                f"{self.videos} holds {len(found)} videos: there is nothing to take pictures of.",
                "Put the rig's videos there, named like the cameras.",
            )
        return found


def run(inputs: Mapping[str, Path], config: MomentConfig, out: Path, progress: Progress) -> None:
    """Fill `out` like the stage `photos` (docs/artifacts.md); photos are named like their cameras.

    Args:
        inputs: `keypoints` and `motion`.

    Raises:
        InputError: no frame of a video is from that moment.
    """
    take = load_takes(inputs["keypoints"])[0]
    offsets = load_rig(inputs["motion"]).offsets_s
    cameras = {each.camera: each for each in take.detections}
    (out / "images").mkdir()
    (out / "masks").mkdir()
    names, photos = Names(), []
    found = [each for each in find_cameras(config.videos) if each.video is not None and each.camera in cameras]
    for done, each in enumerate(found):
        progress.step(done, len(found), "video")
        assert each.video is not None
        name, key = names.claim(f"{each.camera}.png")
        seen = cameras[each.camera]
        if config.time_s is None:
            rgb, mask, size = background(each.video, seen, config)
        else:
            # A camera that was not placed has no clock; it may still be placed by matching, so it gets a picture.
            local = config.time_s - offsets.get(each.camera, 0.0)
            rgb, mask, size = _frame(each.video, round(local * seen.fps), seen.fps, config.long_side)
        write_png(out / "images" / f"{key}.png", rgb)
        if mask is not None:
            write_png(out / "masks" / f"{key}.png", np.where(mask, np.uint8(255), np.uint8(0)))
        photos.append(
            Photo(
                name=name,
                key=key,
                source=each.video.name,
                sha256=digest(each.video),
                width=size[0],
                height=size[1],
                image=f"images/{key}.png",
                mask=None if mask is None else f"masks/{key}.png",
                camera_group=each.video.name,
                sharpness=sharpness(rgb),
                time_s=config.time_s,
            )
        )
    save_photos(out, photos)
    picture = "background" if config.time_s is None else f"moment {config.time_s:g} s"
    progress.tell(PhotosFacts(photos=PhotoCount(len(photos), len(photos)), picture=picture))


def background(
    video: Path, seen: Detections, config: MomentConfig
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"] | None, tuple[int, int]]:
    """The median of frames where no person is; pixels that people cover nearly always are masked out.

    Returns:
        Picture at working size, mask (True: use; None where all may be used), and size of the video.

    Raises:
        InputError: none of the frames that have keypoints can be decoded.
    """
    wanted = set(np.linspace(0, len(seen.xy) - 1, config.frames).round().astype(int).tolist())
    pictures, free = [], []
    for number, rgb in frames_of(video, seen.fps):
        if number in wanted:
            pictures.append(shrink_to(rgb, config.long_side))
            free.append(~people_mask(seen, number, pictures[-1].shape[:2]))
            size = rgb.shape[1], rgb.shape[0]
    if not pictures:
        raise InputError(f"{video.name} ends before its keypoints begin.", "Give the video that they were found in.")
    stack, empty = np.stack(pictures), np.stack(free)
    count = empty.sum(axis=0)
    mask = count >= min(_EMPTY, len(pictures))
    empty |= ~mask
    count = empty.sum(axis=0)
    # Covered frames are sorted to the end; the median is that of the first `count`.
    stack[~empty] = 255
    stack.sort(axis=0)
    low, high = (np.take_along_axis(stack, k[None, ..., None], 0)[0] for k in ((count - 1) // 2, count // 2))
    picture = ((low.astype(np.uint16) + high + 1) // 2).astype(np.uint8)
    return picture, None if mask.all() else mask, size


def people_mask(seen: Detections, frame: int, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """True where people are in a frame, by their keypoints drawn as thick limbs."""
    drawn = np.zeros(shape, np.uint8)
    scale = np.array([shape[1] / seen.size[0], shape[0] / seen.size[1]])
    for xy in seen.xy[frame] * scale:
        known = np.isfinite(xy).all(axis=-1)
        if known.sum() < 2:
            continue
        width = max(1, round(_THICKNESS * float(np.ptp(xy[known], axis=0).max())))
        for a, b in _LIMBS:
            if known[a] and known[b]:
                (ax, ay), (bx, by) = xy[[a, b]].round().astype(int).tolist()
                cv2.line(drawn, (ax, ay), (bx, by), 1, width)
    return drawn > 0


def _frame(
    video: Path, number: int, fps: float, long_side: int
) -> tuple[UInt8[np.ndarray, "h w 3"], None, tuple[int, int]]:
    for here, rgb in frames_of(video, fps):
        if here == number:
            return shrink_to(rgb, long_side), None, (rgb.shape[1], rgb.shape[0])
    raise InputError(
        f"{video.name} has no frame {number}: it does not reach that moment.", "Choose another --moment.time-s."
    )


STAGE = StageSpec(
    name=STAGE_NAME,
    title="Photos",
    run=run,
    Config=MomentConfig,
    Facts=PhotosFacts,
    needs=("keypoints", "motion"),
    sources=MomentConfig.sources,
    typical_s=1.0,
)
