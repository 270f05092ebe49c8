"""Layouts of rooms of known shape, from depth."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewview.data.gallery import generate
from fewview.layout import metrics
from fewview.layout.estimate import estimate, upright_surfaces
from fewview.layout.floorplan import merge_lines
from fewview.layout.gravity import find_up, settle_up, wall_directions
from fewview.layout.model import RoomLayout
from fewview.layout.stage import find_room
from fewview.layout.surfaces import DepthView, gather, mutual_scales
from fewview.layout.vanishing import up_by_edges
from fewview.layout.walls import Line
from fewview.recon.io.cameras import CameraSet
from fewview.recon.progress import LogProgress
from fewview.recon.scene import Camera, PosedImage
from tests.layout.prisms import (
    CAMERA,
    L_SHAPE,
    RECTANGLE,
    SLANTED,
    look,
    photos,
    pose,
    rays,
    room,
    see,
    turning,
    y_down,
)

EYE = Camera(480, 360, 285.0, 285.0, 240.0, 180.0)


def _plan_in_truth(layout: RoomLayout, R_world_room: np.ndarray) -> np.ndarray:
    corners = np.concatenate([layout.polygon, np.zeros((len(layout.walls), 1))], 1)
    return (corners @ layout.R_room_world @ R_world_room)[:, :2]


@pytest.mark.parametrize("polygon", [RECTANGLE, L_SHAPE, SLANTED], ids=["rectangle", "l", "slanted"])
def test_empty_rooms_in_any_frame(polygon: np.ndarray) -> None:
    turn = y_down(len(polygon))
    truth = room(polygon)
    surfaces, R = upright_surfaces(look(truth, turning(), noise=0.01, R_world_room=turn), [], LogProgress())
    layout = estimate(surfaces, R)
    assert len(layout.walls) == len(polygon)
    assert metrics.floor_iou(polygon, _plan_in_truth(layout, turn)) > 0.97
    assert layout.height == pytest.approx(2.5, abs=0.03)
    planes = truth.planes()
    planes[:, :3] = planes[:, :3] @ turn.T
    score = metrics.match_planes(planes, layout.planes(), 0.1, 3)
    assert score.precision == score.recall == 1
    assert layout.floor.observed
    assert layout.ceiling.observed
    assert layout.area == pytest.approx(truth.area, rel=0.03)


def test_a_wall_that_nobody_saw_is_inferred() -> None:
    """Two photos of one corner of a rectangle: two walls are never seen."""
    poses = [pose(1.2, 1.0, 45), pose(1.6, 0.8, 50)]
    surfaces, R = upright_surfaces(look(room(RECTANGLE), poses), [], LogProgress())
    layout = estimate(surfaces, R)
    seen = [wall for wall in layout.walls if wall.observed]
    assert len(seen) == 2
    assert all(wall.confidence > 0.5 for wall in seen)
    assert all(wall.confidence < 0.2 for wall in layout.walls if not wall.observed)
    assert abs(seen[0].normal @ seen[1].normal) < np.sin(np.radians(0.5)), "orthogonal"


def test_an_unseen_wall_is_as_far_behind_the_cameras_whatever_they_see_beside_them() -> None:
    """The first photo shows the left wall to 40 cm behind the cameras, the others do not."""
    distances = []
    for yaws in ((150, 110, 70), (130, 90, 60), (110, 90, 70)):
        poses = [pose(2.3 + 0.2 * i, 1.0, yaw) for i, yaw in enumerate(yaws)]
        surfaces, R = upright_surfaces(look(room(RECTANGLE), poses), [], LogProgress())
        layout = estimate(surfaces, R)
        (back,) = (wall for wall in layout.walls if not wall.observed)
        eyes = np.stack([view[:3, 3] for view in poses]) @ layout.R_room_world.T
        distances.append(((eyes[:, :2] - back.start) @ back.normal).min())
        assert layout.area == pytest.approx(4.6 * (2.8 + distances[-1]), rel=0.03)
    assert min(distances) > 0.4, "it stands behind what is seen of the walls beside"
    assert max(distances) < 2.0, "nobody backs that far off without seeing more"
    assert np.ptp(distances) < 0.1


@pytest.mark.parametrize(("confidence", "walls"), [(0.9, 8), (0.4, 4)])
def test_depth_that_is_rather_wrong_is_no_wall(confidence: float, walls: int) -> None:
    """A bay before the right wall."""
    bay = np.array([[0, 0], [4.6, 0], [4.6, 1.0], [4.1, 1.0], [4.1, 2.6], [4.6, 2.6], [4.6, 3.8], [0, 3.8]])
    views = []
    for with_bay, without in zip(look(room(bay), turning()), look(room(RECTANGLE), turning()), strict=True):
        doubtful = with_bay.depth < 0.99 * without.depth
        views.append(replace(with_bay, confidence=np.where(doubtful, confidence, 1.0)))
    surfaces, R = upright_surfaces(views, [], LogProgress())
    assert len(estimate(surfaces, R).walls) == walls


def test_furnished_room_with_biased_depth() -> None:
    """A room of the gallery, 2 % bias and 1 % noise: what the benchmark measures on many."""
    truth = generate(seed=11, shape="l", views=5, size=(200, 150), walk="around")
    rng = np.random.default_rng(0)
    views, pictures = [], []
    for shot in truth.shots:
        name, camera, T = shot.view.name, shot.view.camera, shot.view.T_world_camera
        depth = shot.depth * (1 + rng.choice([-0.02, 0.02])) * (1 + 0.01 * rng.standard_normal(shot.depth.shape))
        views.append(DepthView(name, camera, T, depth, np.ones_like(depth)))
        pictures.append(PosedImage(name, camera, T, shot.image.astype(np.float32) / 255, np.ones(depth.shape, bool)))
    layout, reason, _ = find_room(views, pictures, CameraSet(truth.views, units="metre"), LogProgress())
    assert layout is not None, reason
    assert metrics.floor_iou(truth.polygon, _plan_in_truth(layout, np.eye(3))) > 0.93
    planes = np.array([[*plane.normal, plane.offset] for plane in truth.planes])
    score = metrics.match_planes(planes, layout.planes(), 0.15, 10)
    assert score.precision > 0.9
    assert score.recall == 1


def test_scale_is_guessed_where_unknown_and_said() -> None:
    views = [view.transformed(np.eye(3), 0.3) for view in look(room(RECTANGLE), turning())]
    layout, _, scale = find_room(
        views, photos(room(RECTANGLE), views, blank=True), CameraSet([], units="unknown"), LogProgress()
    )
    assert layout is not None
    assert scale.metre == pytest.approx(0.3, rel=0.03)
    assert scale.guess
    assert scale.sentence.startswith("The scale is a guess: 3.")
    assert scale.source == "guessed from how high cameras are held and how high rooms are"
    assert layout.height == pytest.approx(0.75, rel=0.02), "lengths stay in scene units"


def test_a_facade_is_no_room() -> None:
    """One large wall with ground before it."""
    facade = room(np.array([[-30, -30], [30, -30], [30, 6], [-30, 6.0]]), height=30.0)
    poses = [pose(x, 0, 90, pitch_deg=0) for x in (-0.5, 0.0, 0.5)]
    views = look(facade, poses)
    layout, reason, _ = find_room(views, photos(facade, views), CameraSet([], units="metre"), LogProgress())
    assert layout is None
    assert reason == "walls are seen in one direction only"


@pytest.mark.parametrize("shown", ["all", "no floor", "walls and eaves"])
def test_a_courtyard_is_no_room(shown: str) -> None:
    """Walls all around; of what is above, all or only a strip along the walls."""
    truth, poses = room(RECTANGLE), turning(300.0, 7)
    views = []
    for view in look(truth, poses):
        eye, directions = rays(truth, view.camera, view.T_world_camera)
        xyz = eye + view.depth[..., None] * directions
        hidden = np.zeros(view.depth.shape, bool)
        if shown != "all":
            hidden |= xyz[..., 2] < 0.05
        if shown == "walls and eaves":
            inner = (np.abs(xyz[..., :2] - RECTANGLE.mean(0)) < RECTANGLE.max(0) / 2 - 0.1).all(-1)
            hidden |= inner & (xyz[..., 2] > 2.45)
        views.append(replace(view, depth=np.where(hidden, np.nan, view.depth)))
    layout, reason, _ = find_room(views, photos(truth, views, blank=True), CameraSet([], units="metre"), LogProgress())
    assert (layout is None) == (shown == "walls and eaves")
    assert reason in (None, "no floor and hardly any ceiling is seen")


def test_nothing_level_or_upright_is_no_room() -> None:
    rng = np.random.default_rng(0)
    depth = 2 + rng.uniform(0, 1, (CAMERA.height, CAMERA.width))
    views = [DepthView(str(i), CAMERA, pose(0, i, 90), depth, np.ones_like(depth)) for i in range(2)]
    layout, reason, _ = find_room(views, photos(room(RECTANGLE), views), CameraSet([], units="metre"), LogProgress())
    assert layout is None
    assert reason


def test_up_is_found_from_a_poor_start() -> None:
    turn = y_down(1)
    surfaces = gather(look(room(RECTANGLE), turning(), R_world_room=turn))
    start = turn @ [0.15, -0.1, 1.0]
    assert find_up(surfaces, start) @ turn[:, 2] > np.cos(np.radians(0.2))
    yaw, oblique = wall_directions(gather(look(room(SLANTED), turning(), noise=0.005)))
    assert abs(np.degrees(yaw)) < 0.5
    assert np.degrees(oblique) % 360 == pytest.approx([225], abs=2)


def test_views_of_wrong_scale_are_brought_together() -> None:
    views = look(room(RECTANGLE), turning())
    true = np.exp(np.array([0.02, -0.02, 0.02, -0.02, 0.0, 0.0]))
    wrong = [
        DepthView(v.name, v.camera, v.T_world_camera, v.depth * s, v.confidence)
        for v, s in zip(views, true, strict=True)
    ]
    scales = mutual_scales(wrong) * true
    assert np.ptp(scales) < 0.005, "equal up to a common factor"


def test_lines_that_repeat_are_dropped() -> None:
    lines = [Line(0.0, 1.0), Line(np.pi, -1.01), Line(0.0, 1.2), Line(np.pi / 2, 1.0)]
    assert merge_lines(lines) == [lines[0], lines[2], lines[3]]


@pytest.mark.parametrize("level", [True, False], ids=["floor and ceiling", "neither"])
def test_up_is_exact_by_the_edges_of_the_photos(level: bool) -> None:
    """Where neither floor nor ceiling has depth, edges of walls decide, and it is told."""
    truth, turn = room(RECTANGLE), y_down(2)
    views = look(truth, turning(), noise=0.02, R_world_room=turn)
    pictures, kept = [], []
    for view, T in zip(views, turning(), strict=True):
        labels = see(truth, EYE, T)[0]
        image = np.repeat((0.3 + 0.1 * labels)[..., None], 3, 2).astype(np.float32)
        pictures.append(PosedImage(view.name, EYE, view.T_world_camera, image, np.ones(labels.shape, bool)))
        walls = see(truth, CAMERA, T)[0] >= 2
        kept.append(view if level else replace(view, depth=np.where(walls, view.depth, np.nan)))
    progress = LogProgress()
    _, R = upright_surfaces(kept, pictures, progress)
    assert R[2] @ turn[:, 2] > np.cos(np.radians(0.1))
    assert bool(progress.fallbacks) is not level


def test_edges_of_things_that_lean_do_not_decide() -> None:
    truth, turn = room(RECTANGLE), y_down(2)
    views = look(truth, turning(), noise=0.01, R_world_room=turn)
    leaning = Rotation.from_euler("x", 8, degrees=True).as_matrix() @ turn
    up = settle_up(gather(views), [], turn[:, 2], LogProgress())
    pictures = [_sticks(view, leaning[:, 2]) for view in views]
    assert up_by_edges(pictures, turn[:, 2]) @ leaning[:, 2] > np.cos(np.radians(0.2))
    assert np.array_equal(settle_up(gather(views), pictures, turn[:, 2], LogProgress()), up)


def _sticks(view: DepthView, direction: np.ndarray) -> PosedImage:
    """A photo of parallel sticks before grey."""
    R, eye = view.T_world_camera[:3, :3], view.center
    image = np.full((EYE.height, EYE.width, 3), 0.5, np.float32)
    for x in np.linspace(-0.8, 0.8, 7):
        middle = eye + R @ [x, 0, 1.5]
        ends = (np.stack([middle - 0.4 * direction, middle + 0.4 * direction]) - eye) @ R
        pixels = ends[:, :2] / ends[:, 2:] * EYE.fx + [EYE.cx, EYE.cy]
        a, b = np.round(16 * (pixels - 0.5)).astype(int).tolist()
        cv2.line(image, a, b, (0.1, 0.1, 0.1), 3, cv2.LINE_AA, 4)
    return PosedImage(view.name, EYE, view.T_world_camera, image, np.ones(image.shape[:2], bool))
