"""Photos that record no lens share one, unless what they show says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sfm_scene import MatchedScene, pair_errors, scene

from fewview.recon.io.cameras import CameraSet
from fewview.recon.progress import LogProgress
from fewview.recon.scene import View
from fewview.recon.sfm.mapping import Sensors, divided


def _zoomed(count: int, ratios: Mapping[int, float]) -> tuple[list[View], np.ndarray]:
    """Views of which some are taken at so many times the focal length of the others, all of one size a way up."""
    views, points = scene(count)
    for i, ratio in ratios.items():
        camera = views[i].camera
        views[i] = replace(views[i], camera=replace(camera, fx=ratio * camera.fx, fy=ratio * camera.fy))
    return views, points


def _map(folder: Path, views: list[View], points: np.ndarray, **photo: Any) -> tuple[CameraSet, LogProgress]:
    made = MatchedScene(folder, views, points, noise_px=0.3, camera_group="1000x750", **photo)
    for a, b in combinations(range(len(views)), 2):
        made.match(a, b, true=180, wrong=25)
    return made.run()


@pytest.mark.parametrize(
    ("count", "ratios"),
    [
        (3, {1: 1.5}),
        (6, {2: 2.0}),
        (6, {4: 1.3, 5: 1.3}),  # another phone
        (6, {0: 1.2, 3: 1.2, 4: 0.7}),
    ],
    ids=["zoomed at 3", "zoomed at 6", "two phones", "three lenses"],
)
def test_photos_of_other_lenses_get_their_own(tmp_path: Path, count: int, ratios: Mapping[int, float]) -> None:
    views, points = _zoomed(count, ratios)
    cameras, progress = _map(tmp_path, views, points)
    assert [view.name for view in cameras.views] == [view.name for view in views]
    assert max(pair_errors(cameras.views, views)) < 0.2
    for found, true in zip(cameras.views, views, strict=True):
        assert found.camera.fx == pytest.approx(true.camera.fx, rel=0.02)
    # As many lenses as there are, and the photos of each together.
    groups: dict[float, list[str]] = {}
    for view in views:
        groups.setdefault(view.camera.fx, []).append(view.name)
    assert sorted(progress.facts["lenses"].values()) == sorted(groups.values())
    assert progress.facts["lenses"]["1000x750"] == max(groups.values(), key=len)
    if count > 3:  # of three, one lens for all makes no model to compare with
        assert progress.facts["lens_models"][len(groups) - 1]["support"] > 500
    assert set(progress.facts["focal_source"]) == set(progress.facts["lenses"])


def test_one_lens_stays_one_without_a_second_mapping(tmp_path: Path) -> None:
    cameras, progress = _map(tmp_path, *_zoomed(4, {}))
    assert len({view.camera.fx for view in cameras.views}) == 1
    assert list(progress.facts["lenses"]) == ["1000x750"]
    assert "lens_models" not in progress.facts


def test_parts_of_a_lens_are_lenses_and_the_largest_keeps_its_name() -> None:
    sensors = Sensors(
        groups=["phone", "given"],
        lens=np.array([0, 1, 0, 0, 0]),
        sensor=np.array([0, 2, 1, 1, 0]),
        lens_of_sensor=np.array([0, 0, 1]),
        size=np.array([[4.0, 3], [3, 4], [5, 5]]),
        scale=np.ones(5),
        exact=np.array([False, True]),
        fisheye_px=np.full(2, np.nan),
    )
    parts = divided(sensors, np.array([0, 0, 1, 1, 1]))
    assert [parts.groups[k] for k in parts.lens] == ["phone, lens 2", "given", "phone", "phone", "phone"]
    np.testing.assert_array_equal(parts.size[parts.sensor], sensors.size[sensors.sensor])
    np.testing.assert_array_equal(parts.lens_of_sensor[parts.sensor], parts.lens)
    np.testing.assert_array_equal(parts.exact[parts.lens], sensors.exact[sensors.lens])
    assert len(parts.size) == 4  # the two ways up of the larger part, the other's, the given one's


def test_a_crop_that_kept_its_exif_gets_its_own_lens(tmp_path: Path) -> None:
    views, points = _zoomed(5, {3: 1.5})
    cameras, progress = _map(tmp_path, views, points, focal_px=900.0, focal_source="exif-35mm")
    assert cameras.views[3].camera.fx == pytest.approx(1350, rel=0.02)
    assert progress.facts["focal_source"] == {
        "1000x750": "exif-35mm",
        "1000x750, lens 2": "estimated from the photos, which contradict exif-35mm",
    }
