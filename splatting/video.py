"""MP4 files that every player shows and that are the same bytes for the same frames."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewview.recon.io import ffmpeg

# One thread and no time stamps or encoder version, so that the bytes depend on the frames alone.
_DETERMINISTIC = ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"]
_SEEKABLE = ["-movflags", "+faststart"]


def write_mp4(path: Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: int) -> int:
    """Encode frames as H.264 (yuv420p); returns their number.

    Args:
        frames: at least one, all of one even size, sRGB.

    Raises:
        ValueError: the size is odd, or there are no frames.
        EnvironmentFault: ffmpeg is not there, or was killed.
        OSError: the file cannot be written.
    """
    shots = iter(frames)
    first = next(shots, None)
    if first is None:
        raise ValueError("a video needs at least one frame")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"H.264 needs even sizes, not {width}x{height}")
    encoder = _start(path, width, height, fps)
    assert encoder.stdin is not None
    count, whole = 0, True
    try:
        for frame in chain([first], shots):
            try:
                encoder.stdin.write(np.ascontiguousarray(frame).data)
            except BrokenPipeError:  # it has ended, and its exit code says why
                whole = False
                break
            count += 1
    except BaseException:
        encoder.kill()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            encoder.stdin.close()
        encoder.wait()
    ffmpeg.check_alive(encoder.returncode, f"wrote {path.name}")
    if encoder.returncode or not whole:
        raise OSError(f"ffmpeg ended with code {encoder.returncode} while it wrote {path}")
    return count


def _start(path: Path, width: int, height: int, fps: int) -> subprocess.Popen[bytes]:
    """ffmpeg, which takes frames on its standard input. imageio's writer does not look at how ffmpeg ended."""
    raw = ["-f", "rawvideo", "-s", f"{width}x{height}", "-pix_fmt", "rgb24", "-r", str(fps), "-i", "-"]
    encoded = ["-an", "-vcodec", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-preset", "medium"]
    command = [ffmpeg.executable(), "-y", "-v", "error", *raw, *encoded, *_DETERMINISTIC, *_SEEKABLE, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0)
