"""How long something takes, as people read it."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A measured time: 4.2 s, 42 s, 3 min 05 s, 1 h 02 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def rough(seconds: float) -> str:
    """A guess, rounded as such deserves: 5 seconds, 1 minute, 90 minutes, 3 hours."""
    if seconds < 50:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    if seconds < 90:
        return "1 minute"
    return f"{seconds / 60:.0f} minutes" if seconds < 100 * 60 else f"{seconds / 3600:.0f} hours"
