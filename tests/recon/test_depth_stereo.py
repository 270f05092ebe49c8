"""PatchMatch stereo and verification against exact depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from depth_scene import WALL_AND_FLOOR, look, photograph, sparse_points, three_views

from fewview.recon.depth import patchmatch
from fewview.recon.depth.consistency import agreement, verified
from fewview.recon.depth.sources import SparsePoints, choose_sources, depth_range
from fewview.recon.depth.stereo import StereoJob, estimate
from fewview.recon.errors import ReconstructionError


@pytest.fixture(scope="module")
def scene():
    views, depths = three_views()
    return views, depths, sparse_points(views, depths)


def run_stereo(views, points, threads=2, count=3):
    sources = choose_sources(views, points, count)
    jobs = [StereoJob(sources[i], *depth_range(views, points, i)) for i in range(len(views))]
    maps = estimate(views, jobs, geometric_rounds=2, seed=0, threads=threads, progress=lambda done, total: None)
    return sources, maps


@pytest.fixture(scope="module")
def estimated(scene):
    views, _, points = scene
    return run_stereo(views, points)


def test_verified_depth_is_the_truth(scene, estimated):
    views, depths, _ = scene
    sources, maps = estimated
    for i, view in enumerate(views):
        agreed = agreement(view, maps[i], [views[j] for j in sources[i]], [maps[j] for j in sources[i]])
        keep = verified(maps[i], agreed)
        error = np.abs(1 / maps[i].inverse[keep] / depths[i][keep] - 1)
        assert keep.mean() > 0.7
        assert (error < 0.01).mean() > 0.93
        assert (error < 0.02).mean() > 0.97


def test_normals_are_those_of_the_planes(scene, estimated):
    views, depths, _ = scene
    normal = estimated[1][1].normals(views[1].camera) @ views[1].T_world_camera[:3, :3].T
    np.testing.assert_allclose(np.linalg.norm(normal, axis=-1), 1, atol=1e-5)
    floor = np.zeros(depths[1].shape, bool)
    floor[-25:-5, 10:50] = True  # floor only, at the lower left
    wall = np.zeros(depths[1].shape, bool)
    wall[5:30, 20:140] = True
    # Both face the camera at the world's origin: the wall looks along -z, the floor up, along -y.
    assert np.median(normal[floor] @ (0, -1, 0)) > np.cos(np.radians(8))
    assert np.median(normal[wall] @ (0, 0, -1)) > np.cos(np.radians(8))


def test_threads_do_not_change_a_bit(scene, estimated):
    views, _, points = scene
    _, alone = run_stereo(views, points, threads=1)
    for a, b in zip(estimated[1], alone, strict=True):
        for field in ("inverse", "gradient_x", "gradient_y", "cost"):
            assert np.array_equal(getattr(a, field), getattr(b, field))


def test_instruction_sets_agree(scene):
    views, _, _ = scene
    schedule = patchmatch.Schedule(rounds=0, planes=32)
    fast, plain = (
        patchmatch.match(views[1], [views[0], views[2]], (0.1, 0.5), schedule, threads=2, simd=simd)
        for simd in (True, False)
    )
    # Fused multiplications round differently, so near-ties may fall either way.
    assert np.mean(np.abs(fast.cost - plain.cost) < 1e-3) > 0.999
    assert np.mean(np.isclose(fast.inverse, plain.inverse, rtol=1e-5)) > 0.999


def test_a_wrong_camera_is_not_verified(scene):
    views, _, points = scene
    tilt = np.eye(4)
    tilt[:3, :3] = look((0, 0, 0), (0.12, 0.1, 1))[:3, :3]
    wrong = [views[0], views[1], replace(views[2], T_world_camera=views[2].T_world_camera @ tilt)]
    sources, maps = run_stereo(wrong, points)
    agreed = agreement(wrong[2], maps[2], [wrong[j] for j in sources[2]], [maps[j] for j in sources[2]])
    assert verified(maps[2], agreed).mean() < 0.1


def test_masked_pixels_neither_get_nor_give_depth(scene):
    views, _, points = scene
    mask = views[1].mask.copy()
    mask[:, :80] = False
    masked = [views[0], replace(views[1], mask=mask), views[2]]
    _, maps = run_stereo(masked, points)
    assert not maps[1].inverse[:, :80].any()
    # A pixel that only the masked half of view 1 shows cannot be confirmed by it.
    agreed = agreement(masked[0], maps[0], [masked[1]], [maps[1]])
    full = run_stereo(views, points)[1]
    before = agreement(views[0], full[0], [views[1]], [full[1]])
    assert (agreed.count > 0).sum() < 0.75 * (before.count > 0).sum()


def test_one_source_is_enough(scene):
    views, depths, points = scene
    pair, truth = views[:2], depths[:2]
    two = SparsePoints(points.xyz, points.seen[:2])
    sources, maps = run_stereo(pair, two)
    assert sources == [[1], [0]]
    keep = verified(maps[0], agreement(pair[0], maps[0], [pair[1]], [maps[1]]))
    assert keep.mean() > 0.5
    assert (np.abs(1 / maps[0].inverse[keep] / truth[0][keep] - 1) < 0.02).mean() > 0.95


def test_sources_overlap_and_have_parallax(scene):
    views, depths, _ = scene
    away, depth = photograph(WALL_AND_FLOOR, look((0, 0, 0), (0, 0.2, -4)), "away")
    twin, twin_depth = photograph(WALL_AND_FLOOR, views[0].T_world_camera, "twin")
    everything, truth = [*views, away, twin], [*depths, depth, twin_depth]
    chosen = choose_sources(everything, sparse_points(everything, truth), 3)
    assert set(chosen[0]) == {1, 2}  # neither the one that looks away nor the one from the same place
    assert 3 not in {j for row in chosen for j in row}


def test_a_view_without_points_names_itself(scene):
    views, _, _ = scene
    nothing = SparsePoints(np.zeros((0, 3)), [np.zeros(0, int)] * 3)
    with pytest.raises(ReconstructionError, match="No triangulated point lies in front of view1"):
        depth_range(views, nothing, 1)


def test_kernel_refuses_what_it_cannot_do(scene):
    views, _, _ = scene
    with pytest.raises(ValueError, match="0 sources"):
        patchmatch.match(views[0], [], (0.1, 1), patchmatch.Schedule(rounds=1, planes=8), threads=1)
    with pytest.raises(ValueError, match="starting state"):
        patchmatch.match(views[0], views[1:], (0.1, 1), patchmatch.Schedule(rounds=1), threads=1)
