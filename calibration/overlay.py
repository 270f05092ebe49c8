"""Motion drawn over the videos of its rig: what was found, as every camera would see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from fewview.calibration.detect.videos import frames_of, video_facts
from fewview.calibration.observations import Motion
from fewview.calibration.skeleton import BONES
from fewview.recon.scene import View

_HEIGHT, _ACROSS = 480, 4
"""Of a camera's picture in pixels, and how many stand in a row."""
_COLOURS = ((255, 90, 60), (60, 170, 255), (120, 220, 80), (255, 200, 40), (200, 110, 255), (80, 230, 220))
"""RGB, one a person, in the order of the motion."""


def overlay_frames(
    views: Sequence[View], offsets_s: Mapping[str, float], motion: Motion, videos: Mapping[str, Path], step: int
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Every `step`-th frame of the motion over all cameras' pictures of its time, side by side; even sizes.

    A camera whose video does not reach that time is black.

    Args:
        offsets_s: see `Rig.offsets_s`.
        videos: by camera, of every view.

    Raises:
        InputError: a file is no video.
    """
    instants = motion.start_s + np.arange(0, len(motion.xyz), step) / motion.fps
    widths = [round(_HEIGHT * view.camera.width / view.camera.height / 2) * 2 for view in views]
    width, rows = max(widths), -(-len(views) // _ACROSS)
    pictures = [_pictures(videos[view.name], instants - offsets_s[view.name]) for view in views]
    for number, shots in enumerate(zip(*pictures, strict=True)):
        out = np.zeros((rows * _HEIGHT, min(len(views), _ACROSS) * width, 3), np.uint8)
        for k, (view, shot) in enumerate(zip(views, shots, strict=True)):
            if shot is not None:
                picture = cv2.resize(shot, (widths[k], _HEIGHT), interpolation=cv2.INTER_AREA)
                _draw(picture, view, motion.xyz[number * step])
                top, left = k // _ACROSS * _HEIGHT, k % _ACROSS * width
                out[top : top + _HEIGHT, left : left + widths[k]] = picture
        yield out


def _pictures(video: Path, clock_s: Float[np.ndarray, " N"]) -> Iterator[UInt8[np.ndarray, "h w 3"] | None]:
    """The frame of each instant of the camera's clock, which run upwards; the last one before where one was dropped."""
    fps = video_facts(video).fps
    frames = frames_of(video, fps)
    ahead = next(frames, None)
    shown: tuple[int, UInt8[np.ndarray, "h w 3"]] | None = None
    for wanted in np.round(clock_s * fps).astype(int):
        while ahead is not None and ahead[0] <= wanted:
            shown, ahead = ahead, next(frames, None)
        over = ahead is None and shown is not None and wanted > shown[0]
        yield None if shown is None or over else shown[1]


def _draw(picture: UInt8[np.ndarray, "h w 3"], view: View, people: Float[np.ndarray, "P J 3"]) -> None:
    T = view.T_camera_world
    pixels = view.camera.project(people @ T[:3, :3].T + T[:3, 3])
    pixels = pixels * picture.shape[0] / view.camera.height - 0.5
    for person, joints in enumerate(pixels):
        seen = (np.abs(joints) < 4 * _HEIGHT).all(axis=1)  # NaN, and what lies far outside, is not
        for a, b in BONES:
            if seen[a] and seen[b]:
                start, end = joints[[a, b]].round().astype(int).tolist()
                cv2.line(picture, start, end, _COLOURS[person % len(_COLOURS)], 2, cv2.LINE_AA)
    cv2.putText(picture, view.name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
