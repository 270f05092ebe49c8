"""Frames of videos that are made here, by the ffmpeg that imageio brings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from fewview.recon.io.images import UnusableImage
from fewview.recon.io.video import sharpest_frames

SHARP = {7, 26, 41}
"""Of 60 frames: one in the middle half of each third, (5..14), (25..34), (45..54), but for the last."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames, 30 a second: noise with a bright top-left corner, blurred but for `SHARP` and 50."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    writer = imageio_ffmpeg.write_frames(
        str(path), (160, 96), fps=30, codec="libx264", quality=9, macro_block_size=1, ffmpeg_log_level="error"
    )
    writer.send(None)
    noise = cv2.resize(rng.integers(0, 160, (24, 40, 3), np.uint8), (160, 96), interpolation=cv2.INTER_NEAREST)
    noise[:24, :40] = 255
    for index in range(60):
        frame = noise if index in SHARP | {50} else cv2.GaussianBlur(noise, (0, 0), 3)
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    return path


def _ffmpeg(*words: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *words], check=True)


def test_the_sharpest_of_each_part_is_taken(clip: Path) -> None:
    frames = sharpest_frames(clip, 3, 1024)
    # 41 is as sharp as 50, but at the edge of its part.
    assert [frame.index for frame in frames] == [7, 26, 50]
    assert [frame.time_s for frame in frames] == pytest.approx([7 / 30, 26 / 30, 50 / 30], abs=1e-6)
    assert {(frame.width, frame.height, frame.rgb.shape) for frame in frames} == {(160, 96, (96, 160, 3))}
    assert frames[0].rgb[5, 5].min() > 230


def test_rotation_of_the_container_is_honoured(clip: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mov"
    _ffmpeg("-display_rotation", "90", "-i", str(clip), "-c", "copy", str(turned))
    (upright,) = sharpest_frames(clip, 1, 1024)
    (frame,) = sharpest_frames(turned, 1, 1024)
    assert (frame.width, frame.height) == (96, 160)
    # ffmpeg's angle is counter-clockwise.
    assert np.abs(frame.rgb.astype(int) - np.rot90(upright.rgb)).mean() < 2


def test_a_video_that_announces_no_length(clip: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.h264"
    _ffmpeg("-i", str(clip), "-c", "copy", "-bsf:v", "h264_mp4toannexb", str(bare))
    assert cv2.VideoCapture(str(bare)).get(cv2.CAP_PROP_FRAME_COUNT) != 60
    assert [frame.index for frame in sharpest_frames(bare, 3, 1024)] == [7, 26, 50]


def test_a_short_video_gives_all_it_has(clip: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    _ffmpeg("-i", str(clip), "-frames:v", "4", str(short))
    assert [frame.index for frame in sharpest_frames(short, 12, 80)] == [0, 1, 2, 3]
    assert sharpest_frames(short, 12, 80)[0].rgb.shape == (48, 80, 3)


def test_not_a_video(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    for data in (b"these are words", clip.read_bytes()[:500]):
        broken.write_bytes(data)
        with pytest.raises(UnusableImage, match=r"^not a video that can be decoded$"):
            sharpest_frames(broken, 3, 1024)
