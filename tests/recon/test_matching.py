"""Matching: two-view verification on exact geometry, turned photos, the SIFT fallback, one real pair."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from skimage import data as pictures

import fewview.recon.matching.stage
from fewview.data.photosets import load_photoset
from fewview.recon.errors import EnvironmentFault, InputError
from fewview.recon.facts import checked_facts
from fewview.recon.matching import MatchingConfig, MatchingFacts, run
from fewview.recon.matching.features import Features, Matches, turn_features, turn_image
from fewview.recon.matching.fisheye import Tried, find_fisheyes
from fewview.recon.matching.retrieval import choose_pairs
from fewview.recon.matching.turns import Pair, Turned, find_turns
from fewview.recon.matching.verification import Verified, verify
from fewview.recon.photos import Photo, save_photos
from fewview.recon.progress import LogProgress


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 4), st.data())
def test_keypoints_turn_with_their_image(width: int, height: int, quarters: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    image = np.zeros((height, width))
    image[y, x] = 1
    turned = turn_image(image, quarters)
    point = np.array([[x + 0.5, y + 0.5]], np.float32)
    features = turn_features(Features(point, np.ones(1), None, width, height), quarters)
    assert (features.height, features.width) == turned.shape
    column, row = np.floor(features.keypoints[0]).astype(int)
    assert turned[row, column] == 1


def _photo(name: str, width: int = 640, height: int = 480, focal_px: float | None = None, **more: str) -> Photo:
    return Photo(name, Path(name).stem, name, "0" * 64, width, height, f"images/{name}", focal_px=focal_px, **more)


def _two_views(kind: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints of two photos with focal length 500 px, the first 200 exact matches, the last 60 wrong."""
    random = np.random.default_rng(seed)
    X = np.column_stack([random.uniform(-1, 1, (200, 2)), random.uniform(3, 6, 200)])
    if kind == "planar":
        X[:, 2] = 4 + 0.3 * X[:, 0]
    R = Rotation.from_rotvec([0.02, 0.1, 0.03]).as_matrix()
    t = np.zeros(3) if kind == "panoramic" else np.array([-0.8, 0.1, 0.05])
    projected = []
    for points in (X, X @ R.T + t):
        xy = 500 * points[:, :2] / points[:, 2:] + [320, 240]
        projected.append(np.concatenate([xy, random.uniform(0, [640, 480], (60, 2))]))
    return projected[0], projected[1], np.arange(260) < 200


@pytest.mark.parametrize("kind", ["general", "planar", "panoramic"])
@pytest.mark.parametrize("focal_px", [None, 500.0])
def test_verification_keeps_exact_matches_and_names_the_geometry(kind: str, focal_px: float | None) -> None:
    a, b, true = _two_views(kind)
    matches = Matches(np.stack([np.arange(260)] * 2, axis=1), np.ones(260, np.float32))
    photos = _photo("a.png", focal_px=focal_px), _photo("b.png", focal_px=focal_px)
    verified = verify(photos, (a, b), matches, max_error_px=2, min_matches=15, seed=0)
    assert verified.model == kind
    kept = np.isin(np.arange(260), verified.matches.pairs[:, 0])
    assert kept[true].all()
    # A wrong match can lie on its epipolar line by chance; a plane, or no baseline, leaves the lines free to
    # follow some wrong matches.
    assert kept[~true].sum() <= (5 if kind == "general" else 15)
    if kind == "panoramic":
        assert verified.median_angle_deg is None
    if kind == "general" and focal_px:
        assert verified.median_angle_deg == pytest.approx(10.6, abs=1.5)


def test_verification_refuses_matches_without_geometry() -> None:
    random = np.random.default_rng(0)
    a, b = random.uniform(0, [640, 480], (2, 80, 2))
    matches = Matches(np.stack([np.arange(80)] * 2, axis=1), np.ones(80, np.float32))
    verified = verify((_photo("a.png"), _photo("b.png")), (a, b), matches, 1.0, 20, 0)
    assert (verified.model, len(verified.matches), verified.median_angle_deg) == ("none", 0, None)


def _wide_views(focal: float, fisheye: bool) -> list[np.ndarray]:
    """300 exact keypoints and 40 wrong ones in two photos of 1000 x 750, by angle or by its tangent."""
    random = np.random.default_rng(0)
    X = np.column_stack([random.uniform(-4, 4, (300, 2)), random.uniform(2, 5, 300)])
    R, t = Rotation.from_rotvec([0.1, 0.3, -0.1]).as_matrix(), np.array([-0.7, 0.2, 0.3])
    found = []
    for points in (X, X @ R.T + t):
        radius = np.hypot(points[:, 0], points[:, 1])
        angle = np.arctan2(radius, points[:, 2])
        xy = points[:, :2] * ((angle if fisheye else np.tan(angle)) / radius * focal)[:, None] + [500, 375]
        noisy = xy + random.normal(0, 0.5, xy.shape)
        found.append(np.concatenate([noisy, random.uniform(0, [1000, 750], (40, 2))]))
    return found


@pytest.mark.parametrize("fisheye", [True, False])
def test_a_fisheye_is_told_by_what_two_photos_share_and_a_wide_pinhole_is_none(fisheye: bool) -> None:
    focal = 440.0
    photos, keypoints = (
        [_photo(f"{i}.png", 1000, 750, camera_group="one") for i in range(2)],
        _wide_views(focal, fisheye),
    )
    pairs = np.repeat(np.arange(340)[:, None], 2, axis=1)
    matches = Matches(pairs.astype(np.int32), np.ones(340, np.float32))
    verified = len(verify((photos[0], photos[1]), (keypoints[0], keypoints[1]), matches, 4.0, 15, 0).matches)
    found = find_fisheyes(photos, keypoints, [Tried((0, 1), pairs, verified)], 4 / 1024, 0)
    if not fisheye:
        assert found == {}
        return
    assert found.keys() == {"one"}
    assert checked_facts(MatchingFacts, MatchingFacts(fisheyes=found)) == {"fisheyes": found}
    assert abs(np.log(found["one"] * 1000 / focal)) < 0.2


def test_photos_of_every_direction_are_brought_together() -> None:
    directions = [0, 0, 3, 1, 0, 3]
    """Quarter turns by which each photo was taken."""

    def match_pair(one: Turned, other: Turned) -> Pair:
        same = (directions[one[0]] + one[1] - directions[other[0]] - other[1]) % 4 == 0
        count = 200 if same else 40  # wrong turns match too, a little: repeated structure
        return Pair(count, Verified(Matches(np.zeros((count, 2), int), np.zeros(count)), "general", None))

    pairs = {(a, b): match_pair((a, 0), (b, 0)) for a in range(6) for b in range(a + 1, 6)}
    affinity = lambda one, other: len(match_pair(one, other))  # noqa: E731
    quarters = find_turns(6, pairs, affinity, match_pair, LogProgress())
    assert quarters == [0, 0, 1, 3, 0, 1]
    assert all(len(match_pair((a, quarters[a]), (b, quarters[b]))) == 200 for a, b in pairs)


def _ring(count: int) -> list[np.ndarray]:
    """Descriptors of photos around an object: each shares half of what it shows with the next."""
    random = np.random.default_rng(0)
    things = random.normal(size=(count, 60, 32))
    found = []
    for i in range(count):
        seen = np.concatenate([things[i], things[(i + 1) % count]]) + random.normal(0, 0.2, (120, 32))
        found.append((seen / np.linalg.norm(seen, axis=1, keepdims=True)).astype(np.float32))
    return found


def test_few_photos_are_matched_in_all_pairs_and_many_in_a_number_that_grows_with_them() -> None:
    assert len(choose_pairs(_ring(12), [0] * 12, neighbours=2, window=0)) == 66
    shuffled = np.random.default_rng(1).permutation(100)
    ring = _ring(100)
    chosen = choose_pairs([ring[i] for i in shuffled], [-1] * 100, neighbours=4, window=0)
    assert chosen == choose_pairs([ring[i] for i in shuffled], [-1] * 100, neighbours=4, window=0)
    assert len(chosen) <= 400 + 99
    next_to = {(i, (i + 1) % 100) for i in range(100)}
    pairs = {(int(shuffled[a]), int(shuffled[b])) for a, b in chosen}
    assert len(next_to & (pairs | {(b, a) for a, b in pairs})) >= 99


def test_frames_of_a_video_are_matched_with_those_that_follow() -> None:
    chosen = set(choose_pairs(_ring(20), [0] * 10 + [1] * 10, neighbours=1, window=3))
    for start in (0, 10):
        assert {(a, b) for a in range(start, start + 10) for b in range(a + 1, min(a + 4, start + 10))} <= chosen


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Three crops of one picture, shifted by known amounts; originals are twice as large as the images."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    picture = cv2.cvtColor(pictures.astronaut(), cv2.COLOR_RGB2BGR)
    photos = []
    for i, (x, y) in enumerate([(0, 0), (60, 20), (110, 50)]):
        photo = _photo(f"{i}.png", 800, 600, mask="masks/1.png" if i == 1 else None)
        cv2.imwrite(str(folder / photo.image), picture[y : y + 300, x : x + 400])
        photos.append(photo)
    mask = np.zeros((300, 400), np.uint8)
    mask[:, :250] = 255
    cv2.imwrite(str(folder / "masks" / "1.png"), mask)
    save_photos(folder, photos)
    return folder


def _without_weights(*_: object) -> None:
    raise EnvironmentFault("The weights cannot be had.", "Connect.")


def test_without_weights_sift_is_announced_and_the_artifact_is_whole(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fewview.recon.matching.stage, "AlikedLightGlue", _without_weights)
    contents = []
    for out in (tmp_path / "first", tmp_path / "second"):
        out.mkdir()
        progress = LogProgress()
        run({"photos": photo_folder}, MatchingConfig(), out, progress)
        contents.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")})
    assert progress.fallbacks == [
        {"wanted": "aliked+lightglue", "used": "sift", "reason": "The weights cannot be had. Connect."}
    ]
    assert contents[0] == contents[1]
    document = json.loads((out / "pairs.json").read_text())
    assert document["matcher"] == "sift"
    assert [(pair["a"], pair["b"]) for pair in document["pairs"]] == [
        ("0.png", "1.png"),
        ("0.png", "2.png"),
        ("1.png", "2.png"),
    ]
    masked = np.load(out / "features" / "1.npz")["keypoints"]
    assert masked.dtype == np.float32
    assert len(masked) > 100
    assert masked[:, 0].max() <= 500  # the mask's edge in pixels of the original
    first = np.load(out / "features" / "0.npz")["keypoints"]
    with np.load(out / "pairs" / "0--1.npz") as pair:
        matches = pair["matches"]
        assert matches.dtype == np.int32
        assert pair["confidence"].shape == (len(matches),)
    assert document["pairs"][0]["verified"] == len(matches) > 50
    shift = first[matches[:, 0]] - masked[matches[:, 1]]
    np.testing.assert_allclose(np.median(shift, axis=0), [120, 40], atol=0.3)


class _Network:
    """Stands in for a network: keypoints everywhere, `certain` of 60 right matches and guesses of the others."""

    name, turns = "aliked+lightglue", True

    def __init__(self, size: int, certain: int) -> None:
        self._size, self._certain = size, certain
        x, y = np.random.default_rng(size).uniform(0.1, 0.6, (2, size))
        self._places, self._depth = np.stack([x, y], axis=1), np.random.default_rng(0).uniform(1, 2, size)
        self._detected = 0

    def detect(self, image: np.ndarray, mask: object) -> Features:
        height, width = image.shape[:2]
        self._detected += 1
        shift = np.stack([0.1 * self._detected / self._depth, np.zeros(self._size)], axis=1)
        points = ((self._places + shift) * [width, height]).astype(np.float32)
        return Features(points, np.ones(self._size, np.float32), np.eye(self._size, dtype=np.float32), width, height)

    def match(self, a: Features, b: Features) -> Matches:
        confidence = np.where(np.arange(60) < self._certain, 0.9, 0.3).astype(np.float32)
        return Matches(np.repeat(np.arange(60, dtype=np.int32)[:, None], 2, axis=1), confidence)

    def affinity(self, a: Features, b: Features) -> int:
        return 0


@pytest.mark.parametrize(("first", "second", "looks"), [(55, 60, 1), (10, 40, 2), (10, 5, 2)])
def test_photos_that_hardly_match_get_a_second_look_and_what_is_better_counts(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, second: int, looks: int
) -> None:
    networks = {2048: _Network(80, first), 4096: _Network(70, second)}
    monkeypatch.setattr(fewview.recon.matching.stage, "AlikedLightGlue", lambda keypoints, _: networks[keypoints])
    out, progress = tmp_path / "matches", LogProgress()
    out.mkdir()
    run({"photos": photo_folder}, MatchingConfig(), out, progress)
    assert len(np.load(out / "features" / "1.npz")["keypoints"]) == (80 if looks == 1 else 150)
    better = looks == 2 and second > first
    with np.load(out / "pairs" / "0--1.npz") as pair:
        assert len(pair["matches"]) > 50
        assert (pair["matches"] >= 80).all() == better
        assert (pair["confidence"] > 0.8).sum() == pytest.approx(second if better else first, abs=8)
    fact = progress.facts.get("second_look")
    assert fact is None if looks == 1 else fact["better"] == (3 if better else 0)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InputError, match="Matching needs at least 64 keypoints"):
        MatchingConfig(keypoints=3)


@pytest.mark.data
def test_real_photos_match_along_true_epipolar_lines_even_when_turned(photosets: Path, tmp_path: Path) -> None:
    """Two photos of a fountain, the second turned by a quarter: the network alone finds nothing there."""
    photoset = load_photoset(photosets / "strecha_fountain_p11")
    views = [photoset.views[2].camera.resized(512, 341), photoset.views[5].camera.resized(512, 341)]
    folder, out = tmp_path / "photos", tmp_path / "matches"
    (folder / "images").mkdir(parents=True)
    out.mkdir()
    images = [cv2.resize(cv2.imread(str(photoset.images[i])), (512, 341), interpolation=cv2.INTER_AREA) for i in (2, 5)]
    images[1] = np.rot90(images[1], 3)
    photos = [_photo("a.png", 512, 341), _photo("b.png", 341, 512)]
    for photo, image in zip(photos, images, strict=True):
        cv2.imwrite(str(folder / photo.image), image)
    save_photos(folder, photos)
    progress = LogProgress()
    run({"photos": folder}, MatchingConfig(keypoints=1024), out, progress)
    assert progress.facts["turned_deg"] == {"b.png": 90}
    a = np.load(out / "features" / "a.npz")["keypoints"]
    b = np.load(out / "features" / "b.npz")["keypoints"]
    b = np.stack([b[:, 1], 341 - b[:, 0]], axis=1)  # back by a quarter
    matches = np.load(out / "pairs" / "a--b.npz")["matches"]
    assert len(matches) > 200
    T = photoset.views[5].T_camera_world @ photoset.views[2].T_world_camera
    cross = np.array([[0, -T[2, 3], T[1, 3]], [T[2, 3], 0, -T[0, 3]], [-T[1, 3], T[0, 3], 0]])
    F = np.linalg.inv(views[1].matrix).T @ cross @ T[:3, :3] @ np.linalg.inv(views[0].matrix)
    rays = np.column_stack([a[matches[:, 0]], np.ones(len(matches))])
    lines = rays @ F.T
    distance = np.abs((lines[:, :2] * b[matches[:, 1]]).sum(axis=1) + lines[:, 2]) / np.linalg.norm(
        lines[:, :2], axis=1
    )
    assert np.median(distance) < 0.5
    assert (distance < 2).mean() > 0.95
