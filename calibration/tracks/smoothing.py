"""Motion without jitter and single wild frames, gap by gap."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, sosfiltfilt

CUTOFF_HZ = 6.0
"""People hardly move faster (Winter 2009, Biomechanics and Motor Control of Human Movement, section 2.4)."""
_HAMPEL_FRAMES = 5
_HAMPEL_DEVIATIONS = 3.0


def smooth_motion(xyz: Float[np.ndarray, "T *N 3"], fps: float) -> Float[np.ndarray, "T *N 3"]:
    """Hampel's filter against wild frames, then a zero-lag second-order Butterworth low pass over every run without a
    gap. Runs too short for the filter stay as they are; nothing is invented in gaps."""
    flat = xyz.reshape(len(xyz), -1, 3).copy()
    low = butter(2, min(CUTOFF_HZ, 0.45 * fps), fs=fps, output="sos")
    shortest = 3 * (2 * len(low) + 1) + 1
    for track in range(flat.shape[1]):
        known = np.isfinite(flat[:, track, 0])
        edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
        for start, stop in edges.reshape(-1, 2):
            if stop - start >= shortest:
                run = _hampel(flat[start:stop, track])
                flat[start:stop, track] = sosfiltfilt(low, run, axis=0)
    return flat.reshape(xyz.shape)


def _hampel(run: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
    padded = np.pad(run, ((_HAMPEL_FRAMES, _HAMPEL_FRAMES), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HAMPEL_FRAMES + 1, axis=0)
    median = np.median(windows, axis=2)
    miss = np.linalg.norm(run - median, axis=1)
    spread = np.median(np.linalg.norm(windows - median[..., None], axis=1), axis=1)
    wild = miss > _HAMPEL_DEVIATIONS * 1.4826 * spread + 1e-12
    return np.where(wild[:, None], median, run)
