"""Synthetic people: limbs keep their lengths, feet stay near the floor, detectors err as they are told."""

from __future__ import annotations

import numpy as np

from fewview.calibration.skeleton import INDEX
from fewview.data.people import CaptureConfig, Walker, capture, ring

SECONDS = np.linspace(0, 60, 600)


def test_limbs_are_rigid_and_stand_on_the_floor() -> None:
    joints = Walker(1.8, 11).joints(SECONDS)
    for a, b, length in (("hip", "knee", 0.245), ("knee", "ankle", 0.246), ("shoulder", "elbow", 0.186)):
        for side in ("left", "right"):
            d = joints[:, INDEX[f"{side}_{a}"]] - joints[:, INDEX[f"{side}_{b}"]]
            np.testing.assert_allclose(np.linalg.norm(d, axis=1), length * 1.8, rtol=1e-9)
    lowest = joints[..., 1].max(axis=1)
    assert np.abs(np.median(lowest)) < 0.06
    assert np.abs(joints[..., [0, 2]]).max() < 2.5
    # Smooth: nothing moves faster than a sprinter's hand.
    fine = Walker(1.8, 11).joints(np.arange(300) / 100)
    assert np.linalg.norm(np.diff(fine, axis=0), axis=2).max() * 100 < 15


def test_captures_err_as_told_and_repeat() -> None:
    views = ring(2, 0)
    walkers = [Walker(1.7, 1)]
    perfect = CaptureConfig(duration_s=10.0, latest_start_s=1.0, noise_px=0.0, dropouts=0.0)
    noisy = CaptureConfig(duration_s=10.0, latest_start_s=1.0, noise_px=2.0, dropouts=0.2)
    a, b, again = (capture(views, walkers, c, 5) for c in (perfect, noisy, noisy))
    assert a.offsets_s["cam01"] == 0
    assert a.offsets_s["cam02"] % (1 / 30) > 1e-6
    for found, same in zip(b.detections, again.detections, strict=True):
        assert found.xy.tobytes() == same.xy.tobytes()
        assert ((found.confidence > 0) == np.isfinite(found.xy).all(axis=-1)).all()
    first, second = a.detections[0], b.detections[0]
    both = (first.confidence > 0) & (second.confidence > 0)
    assert abs((second.confidence > 0).sum() / (first.confidence > 0).sum() - 0.8) < 0.03
    assert abs((second.xy - first.xy)[both].std() - 2.0) < 0.1
