"""The guess of the scale: its interval holds as often as it says, for people and rooms of published heights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fewview.layout.heights import DOOR, EYE, ROOM, Height, doors_of, guess
from fewview.layout.measures import measure
from fewview.layout.model import Opening
from fewview.recon.scale import DEVIATIONS, Scale, normal
from tests.layout.prisms import RECTANGLE, room

STATURES = ((1.68, 0.058), (1.555, 0.06), (1.74, 0.07), (1.61, 0.062), (1.755, 0.071), (1.625, 0.064), (1.655, 0.058),
            (1.53, 0.048))  # fmt: skip
"""Mean and deviation of the stature of men and women of four peoples, metres (Pheasant
and Haslegrave, Bodyspace)."""
CEILINGS = (2.3, 2.4, 2.4, 2.4, 2.4, 2.44, 2.44, 2.5, 2.5, 2.5, 2.6, 2.65, 2.74, 2.74, 3.1)
DOORS = (1.98, 1.985, 2.03, 2.04, 2.1)


@pytest.mark.parametrize("beliefs", [(EYE,), (EYE, ROOM), (EYE, ROOM, DOOR)], ids=["eye", "room", "door"])
def test_the_interval_holds_as_often_as_it_says(beliefs: tuple[object, ...]) -> None:
    random, held = np.random.default_rng(5), []
    for _ in range(800):
        mean, deviation = STATURES[random.integers(len(STATURES))]
        held_at = random.normal(mean, deviation) + 0.025 - random.uniform(0.11, 0.31)  # in shoes, from eye to shoulder
        true = {EYE: held_at, ROOM: random.choice(CEILINGS), DOOR: random.choice(DOORS)}
        unit = np.exp(random.uniform(-2, 2))
        heights = [
            Height(true[b] * unit * np.exp(random.normal(0, 0.015)), b) for b in (EYE, ROOM, DOOR) if b in beliefs
        ]
        found = guess(heights)
        assert found.interval is not None
        held.append(found.interval[0] <= found.metre / unit <= found.interval[1])
    assert 0.86 < np.mean(held) < 0.97


def test_more_heights_tell_more_and_a_doubtful_door_little() -> None:
    def width(*heights: Height) -> float:
        low, high = guess(heights).interval or (0, 9)
        return high - low

    eye, high = Height(0.6, EYE), Height(1.0, ROOM)
    sure, doubtful = (
        doors_of(replace(room(RECTANGLE), walls=tuple(
            replace(wall, openings=(Opening("door", 1, 1.9, 0, 0.81, confidence),) if k == 0 else ())
            for k, wall in enumerate(room(RECTANGLE).walls)
        )))
        for confidence in (0.95, 0.1)
    )  # fmt: skip
    assert width(eye, high, *sure) < 0.7 * width(eye, high) < width(eye)
    assert width(eye, high, *doubtful) > 0.8 * width(eye, high)
    assert guess([eye, high, *sure]).source == (
        "guessed from how high cameras are held, how high rooms are and how high doors are"
    )
    contradicting = guess([Height(0.6, EYE), Height(60.0, ROOM)])
    assert np.isfinite(contradicting.metre)


def test_measures_carry_the_scale_and_their_own_error() -> None:
    truth = room(RECTANGLE).scaled(0.4)
    exact = measure(truth, Scale("unknown", "a tape", None, 0.4))
    wide = measure(truth, Scale("unknown", "a guess", (0.9, 1.12), 0.4, guess=True))
    for length, wall in zip(exact.walls, room(RECTANGLE).walls, strict=True):
        assert length.value == pytest.approx(wall.length)
        assert length.interval is not None
        assert 0.02 < length.interval[1] - length.value < 0.1
    assert wide.area.interval is not None
    assert wide.area.interval[0] == pytest.approx(0.81 * wide.area.value, rel=0.02)
    assert wide.area.interval[1] == pytest.approx(1.2544 * wide.area.value, rel=0.02)
    hidden = replace(truth, walls=(replace(truth.walls[0], observed=False), *truth.walls[1:]))
    guessed = measure(hidden, Scale("metre", "a tape"))
    assert [length.interval is None for length in guessed.walls] == [False, True, False, True]
    assert (guessed.area.interval, guessed.walls[1].spread) == (None, "?")
    assert normal(0.01) == pytest.approx((1 - 0.01 * DEVIATIONS, 1 + 0.01 * DEVIATIONS), abs=2e-4)
