"""The program ffmpeg, as it comes with imageio-ffmpeg or the system."""

from __future__ import annotations

import signal

import imageio_ffmpeg

from fewview.recon.errors import EnvironmentFault, KilledFault


def executable() -> str:
    """Raises EnvironmentFault where there is none that starts."""
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise EnvironmentFault(
            "ffmpeg cannot be started.", "Give the command again; if that does not help, sudo apt-get install ffmpeg."
        ) from error


def check_alive(code: int, doing: str) -> None:
    """Raises KilledFault where an exit code says that ffmpeg was killed: what it left is not whole."""
    if code < 0:
        raise KilledFault(
            f"ffmpeg was killed ({signal.Signals(-code).name}) while it {doing}: maybe the system ran out of memory.",
            "Give the command again.",
        )
