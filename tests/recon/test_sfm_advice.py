"""Verdicts: overlap, and what to photograph next."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from sfm_scene import MatchedScene, project, scene


def test_well_tied_photos_need_no_advice(tmp_path: Path) -> None:
    views, points = scene(4)
    made = MatchedScene(tmp_path, views, points, noise_px=0.2, camera_group="phone")
    for a, b in combinations(range(4), 2):
        made.match(a, b, true=200)
    cameras, progress = made.run()
    assert cameras.advice == ()
    assert "advice" not in progress.facts
    assert all(verdict.overlap is not None and verdict.overlap > 0.95 for verdict in cameras.verdicts)


def test_weak_ties_and_photos_left_out_name_where_one_is_missing(tmp_path: Path) -> None:
    views, points = scene(6)
    made = MatchedScene(tmp_path, views, points, noise_px=0.2, camera_group="phone")
    for a, b in combinations(range(6), 2):
        if b == 5:
            made.match(a, b, true=0)
        elif b == 4:
            made.match(a, b, true=70 if a == 3 else 0)
        else:
            made.match(a, b, true=200)
    cameras, _ = made.run()
    assert len(cameras.views) == 5
    tie, missing = cameras.advice
    assert tie == "3.png and 4.png share only 70 points: take a photo between the two."
    assert missing == "5.png was not placed: take photos on the way from the others to it."
    assert cameras.verdicts[5].overlap is None


def test_a_side_that_no_other_photo_sees_is_named(tmp_path: Path) -> None:
    views, points = scene(3)
    made = MatchedScene(tmp_path, views, points, noise_px=0.2, camera_group="phone")
    width, height = views[0].camera.width, views[0].camera.height
    beyond = np.flatnonzero(project(views[0], points)[:, 0] > width / 4)
    for a, b in combinations(range(3), 2):
        made.write(a, b, np.stack([beyond, beyond], axis=1))
    # The first photo shows more than the others on its left: keypoints that match nothing.
    file = tmp_path / "matches" / "features" / "0.npz"
    with np.load(file) as features:
        xy = features["keypoints"]
    more = made.random.uniform([0, 0], [width / 4, height], (300, 2)).astype(np.float32)
    np.savez(file, keypoints=np.concatenate([xy, more]), scores=np.ones(len(xy) + 300))
    cameras, progress = made.run()
    assert cameras.advice == ("No other photo sees the left of 0.png: take one from there, further to the left.",)
    assert progress.facts["bare_sides"] == [["0.png", "left"]]
    assert cameras.verdicts[0].overlap < 0.9 < cameras.verdicts[1].overlap


def test_a_plane_is_said_to_be_one(tmp_path: Path) -> None:
    views, points = scene(4)
    made = MatchedScene(tmp_path, views, points * [1, 1, 0], noise_px=0.2, focal_px=900.0, camera_group="phone")
    for a, b in combinations(range(4), 2):
        made.match(a, b, true=200, model="planar")
    cameras, _ = made.run()
    assert len(cameras.views) == 4
    assert cameras.advice == (
        "All that the photos share lies in one plane, which tells little of focal lengths: "
        "take photos that also show things before or behind it.",
    )
