"""Of the pixels with confidence p, a share p is within 2 % of the truth: on a room the fit has not seen."""

from __future__ import annotations

import numpy as np
import pytest
from depth_scene import sparse_points

from fewview.data.gallery import generate
from fewview.recon.depth import DepthConfig
from fewview.recon.depth.artifact import VERIFIED
from fewview.recon.depth.stage import dense_depth
from fewview.recon.progress import LogProgress
from fewview.recon.scene import PosedImage


@pytest.fixture(scope="module")
def room():
    """A room with plain walls, three photos."""
    shots = generate(31, views=3, plain_walls=True, size=(512, 384)).shots
    views = [
        PosedImage(
            shot.view.name,
            shot.view.camera,
            shot.view.T_world_camera,
            shot.image.astype(np.float32) / 255,
            np.ones(shot.depth.shape, bool),
        )
        for shot in shots
    ]
    depths = [shot.depth for shot in shots]
    maps, _ = dense_depth(views, sparse_points(views, depths), DepthConfig(), 2, LogProgress())
    source = np.stack([m.source for m in maps])
    confidence = np.stack([m.confidence for m in maps]).astype(np.float32)
    error = np.abs(np.stack([m.depth for m in maps]) / np.stack(depths) - 1)
    return source, confidence, error


@pytest.mark.parametrize(("verified", "tolerance"), [(True, 0.06), (False, 0.12)])
def test_confidence_is_a_probability(room, verified, tolerance):
    source, confidence, error = room
    chosen = (source > 0) & ((source == VERIFIED) == verified)
    p, right = confidence[chosen], error[chosen] < 0.02
    bins = np.minimum((p * 10).astype(int), 9)
    share = np.bincount(bins, minlength=10) / len(p)
    gaps = np.array([abs(p[bins == b].mean() - right[bins == b].mean()) if (bins == b).any() else 0 for b in range(10)])
    assert (share * gaps).sum() < tolerance  # expected calibration error
    # It also tells good from bad: the surer half is right more often.
    median = np.median(p)
    assert right[p > median].mean() > right[p <= median].mean() + 0.02


def test_a_room_with_blank_walls_is_mostly_right(room):
    source, _, error = room
    assert (source == VERIFIED).mean() < 0.8  # there is something to complete
    assert (error[source == VERIFIED] < 0.03).mean() > 0.9
    assert (error < 0.03).mean() > 0.9
