"""Openings: found where depth maps see through a wall, with exact truth, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fewview.data.gallery import generate
from fewview.data.gallery.beyond import find_holes
from fewview.layout import metrics
from fewview.layout.model import Opening, RoomLayout
from fewview.layout.openings import best_rectangle, candidates, find_openings
from fewview.layout.raycast import first_hits
from fewview.layout.stage import find_room
from fewview.layout.surfaces import DepthView
from fewview.recon.io.cameras import CameraSet
from fewview.recon.progress import LogProgress
from fewview.recon.scene import PosedImage
from tests.layout.prisms import L_SHAPE, RECTANGLE, look, rays, room, see, turning, y_down

DOOR = Opening("door", 1.2, 2.1, 0.0, 2.0, 1.0)
WINDOW = Opening("window", 2.6, 3.8, 0.9, 2.1, 1.0)
PASSAGE = Opening("opening", 0.8, 2.6, 0.0, 2.5, 1.0)


def _seen(
    truth: RoomLayout, wall: int, holes: list[Opening], away: float = 1.5, noise: float = 0.01
) -> list[DepthView]:
    """Depth of the room with holes in a wall, through which a plane `away` metres behind it is seen."""
    out = []
    for view in look(truth, turning(), noise):
        labels, depth = see(truth, view.camera, view.T_world_camera)
        eye, directions = rays(truth, view.camera, view.T_world_camera)
        points = eye + depth[..., None] * directions
        along, up = (points[..., :2] - truth.walls[wall].start) @ truth.walls[wall].direction, points[..., 2]
        inside = np.zeros(labels.shape, bool)
        for hole in holes:
            inside |= (along > hole.start) & (along < hole.end) & (up > hole.low) & (up < hole.high)
        near = (eye[:2] - truth.walls[wall].start) @ truth.walls[wall].normal
        farther = np.where(inside & (labels == 2 + wall), 1 + away / near, 1.0)
        out.append(replace(view, depth=view.depth * farther))
    return out


def test_rectangles_are_found_where_they_are() -> None:
    truth = room(RECTANGLE)
    found = find_openings(truth, _seen(truth, 2, [DOOR, WINDOW]))
    assert [len(wall.openings) for wall in found.walls] == [0, 0, 2, 0]
    for true, opening in zip((DOOR, WINDOW), found.walls[2].openings, strict=True):
        assert opening.kind == true.kind
        for name in ("start", "end", "low", "high"):
            assert getattr(opening, name) == pytest.approx(getattr(true, name), abs=0.07), name
        assert opening.confidence > 0.8


def test_a_passage_without_a_lintel_is_an_opening() -> None:
    truth = room(RECTANGLE)
    (found,) = find_openings(truth, _seen(truth, 2, [PASSAGE])).walls[2].openings
    assert (found.kind, found.low, found.high) == ("opening", 0, 2.5)


@pytest.mark.parametrize(
    ("holes", "away"),
    [
        ([], 1.0),
        ([replace(DOOR, end=1.4)], 1.0),  # a gap of 20 cm
        ([DOOR, WINDOW], 0.12),  # niches
        ([Opening("opening", 0.5, 4.0, 2.0, 2.5, 1.0)], 0.6),  # over a wardrobe's front that was taken for the wall
        ([Opening("opening", 0.0, 4.6, 0.0, 2.5, 1.0)], 1.0),  # the whole wall: then it is no wall
    ],
    ids=["closed", "gap", "niche", "over a wardrobe", "no wall"],
)
def test_nothing_is_invented(holes: list[Opening], away: float) -> None:
    truth = room(RECTANGLE)
    assert not any(wall.openings for wall in find_openings(truth, _seen(truth, 2, holes, away)).walls)


@pytest.mark.parametrize("heights", [(0.3, 1.9), (0.9, 2.1)], ids=["tall", "window-like"])
def test_a_mirror_is_no_opening(heights: tuple[float, float]) -> None:
    """Every photo sees the room once more behind it."""
    truth, wall, views = room(RECTANGLE), room(RECTANGLE).walls[2], []
    for view in look(truth, turning(), 0.01):
        labels, depth = see(truth, view.camera, view.T_world_camera)
        eye, directions = rays(truth, view.camera, view.T_world_camera)
        hit = eye + depth[..., None] * directions
        along = (hit[..., :2] - wall.start) @ wall.direction
        mirror = (labels == 4) & (along > 1.2) & (along < 2.4) & (hit[..., 2] > heights[0]) & (hit[..., 2] < heights[1])
        turned = directions * [1, -1, 1]  # the wall is y = 3.8
        shown = first_hits(truth, np.array([eye[0], 2 * 3.8 - eye[1], eye[2]]), turned)[1]
        views.append(replace(view, depth=np.where(mirror, shown * view.depth / depth, view.depth)))
    assert any(index == 2 for index, *_ in candidates(truth, views)), "it does look like an opening"
    assert not find_openings(truth, views).walls[2].openings


def test_wrong_depth_is_no_opening() -> None:
    """Behind it, no two photos see the same."""
    truth, patch = room(RECTANGLE), replace(WINDOW, start=1.2, end=2.8)
    views = [
        replace(_seen(truth, 2, [patch], away=0.4 + 0.3 * k)[k], confidence=np.full((120, 160), 0.7)) for k in range(6)
    ]  # fmt: skip
    assert any(index == 2 for index, *_ in candidates(truth, views))
    assert not find_openings(truth, views).walls[2].openings


def test_an_inferred_wall_has_no_openings() -> None:
    truth = room(L_SHAPE)
    guessed = replace(truth, walls=tuple(replace(wall, observed=False) for wall in truth.walls))
    assert not any(wall.openings for wall in find_openings(guessed, _seen(truth, 4, [DOOR])).walls)


@given(arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(-5, 5).map(float)))
def test_the_best_rectangle_is_the_best(value: np.ndarray) -> None:
    z0, z1, t0, t1 = best_rectangle(value)
    rows, columns = value.shape
    sums = [
        value[a:b, c:d].sum()
        for a in range(rows) for b in range(a + 1, rows + 1) for c in range(columns) for d in range(c + 1, columns + 1)
    ]  # fmt: skip
    assert value[z0:z1, t0:t1].sum() == max(*sums, 0)


@pytest.mark.parametrize(("shape", "openings"), [("l", True), ("rectangle", False)])
def test_furnished_rooms_with_biased_depth(shape: str, openings: bool) -> None:
    """The room ends at its doors and windows, which are found; a closed room's doors and windows are not."""
    truth = generate(seed=21, shape=shape, views=5, size=(200, 150), walk="around", openings=openings)  # type: ignore[arg-type]
    turn, scale = y_down(3), 0.4
    rng = np.random.default_rng(1)
    views, photos = [], []
    for shot in truth.shots:
        depth = shot.depth * (1 + rng.choice([-0.02, 0.02])) * (1 + 0.01 * rng.standard_normal(shot.depth.shape))
        view = DepthView(shot.view.name, shot.view.camera, shot.view.T_world_camera, depth, np.ones_like(depth))
        views.append(view.transformed(turn, scale))
        image, mask = shot.image.astype(np.float32) / 255, np.ones(depth.shape, bool)
        photos.append(PosedImage(view.name, view.camera, views[-1].T_world_camera, image, mask))
    layout, reason, _ = find_room(views, photos, CameraSet([], units="unknown"), LogProgress())
    assert layout is not None, reason
    plan = np.concatenate([layout.polygon, np.zeros((len(layout.walls), 1))], 1) @ layout.R_room_world @ turn / scale
    assert metrics.floor_iou(truth.polygon, plan[:, :2]) > 0.95
    if not openings:
        assert not any(wall.openings for wall in layout.walls)
        return
    true = []
    for hole in find_holes(truth.layout):
        a, b = truth.polygon[hole.wall], np.roll(truth.polygon, -1, 0)[hole.wall]
        way = (b - a) / np.linalg.norm(b - a)
        ends = [a + t * way for t in (hole.start, hole.end)]
        true.append([[*ends[0], hole.low], [*ends[1], hole.low], [*ends[1], hole.high], [*ends[0], hole.high]])
    score = metrics.match_openings(np.array(true), layout.opening_corners() @ turn / scale)
    assert score.precision == 1
    # The window's view ends 9 cm from where a mirror would show the wall opposite: it is left out.
    assert score.recall >= 1 / 2
