"""How often the interval of a guessed scale holds the true one, and how wide it is.

    python -m tests.benchmarks.metres --first 500 --count 120

Rooms without furniture of scale unknown, with ceilings of `tests.layout.test_heights` and four photos held between
shoulder and eye of people of the statures there, one in twenty from elsewhere; depth has 1 % noise and a bias of 2 %
per view.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from fewview.layout.stage import find_room
from fewview.recon.io.cameras import CameraSet
from fewview.recon.progress import LogProgress
from tests.layout.prisms import L_SHAPE, RECTANGLE, look, photos, pose, room, y_down
from tests.layout.test_heights import CEILINGS, STATURES


def held_at(random: np.random.Generator) -> float:
    """Height of a camera above the floor, metres."""
    mean, deviation = STATURES[random.integers(len(STATURES))]
    tall = random.normal(mean, deviation) + 0.025  # in shoes
    if random.random() < 0.05:
        return float(tall * random.uniform(0.5, 1.1))
    return float(tall - random.uniform(0.11, 0.31))


def trial(seed: int) -> tuple[bool, float] | None:
    """Whether the interval holds the truth, and its width; None where no room is found."""
    random = np.random.default_rng(seed)
    height, eye, unit = float(random.choice(CEILINGS)), held_at(random), random.uniform(0.2, 0.6)
    truth = room((RECTANGLE, L_SHAPE)[seed % 2] * random.uniform(0.8, 1.2), height)
    turns = 90 + np.linspace(100, -100, 4)
    around = [np.array([2.1, 1.2]) - 0.4 * np.array([np.cos(a), np.sin(a)]) for a in np.radians(turns)]
    poses = [
        pose(*at, turn, z=min(eye + random.normal(0, 0.04), height - 0.15))
        for at, turn in zip(around, turns, strict=True)
    ]
    views = [
        replace(view, depth=view.depth * (1 + random.choice([-0.02, 0.02]))).transformed(np.eye(3), unit)
        for view in look(truth, poses, 0.01, seed, y_down(seed))
    ]
    pictures = photos(truth, look(truth, poses), blank=True)
    posed = [replace(p, T_world_camera=v.T_world_camera) for p, v in zip(pictures, views, strict=True)]
    layout, _, scale = find_room(views, posed, CameraSet([], units="unknown"), LogProgress())
    if layout is None or scale.interval is None:
        return None
    low, high = scale.interval
    return low < scale.metre / unit < high, high - low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    asked = parser.parse_args()
    found = [trial(seed) for seed in range(asked.first, asked.first + asked.count)]
    told = np.array([each for each in found if each is not None])
    print(
        f"{len(told)} of {len(found)} rooms: the interval holds in {told[:, 0].mean():.3f}, "
        f"its width is {told[:, 1].mean():.3f}"
    )


if __name__ == "__main__":
    main()
