"""The weights of `fewview.layout.opening_odds`, fitted to rooms of known openings that deceive, and how well they hold.

    python -m tests.benchmarks.openings --fit 0 400 --judge 1000 400

Rooms without furniture, seen by 2 to 6 cameras; on their walls doors, windows and passages with something behind them,
mirrors, and patches whose depth is wrong: in one view or in all, and in each by another amount. Depth has 1 % noise and
a bias of 2 % per view and blurred edges, walls stand 2 cm beside their places, glass has holes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from scipy.optimize import minimize

from fewview.layout.model import RoomLayout
from fewview.layout.opening_odds import SIGNS, WEIGHTS, probability
from fewview.layout.openings import candidates
from fewview.layout.raycast import first_hits
from fewview.layout.surfaces import DepthView
from tests.layout.prisms import CAMERA, L_SHAPE, RECTANGLE, SLANTED, pose, rays, room, see

Kind = Literal["door", "window", "passage", "mirror", "patch", "patch of one view"]
SIZES: Mapping[Kind, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "door": ((0.75, 1.0), (0.0, 0.0), (1.95, 2.1)),
    "window": ((0.6, 1.7), (0.7, 1.0), (1.9, 2.2)),
    "passage": ((1.0, 1.8), (0.0, 0.0), (2.05, 2.3)),
    "mirror": ((0.5, 1.6), (0.0, 1.1), (1.7, 2.1)),
    "patch": ((0.6, 1.8), (0.0, 1.2), (1.6, 2.3)),
    "patch of one view": ((0.6, 1.8), (0.0, 1.2), (1.6, 2.3)),
}
"""Width, lower and upper edge, metres."""
TRUE: frozenset[Kind] = frozenset({"door", "window", "passage"})
_SAME = 0.4
"""Of the union of two rectangles, that they share where they are one thing."""
_RIDGE = 0.02
"""Of the weights, in log-likelihood per candidate: weights that nothing tells apart stay small."""


@dataclass(frozen=True)
class Thing:
    """On a wall."""

    kind: Kind
    wall: int
    start: float
    end: float
    low: float
    high: float
    depth: float
    """Of the space behind it, or by how much a patch is wrong."""
    sag: float
    """0: a patch stands back as a whole; 1: it sags."""

    def overlap(self, start: float, end: float, low: float, high: float) -> float:
        wide = max(0.0, min(self.end, end) - max(self.start, start))
        tall = max(0.0, min(self.high, high) - max(self.low, low))
        both = (self.end - self.start) * (self.high - self.low) + (end - start) * (high - low)
        return wide * tall / (both - wide * tall)


def scene(seed: int) -> tuple[RoomLayout, list[DepthView], list[Thing]]:
    """A room, what is seen of it, and what is on its walls."""
    random = np.random.default_rng(seed)
    truth = room((RECTANGLE, L_SHAPE, SLANTED)[seed % 3] * random.uniform(0.85, 1.2), random.uniform(2.4, 2.8))
    things: list[Thing] = []
    for _ in range(int(random.integers(1, 6))):
        kind: Kind = random.choice(list(SIZES))
        index = int(random.integers(len(truth.walls)))
        width, low, high = (random.uniform(*span) for span in SIZES[kind])
        room_for = truth.walls[index].length - width - 0.3
        if room_for > 0 and high < truth.height - 0.1 and not any(thing.wall == index for thing in things):
            start = 0.15 + room_for * random.random()
            depth = random.uniform(0.25, 2.0) if kind.startswith("patch") else random.uniform(0.8, 5.0)
            things.append(Thing(kind, index, start, start + width, low, high, depth, random.random()))
    middle = np.array([0.42, 0.35]) * truth.polygon.max(0) + random.uniform(-0.3, 0.3, 2)
    count, heading = int(random.integers(2, 7)), random.uniform(0, 360)
    turns = heading + np.linspace(0, random.uniform(60, 220), count)
    views = []
    for index, turn in enumerate(turns):
        at = middle + random.uniform(-0.4, 0.4, 2)
        T = pose(*at, turn, random.normal(-6, 3), random.normal(1.5, 0.08))
        views.append(_seen(truth, things, f"{index}.jpg", T, index == 0, random))
    return truth, views, things


def _seen(
    truth: RoomLayout, things: list[Thing], name: str, T: np.ndarray, first: bool, random: np.random.Generator
) -> DepthView:
    labels, depth = see(truth, CAMERA, T)
    eye, directions = rays(truth, CAMERA, T)
    holes = np.zeros(depth.shape, bool)
    depth, confidence = depth.copy(), np.full(depth.shape, random.uniform(0.75, 1.0))
    for thing in things:
        wall = truth.walls[thing.wall]
        hit = eye + depth[..., None] * directions
        along, up = (hit[..., :2] - wall.start) @ wall.direction, hit[..., 2] - truth.floor.height
        here = (labels == 2 + thing.wall) & (along > thing.start) & (along < thing.end)
        here &= (up > thing.low) & (up < thing.high)
        if not here.any() or (thing.kind == "patch of one view" and not first):
            continue
        before = float((eye[:2] - wall.start) @ wall.normal)
        if thing.kind == "mirror":
            # What a mirror shows is what an eye behind it would see, mirrored.
            behind, turned = eye.copy(), directions[here].copy()
            behind[:2] -= 2 * before * wall.normal
            turned[:, :2] -= 2 * (turned[:, :2] @ wall.normal)[:, None] * wall.normal
            depth[here] = first_hits(truth, behind, turned)[1]
            confidence[here] *= random.uniform(0.6, 1)
        elif thing.kind.startswith("patch"):
            u = (along[here] - thing.start) / (thing.end - thing.start)
            v = (up[here] - thing.low) / (thing.high - thing.low)
            # From what sags between its edges to what is cut out and stands back as a whole.
            sag = np.minimum(1, 6 * np.sqrt(u * (1 - u) * v * (1 - v))) ** thing.sag
            bump = thing.depth * random.uniform(0.5, 1.5) * sag
            depth[here] *= 1 + bump / before
            confidence[here] *= random.uniform(0.4, 0.95)
        else:
            towards = -directions[here][:, :2] @ wall.normal
            far = (before + thing.depth) / towards
            ground = np.where(
                directions[here][:, 2] < 0, (truth.floor.height - eye[2]) / directions[here][:, 2], np.inf
            )
            depth[here] = np.minimum(far, np.maximum(ground, depth[here])) if thing.low == 0 else far
            confidence[here] *= random.uniform(0.5, 1)
            if thing.kind == "window":
                depth[here] *= 1 + random.uniform(0, 0.03) * random.standard_normal(here.sum())
                holes |= here & (random.random(here.shape) < random.uniform(0, 0.25))
    # Edges of depth from photos are blurred: by up to five pixels of 160.
    side = int(random.choice([1, 3, 5]))
    depth = np.where(holes, np.nan, 1 / cv2.blur(1 / depth, (side, side)))
    depth *= (1 + random.choice([-0.02, 0.02])) * (1 + 0.01 * random.standard_normal(depth.shape))
    return DepthView(name, CAMERA, T, depth, confidence)


def rows(seed: int) -> list[tuple[dict[str, float], bool, Kind | None]]:
    """Candidates of a room: what is said of each, whether it is an opening, and what it is."""
    truth, views, things = scene(seed)
    random = np.random.default_rng(seed + 10**6)
    layout = truth.moved(np.array([0, 0, *random.normal(0, 0.02, len(truth.walls))]))
    out = []
    for index, opening, told in candidates(layout, views):
        here = [thing for thing in things if thing.wall == index]
        shift = float((layout.walls[index].start - truth.walls[index].start) @ truth.walls[index].direction)
        place = (opening.start + shift, opening.end + shift, opening.low, opening.high)
        best = max(here, key=lambda thing: thing.overlap(*place), default=None)
        right = best is not None and best.kind in TRUE and best.overlap(*place) > _SAME
        out.append((told, right, best.kind if best else None))
    return out


def fit(found: list[tuple[dict[str, float], bool, Kind | None]]) -> dict[str, float]:
    """Weights of least log-loss with signs as `SIGNS` says; right and wrong candidates weigh alike."""
    names = list(SIGNS)
    x = np.array([[1.0, *(told[name] for name in names[1:])] for told, _, _ in found])
    right = np.array([label for _, label, _ in found])
    share = np.where(right, 0.5 / right.sum(), 0.5 / (~right).sum())

    def loss(weights: np.ndarray) -> float:
        signed = np.where(right, 1, -1) * (x @ weights)
        return float(share @ np.logaddexp(0, -signed) + _RIDGE / 100 * weights[1:] @ weights[1:])

    bounds = [{1: (0, None), -1: (None, 0), 0: (None, None)}[SIGNS[name]] for name in names]
    best = minimize(loss, np.zeros(len(names)), method="L-BFGS-B", bounds=bounds).x
    return dict(zip(names, best.round(3).tolist(), strict=True))


def judge(found: list[tuple[dict[str, float], bool, Kind | None]], weights: Mapping[str, float]) -> None:
    p = np.array([probability(told, weights) for told, _, _ in found])
    right = np.array([label for _, label, _ in found])
    drawn = p >= 0.5
    print(f"{len(p)} candidates, {right.sum()} openings; drawn {drawn.sum()}, of which {(drawn & right).sum()} are")
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01)):
        bin_ = (p >= low) & (p < high)
        if bin_.any():
            print(f"  stated {p[bin_].mean():.2f}: right {right[bin_].mean():.2f} of {bin_.sum()}")
    for kind in (*SIZES, None):
        of = np.array([k == kind for _, _, k in found])
        if of.any():
            print(f"  {kind}: {of.sum()} candidates, {(of & drawn).sum()} drawn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", type=int, nargs=2, metavar=("FIRST", "COUNT"))
    parser.add_argument("--judge", type=int, nargs=2, metavar=("FIRST", "COUNT"), required=True)
    asked = parser.parse_args()
    weights: Mapping[str, float] = WEIGHTS
    if asked.fit:
        weights = fit([row for seed in range(asked.fit[0], sum(asked.fit)) for row in rows(seed)])
        print(weights)
    judge([row for seed in range(asked.judge[0], sum(asked.judge)) for row in rows(seed)], weights)


if __name__ == "__main__":
    main()
