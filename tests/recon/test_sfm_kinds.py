"""What kind of photos were given, and the words that a refusal has for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sfm_scene import evidence_of

from fewview.recon.matching.features import Matches
from fewview.recon.matching.masks import moves, tied
from fewview.recon.matching.turns import Pair as Matched
from fewview.recon.matching.verification import Verified
from fewview.recon.photos import Photo
from fewview.recon.sfm.graph import MatchGraph, Pair
from fewview.recon.sfm.kinds import from_one_spot
from fewview.recon.sfm.reasons import no_model, why_left_out

_COUNT = 60
_STEP = "Take photos that share at least half of what they show with a neighbour, a step to the side each time."


def _graph(moved_px: float, models: dict[tuple[int, int], str], raw: int = _COUNT, log_odds: float = 3.0) -> MatchGraph:
    """Three photos; photo i shows every point `moved_px` times i further right. A pair without a model is `none`."""
    points = np.random.default_rng(0).uniform([0, 0], [700, 700], (_COUNT, 2))
    photos = [Photo(f"{i}.jpg", str(i), f"{i}.jpg", str(i), 1024, 768, "") for i in range(3)]
    ends = np.column_stack([np.arange(_COUNT)] * 2)
    pairs = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        model = models.get((a, b), "none")
        matches = ends if model != "none" else ends[:0]
        pairs.append(Pair(a, b, raw, matches, model, None, log_odds))
    return MatchGraph(photos, [points + np.array([moved_px * i, 0]) for i in range(3)], pairs)


def test_turning_is_recognised_where_distant_pairs_look_planar() -> None:
    chain = {(0, 1): "panoramic", (0, 2): "planar", (1, 2): "panoramic"}
    error = no_model(_graph(100, chain))
    assert error.what == (
        "The photos were taken from one spot by turning or zooming, which tells nothing of depth: 0.jpg, 1.jpg, 2.jpg."
    )
    assert error.remedy == "Take photos from different places, a step to the side each time."
    # A wall from different places is planar too, and one pair from one spot makes no chain.
    assert "one spot" not in no_model(_graph(100, {**chain, (1, 2): "planar"})).what


def test_a_pair_at_the_ends_of_a_chain_may_look_general_if_turning_explains_most_of_it() -> None:
    graph = _graph(100, {(0, 1): "general", (0, 2): "panoramic", (1, 2): "panoramic"})
    assert not from_one_spot(graph), "parallax"
    assert from_one_spot(replace(graph, pairs=[replace(pair, turned_share=0.8) for pair in graph.pairs]))


def test_a_camera_that_stood_still_did_not_turn() -> None:
    error = no_model(_graph(0.5, {(0, 1): "panoramic", (0, 2): "general", (1, 2): "planar"}))
    assert error.what == ("The camera stood still, and what the photos share is its background: 0.jpg, 1.jpg, 2.jpg.")
    assert error.remedy == (
        "Walk around the thing instead of turning it; or hide the background with masks (a folder `masks` beside the "
        "photos)."
    )


def test_photos_from_too_far_apart_are_not_said_to_show_nothing_in_common() -> None:
    error = no_model(_graph(100, {}, raw=12))
    assert error.what == (
        "The photos show different things, or the same from too far apart or too different sides: 0.jpg, 1.jpg, 2.jpg. "
        "The best two, 0.jpg and 1.jpg, share 12 points, and no one position explains them."
    )
    assert error.remedy == _STEP
    assert no_model(_graph(100, {}, raw=0)).what == "No two of the photos show the same thing: 0.jpg, 1.jpg, 2.jpg."


def test_masks_are_named_where_nothing_could_be_placed() -> None:
    graph = _graph(100, {}, raw=0)
    masked = replace(
        graph, photos=[replace(photo, mask="masks/0.png") for photo in graph.photos[:2]] + graph.photos[2:]
    )
    error = no_model(masked)
    assert error.what.endswith(" Masks hide parts of 2 of the 3 photos.")
    assert error.remedy == f"{_STEP} Or move the masks away, so that the background can match."


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (4 * _COUNT, "What it shares with 0.jpg looks like repeated structure: of 60 matches, 3 are likely right."),
        (
            _COUNT + 5,
            "What it shares with 0.jpg is too little to be sure of, or only looks alike: "
            "of 60 matches, 3 are likely right.",
        ),
    ],
)
def test_repeated_structure_is_said_only_where_matches_contradict(raw: int, why: str) -> None:
    assert why_left_out(_graph(100, {(0, 2): "general"}, raw, log_odds=-3.0), 2, [0, 1], None) == why


def test_a_double_was_taken_from_the_same_spot() -> None:
    graph = _graph(0.5, {(0, 2): "general", (0, 1): "general"})
    assert why_left_out(graph, 2, [0, 1], None) == (
        "It was taken from the same spot as 0.jpg, which tells nothing of depth."
    )


def _matched(confidence: float) -> Matched:
    ends = np.column_stack([np.arange(_COUNT)] * 2)
    verified = Verified(Matches(ends, np.full(_COUNT, confidence)), "general", 3.0)
    return Matched(_COUNT, verified, evidence_of(_COUNT, confidence))


def test_what_masks_hide_counts_where_it_ties_more_and_moved() -> None:
    firm, loose = _matched(1.0), _matched(0.1)
    assert tied(3, {(0, 1): loose, (1, 2): loose}) == 1
    assert tied(3, {(0, 1): firm, (1, 2): loose}) == 2
    assert tied(3, {(0, 1): firm, (1, 2): firm}) == 3
    keypoints = _graph(100, {}).keypoints
    assert moves(keypoints, [1024] * 3, {(0, 1): firm, (1, 2): firm})
    assert not moves([keypoints[0]] * 3, [1024] * 3, {(0, 1): firm, (1, 2): firm}), "the background of a turntable"
    assert not moves(keypoints, [1024] * 3, {(0, 1): loose})
