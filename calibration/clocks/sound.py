"""Time offsets of videos by the sound that they recorded together."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.ndimage import uniform_filter1d
from scipy.signal import correlate, stft

from fewview.recon.io import ffmpeg

_RATE_HZ = 16_000
_HOP = 80
"""Samples between spectra: 5 ms, a third of a frame at 60 a second."""
_WINDOW = 512
_BANDS = 24
_MIN_SCORE = 0.3
"""Normalised correlation below which two tracks are not of one event."""
_MIN_OVERLAP_S = 2.0


def offsets_by_sound(videos: Mapping[str, Path]) -> dict[str, float]:
    """Seconds to add to each camera's clock to get the first one's, for those that can be tied to the first by sound.

    The spectra's changes of loudness in bands are cross-correlated (Haitsma and Kalker 2002 use their signs): they
    survive different microphones and rooms. Sound needs 3 ms a metre, so this is no better than a frame.

    Returns:
        Empty where fewer than two videos have sound of one event.
    """
    tracks = {camera: _changes(sound) for camera, video in videos.items() if (sound := read_sound(video)) is not None}
    if len(tracks) < 2:
        return {}
    cameras = list(tracks)
    offsets = {cameras[0]: 0.0}
    for camera in cameras[1:]:
        lag, score = best_lag(tracks[cameras[0]], tracks[camera])
        if score >= _MIN_SCORE:
            offsets[camera] = lag * _HOP / _RATE_HZ
    return offsets if len(offsets) > 1 else {}


def read_sound(video: Path) -> Float[np.ndarray, " N"] | None:
    """The sound track, mono at 16 kHz; None where there is none, or it is silent or shorter than 2 s.

    Raises:
        EnvironmentFault: ffmpeg is not there, or was killed.
    """
    command = [ffmpeg.executable(), "-nostdin", "-v", "error", "-i", str(video), "-map", "0:a:0"]
    command += ["-ac", "1", "-ar", str(_RATE_HZ), "-f", "s16le", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    ffmpeg.check_alive(done.returncode, f"read the sound of {video.name}")
    samples = np.frombuffer(done.stdout[: len(done.stdout) // 2 * 2], "<i2").astype(np.float64) / 2**15
    if done.returncode != 0 or len(samples) < _MIN_OVERLAP_S * _RATE_HZ or not samples.any():
        return None
    return samples


def best_lag(a: Float[np.ndarray, "N B"], b: Float[np.ndarray, "M B"]) -> tuple[float, float]:
    """By how many steps `b` starts after `a` (refined between steps), and the normalised correlation there."""
    total = sum(correlate(a[:, k], b[:, k], method="fft") for k in range(a.shape[1]))
    lags = np.arange(-len(b) + 1, len(a))
    # Energy of either track over the part where they overlap at each lag.
    shared = [correlate((track**2).sum(1), np.ones(n), method="fft") for track, n in ((a, len(b)), (b, len(a)))]
    energy = np.sqrt(np.maximum(shared[0], 1e-12) * np.maximum(shared[1][::-1], 1e-12))
    overlap = np.minimum(len(a), lags + len(b)) - np.maximum(0, lags)
    scores = np.where(overlap * _HOP >= _MIN_OVERLAP_S * _RATE_HZ, total / energy, -1.0)
    k = int(scores.argmax())
    if not 0 < k < len(scores) - 1:
        return float(lags[k]), float(scores[k])
    before, here, after = scores[k - 1 : k + 2]
    curve = before - 2 * here + after
    return float(lags[k]) + (0.5 * (before - after) / curve if curve < 0 else 0.0), float(here)


def _changes(sound: Float[np.ndarray, " N"]) -> Float[np.ndarray, "T B"]:
    """Changes of log energy in bands, whitened over time."""
    frequencies, _, spectrum = stft(sound, _RATE_HZ, nperseg=_WINDOW, noverlap=_WINDOW - _HOP, padded=False)
    edges = np.geomspace(200, 6000, _BANDS + 1)
    energy = np.abs(spectrum) ** 2
    bands = [energy[(frequencies >= low) & (frequencies < high)].sum(0) for low, high in itertools.pairwise(edges)]
    loudness = np.log(np.array(bands).T + 1e-8)
    change = np.diff(uniform_filter1d(loudness, 3, axis=0), axis=0)
    return (change - change.mean(0)) / (change.std(0) + 1e-9)
