"""Which stretch of long videos is looked at, so that the cost does not grow with their length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewview.calibration.observations import Detections

CLIP_S = 60.0
"""Videos that are longer are synchronised and first calibrated on one clip of this length."""
_CANDIDATES = 12
_PROBES = 48


def choose_clip(take: Sequence[Detections]) -> list[tuple[int, int]]:
    """Frames [start, stop) of every camera: all, or the clip in which the cameras see people move most, all clips at
    the same place on the cameras' own clocks."""
    longest = min(len(d.xy) / d.fps for d in take)
    if longest <= CLIP_S:
        # Even where one camera ran on for hours alone.
        return [(0, min(len(d.xy), round((longest + CLIP_S) * d.fps))) for d in take]
    starts = np.linspace(0, longest - CLIP_S, _CANDIDATES)
    scores = [sum(_liveliness(d, start) for d in take) for start in starts]
    start = starts[int(np.argmax(scores))]
    return [(round(start * d.fps), round((start + CLIP_S) * d.fps)) for d in take]


def _liveliness(d: Detections, start_s: float) -> float:
    """How surely, and over how much of the picture, a clip shows people."""
    frames = np.linspace(start_s * d.fps, (start_s + CLIP_S) * d.fps - 1, _PROBES).astype(int)
    confidence = np.nan_to_num(d.confidence[frames])
    seen = float(confidence.max(axis=1).mean())
    xy = np.where(confidence[..., None] > 0, d.xy[frames], np.nan).reshape(-1, 2)
    xy = xy[np.isfinite(xy).all(axis=1)]
    spread = float((xy.std(axis=0) / np.array(d.size)).sum()) if len(xy) else 0.0
    return seen * (0.2 + spread)
