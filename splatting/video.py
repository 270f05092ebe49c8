"""MP4 files that every player shows and that are the same bytes for the same frames."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8

# One thread and no time stamps or encoder version, so that the bytes depend on the frames alone.
_DETERMINISTIC = ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"]
_SEEKABLE = ["-movflags", "+faststart"]


def write_mp4(path: Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: int) -> int:
    """Encode frames as H.264 (yuv420p); returns their number.

    Args:
        frames: at least one, all of one even size, sRGB.

    Raises:
        ValueError: the size is odd, or there are no frames.
    """
    writer = None
    count = 0
    try:
        for frame in frames:
            height, width = frame.shape[:2]
            if writer is None:
                if height % 2 or width % 2:
                    raise ValueError(f"H.264 needs even sizes, not {width}x{height}")
                writer = imageio_ffmpeg.write_frames(
                    str(path), (width, height), fps=fps, codec="libx264", pix_fmt_in="rgb24", pix_fmt_out="yuv420p",
                    quality=None, macro_block_size=2, ffmpeg_log_level="error",
                    output_params=["-crf", "18", "-preset", "medium", *_DETERMINISTIC, *_SEEKABLE],
                )  # fmt: skip
                writer.send(None)
            writer.send(np.ascontiguousarray(frame))
            count += 1
    finally:
        if writer is not None:
            writer.close()
    if not count:
        raise ValueError("a video needs at least one frame")
    return count
