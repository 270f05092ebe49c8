"""What is measured of a pair, on exact geometry, and how it weighs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewview.recon.matching.artifact import TieEvidence
from fewview.recon.matching.evidence import measure
from fewview.recon.matching.features import Features, Matches
from fewview.recon.matching.tie_odds import SIGNS, tie_log_odds, tie_measures
from fewview.recon.matching.verification import Verified, verify
from fewview.recon.photos import Photo

SIZE = 640, 480


def _photo(name: str) -> Photo:
    return Photo(name, name, name, "", *SIZE, f"images/{name}")


PHOTOS = _photo("a"), _photo("b")


def _two_views(
    focal: tuple[float, float] = (500, 500), t: tuple[float, float, float] = (-0.8, 0.1, 0.05), roll_deg: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Exact matches of 300 points three to six units away."""
    random = np.random.default_rng(0)
    X = np.column_stack([random.uniform(-1, 1, (300, 2)), random.uniform(3, 6, 300)])
    R = Rotation.from_rotvec([0.02, 0.1, np.radians(roll_deg)]).as_matrix()
    return tuple(f * Y[:, :2] / Y[:, 2:] + [320, 240] for f, Y in zip(focal, (X, X @ R.T + np.array(t)), strict=True))


def _all(count: int) -> Matches:
    return Matches(np.stack([np.arange(count)] * 2, axis=1), np.full(count, 0.9, np.float32))


def _verify(a: np.ndarray, b: np.ndarray) -> Verified:
    return verify(PHOTOS, (a, b), _all(len(a)), max_error_px=2, min_matches=15, seed=0)


def test_what_is_burnt_in_is_dropped_and_nothing_else() -> None:
    a, b = _two_views()
    logo = np.random.default_rng(1).uniform([560, 420], [630, 470], (60, 2))
    found = _verify(np.concatenate([a, logo]), np.concatenate([b, logo + 0.1]))
    assert found.still == 60
    assert len(found.matches) == 300
    assert found.matches.pairs.max() < 300
    others = np.random.default_rng(2).uniform(0, SIZE, (2, 300, 2))  # keypoints that match nothing
    seen = tuple(np.concatenate([logo, points]) for points in others)
    alone = verify(PHOTOS, seen, _all(60), max_error_px=2, min_matches=15, seed=0)
    assert (alone.model, alone.still) == ("none", 60), "two photos that share a logo share nothing"
    assert _verify(a, a).still == 0, "a tripod: nothing moves, all over the photo"
    nearer = (a - [320, 240]) * 1.02 + [320, 240]
    assert _verify(a, nearer).still == 0, "around the middle, little moves, but smoothly"


@pytest.mark.parametrize(
    ("focal", "t", "model"),
    [
        ((500, 500), (0, 0, 0), "panoramic"),
        ((500, 1200), (0, 0, 0), "panoramic"),
        ((1200, 450), (0, 0, 0), "panoramic"),
        ((500, 500), (-0.05, 0.0, 0.0), "planar"),  # .6 degrees of parallax, most of it within the tolerance
        ((500, 500), (-0.8, 0.1, 0.05), "general"),
    ],
)
def test_turning_and_zooming_are_told_from_a_step_aside(
    focal: tuple[float, float], t: tuple[float, float, float], model: str
) -> None:
    a, b = _two_views(focal, t)
    assert _verify(a, b + np.random.default_rng(2).normal(0, 0.3, b.shape)).model == model


def _evidence(a: np.ndarray, b: np.ndarray, descriptors: np.ndarray) -> TieEvidence:
    features = tuple(Features(xy, np.ones(len(xy)), descriptors, *SIZE) for xy in (a, b))
    found = measure("aliked+lightglue", PHOTOS, features, (a, b), _all(len(a)), _verify(a, b), 2)
    assert found is not None
    return found


def test_measures_of_an_exact_pair() -> None:
    a, b = _two_views(roll_deg=12)
    found = _evidence(a, b, np.eye(300, dtype=np.float32))
    assert (found.raw, found.verified, found.still, found.keypoints) == (300, 300, 0, 300)
    assert found.front_share == 1
    assert found.lens > 0.999
    assert found.roll_deg == pytest.approx(12, abs=1)
    assert found.angle_deg == pytest.approx(10.6, abs=3), "focal lengths are not known"
    assert found.plane_share < 0.6
    assert (found.match_rate, found.certain_share, found.mean_confidence) == (1, 1, pytest.approx(0.9))
    assert (found.similarity, found.repetition, found.unique_share) == (1, 0, 1)


def test_what_repeats_itself_is_not_unique() -> None:
    a, b = _two_views()
    windows = np.eye(150, dtype=np.float32)[np.arange(300) % 150]  # everything is there twice
    found = _evidence(a, b, windows)
    assert found.repetition == 1
    assert found.unique_share == 0


def test_nothing_is_measured_where_nothing_is_verified() -> None:
    random = np.random.default_rng(0)
    a, b = random.uniform(0, SIZE, (2, 40, 2))
    features = tuple(Features(xy, np.ones(40), np.eye(40, dtype=np.float32), *SIZE) for xy in (a, b))
    assert measure("aliked+lightglue", PHOTOS, features, (a, b), _all(40), _verify(a, b), 2) is None


def test_every_measure_speaks_as_reason_has_it_and_a_strong_tie_is_likelier_than_a_doubtful_one() -> None:
    a, b = _two_views()
    strong = _evidence(a, b, np.eye(300, dtype=np.float32))
    better = {
        "verified": 100, "raw": 200, "mean_confidence": 0.4, "repetition": 0.5,
        "plane_share": 0.5, "front_share": 0.9, "lens": 0.98,
    }  # fmt: skip
    worse = {
        "verified": 60, "raw": 400, "mean_confidence": 0.2, "repetition": 0.8,
        "plane_share": 1.0, "front_share": 0.75, "lens": 0.6,
    }  # fmt: skip
    doubtful = replace(strong, **better)
    for name, value in worse.items():
        assert tie_log_odds(replace(doubtful, **{name: value})) <= tie_log_odds(doubtful), name
    hopeless = replace(doubtful, **worse)
    assert tie_log_odds(hopeless) < 0 < tie_log_odds(strong)
    assert tie_log_odds(hopeless) < tie_log_odds(doubtful) < tie_log_odds(strong)
    assert tie_measures(strong).keys() == SIGNS.keys()
