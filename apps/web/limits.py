"""What a visitor may ask of the app."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Everything beyond one of these is refused, and the message names it."""

    files: int = 100
    """Photos and videos of a run."""
    photo_bytes: int = 100 * MIB
    video_bytes: int = 2048 * MIB
    upload_bytes: int = 4096 * MIB
    """All files that are sent at once."""
    megapixels: int = 100
    """Of a photo; read from its header, before anything is decoded."""
    waiting: int = 8
    """Runs in the queue beside the one at work."""
    kept_hours: float = 24.0
    """Runs and uploads that nobody touched for so long are deleted."""
    free_bytes: int = 2048 * MIB
    """No run starts where less disk space is left."""


LIMITS = Limits()
