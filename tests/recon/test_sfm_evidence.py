"""What looks alike but is not the same is not believed, and is named."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from sfm_scene import POINTS, MatchedScene, pair_errors, scene

import fewview.recon.ingest
import fewview.recon.matching
import fewview.recon.sfm
from fewview.data.photosets import benchmark_split, load_photoset
from fewview.recon.errors import ReconstructionError
from fewview.recon.ingest import IngestConfig
from fewview.recon.io.cameras import read_cameras
from fewview.recon.matching import MatchingConfig
from fewview.recon.metrics import pair_errors as pair_errors_deg
from fewview.recon.progress import LogProgress
from fewview.recon.sfm import MappingConfig
from fewview.recon.sfm.graph import MatchGraph, Pair
from fewview.recon.sfm.tracks import held_out


def _arc(folder: Path, count: int) -> MatchedScene:
    """Photos of which neighbours match."""
    views, points = scene(count)
    made = MatchedScene(folder, views, points, noise_px=0.3, camera_group="phone")
    for a, b in combinations(range(count), 2):
        if b - a <= 2:
            made.match(a, b, true=160, wrong=10)
    return made


def test_uncertain_matches_of_what_looks_alike_do_not_place_a_photo(tmp_path: Path) -> None:
    """A facade of the same style: the last photo fits a wrong place perfectly, by matches none of which is
    certain."""
    made = _arc(tmp_path, 5)
    for a in range(4):
        made.pairs = [pair for pair in made.pairs if {pair["a"], pair["b"]} != {f"{a}.png", "4.png"}]
        made.match(a, 4, true=120, confidence=0.4)
    cameras, _ = made.run()
    assert [view.name for view in cameras.views] == ["0.png", "1.png", "2.png", "3.png"]
    assert max(pair_errors(cameras.views, made.views)) < 0.1
    assert cameras.verdicts[4].reason is not None
    assert cameras.verdicts[4].reason.startswith(
        "What it shares with 0.png is too little to be sure of, or only looks alike: of 120 matches, "
    )


def test_photos_that_only_look_alike_are_refused(tmp_path: Path) -> None:
    views, points = scene(3)
    made = MatchedScene(tmp_path, views, points, noise_px=0.3)
    for a, b in combinations(range(3), 2):
        made.match(a, b, true=120, confidence=0.4)
    with pytest.raises(ReconstructionError, match="or what they share only looks alike") as error:
        made.run()
    assert "The best two, 0.png and 1.png, share 120 points, of which " in str(error.value)


def test_a_photo_that_contradicts_the_others_is_thrown_out_and_named(tmp_path: Path) -> None:
    """Photo 5 matches the others with certainty, but shows each something else."""
    views, points = scene(6)
    made = MatchedScene(tmp_path, views, points, noise_px=0.3, camera_group="phone")
    for a, b in combinations(range(5), 2):
        made.match(a, b, true=160, wrong=10)
    order = np.random.default_rng(0).permutation(POINTS)
    for a in range(5):
        # Half a scene each: no one place of photo 5 explains all five pairs.
        shift = np.roll(order, 17 * (a + 1))
        matches = np.stack([shift[:80], np.roll(shift, a)[:80]], axis=1)
        made.write(a, 5, matches)
    cameras, _ = made.run()
    assert [view.name for view in cameras.views] == [view.name for view in views[:5]]
    assert max(pair_errors(cameras.views, views)) < 0.1
    assert not cameras.verdicts[5].registered


def test_a_mirrored_photo_of_something_symmetric_is_thrown_out_and_named(tmp_path: Path) -> None:
    """A symmetric thing is its own mirror image, nearly: every point of the mirrored photo is some pixels off."""
    views, points = scene(6)
    made = MatchedScene(tmp_path, views, points, noise_px=0.2, camera_group="phone")
    xy = np.load(tmp_path / "matches" / "features" / "5.npz")["keypoints"]
    xy = xy + made.random.normal(0, 2.0, xy.shape).astype(np.float32)
    np.savez(tmp_path / "matches" / "features" / "5.npz", keypoints=xy, scores=np.ones(POINTS))
    for a, b in combinations(range(6), 2):
        made.match(a, b, true=160, wrong=10)
    cameras, _ = made.run()
    assert [view.name for view in cameras.views] == [view.name for view in views[:5]]
    assert cameras.verdicts[5].reason == (
        "Its points fit several times worse than those of the other photos: "
        "it shows what only resembles them, or is mirrored."
    )


def test_a_group_without_a_certain_tie_is_left_out_whole(tmp_path: Path) -> None:
    views, points = scene(7)
    made = MatchedScene(tmp_path, views, points, noise_px=0.3, camera_group="phone")
    for a, b in combinations(range(7), 2):
        together = (a < 4) == (b < 4)
        made.match(a, b, true=150 if together else 60, confidence=1.0 if together else 0.3)
    cameras, _ = made.run()
    assert [view.name for view in cameras.views] == ["0.png", "1.png", "2.png", "3.png"]
    assert cameras.verdicts[5].reason == (
        "What it shares with the other photos may only look alike: its place would be right with a probability of 0%."
    )


def test_a_photo_whose_distance_nothing_tells_is_left_out(tmp_path: Path) -> None:
    """Photo 3 shows what photo 2 shows, but nothing that a third photo does: any distance fits."""
    views, points = scene(4)
    made = MatchedScene(tmp_path, views, points, noise_px=0.3, camera_group="phone")
    some, others = (np.stack([index, index], axis=1) for index in (np.arange(150), np.arange(150, POINTS)))
    for a, b in combinations(range(3), 2):
        made.write(a, b, some)
    made.write(2, 3, others)
    cameras, progress = made.run()
    assert progress.facts["models"][0]["registered"] == 4  # it made a consistent model
    assert [view.name for view in cameras.views] == ["0.png", "1.png", "2.png"]
    assert max(pair_errors(cameras.views, views)) < 0.1
    assert cameras.verdicts[3].reason == (
        "It shares points with one placed photo only, which does not tell how far away it was taken."
    )


def test_whole_tracks_are_held_out() -> None:
    """A chain of photos: a track is in all pairs or in none, and what a photo has twice is never held out."""
    count = 64
    same = np.stack([np.arange(count)] * 2, axis=1)
    twisted = np.concatenate([same, [[0, 1]]])
    keypoints = [np.zeros((count, 2))] * 3
    pairs = [Pair(a, b, count, m, "general", None, 8.0) for a, b, m in ((0, 1, twisted), (1, 2, same))]
    first, second = held_out(MatchGraph([], keypoints, pairs), pairs)
    np.testing.assert_array_equal(first[:count], second)
    assert 4 <= second.sum() <= 12
    assert not second[:2].any()


@pytest.mark.data
def test_repeated_facades_are_not_mixed_up(photosets: Path, tmp_path: Path) -> None:
    """Six photos around a courtyard whose facades resemble each other: with all matches, the mean error of
    rotations is more than 80 degrees. One matches only one other, and fits at any distance from it."""
    truth = load_photoset(photosets / "strecha_castle_p19")
    train, _ = benchmark_split(len(truth.images), 6)
    folders = {name: tmp_path / name for name in ("photos", "matches", "cameras")}
    for folder in folders.values():
        folder.mkdir()
    ingest = IngestConfig(photos=tuple(truth.images[i] for i in train), long_side=768)
    fewview.recon.ingest.run({}, ingest, folders["photos"], LogProgress())
    fewview.recon.matching.run(
        folders, MatchingConfig(keypoints=1024, long_side=768), folders["matches"], LogProgress()
    )
    fewview.recon.sfm.run(folders, MappingConfig(), folders["cameras"], LogProgress())
    cameras = read_cameras(folders["cameras"])
    assert len(cameras.views) >= 3
    right = [truth.views[i] for i in train if any(view.name == truth.views[i].name for view in cameras.views)]
    errors = pair_errors_deg(
        np.stack([view.T_world_camera for view in right]), np.stack([view.T_world_camera for view in cameras.views])
    )
    assert max(errors.rotation_deg.max(), errors.translation_deg.max()) < 1.5
