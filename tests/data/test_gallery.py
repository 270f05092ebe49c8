"""The synthetic rooms' truth is exact and consistent, and their photos are of furnished rooms."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fewview.data.gallery import Room, Shot, generate, write_scene
from fewview.data.gallery.beyond import find_holes
from fewview.data.gallery.layout import SHAPES, Shape, contains, make_layout, overlap, walls
from fewview.data.photosets import load_photoset
from fewview.recon.scene import View

SIZE = (320, 240)


@pytest.fixture(scope="module", params=SHAPES)
def room(request: pytest.FixtureRequest) -> Room:
    return generate(seed=4, shape=request.param, views=3, size=SIZE)


def _rays(view: View) -> np.ndarray:
    v, u = np.indices((view.camera.height, view.camera.width))
    return np.stack([u + 0.5, v + 0.5, np.ones_like(u)], -1) @ np.linalg.inv(view.camera.matrix).T


def _points(shot: Shot) -> np.ndarray:
    """World points of all pixels."""
    T = shot.view.T_world_camera
    return (_rays(shot.view) * shot.depth[..., None]) @ T[:3, :3].T + T[:3, 3]


def _seen_again(a: Shot, b: Shot) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which pixels of `a` fall into `b`'s image, where (pixels), and at what depth."""
    T = b.view.T_camera_world
    local = _points(a) @ T[:3, :3].T + T[:3, 3]
    z = local[..., 2]
    uv = (local @ b.view.camera.matrix.T)[..., :2] / z[..., None]
    inside = (z > 0) & (uv > 1).all(-1) & (uv < np.array(SIZE) - 1).all(-1)
    return inside, uv, z


def test_depth_normals_and_instances_lie_on_the_room_planes(room: Room) -> None:
    seen = 0
    for shot, plane in itertools.product(room.shots, room.planes):
        at = shot.instance == plane.instance
        seen += int(at.sum())
        distance = _points(shot)[at] @ plane.normal + plane.offset
        assert np.abs(distance).max(initial=0) < 1e-5, "float32 depth of some metres"
        normal = shot.normal[at] @ shot.view.T_world_camera[:3, :3].T
        assert np.abs(normal - plane.normal).max(initial=0) < 1e-6
    total = sum(shot.instance.size for shot in room.shots)
    assert 0.3 * total < seen < 0.97 * total, "walls are seen, and so is furniture"


def test_normals_look_at_the_camera(room: Room) -> None:
    for shot in room.shots:
        assert (np.einsum("hwi,hwi->hw", shot.normal, _rays(shot.view)) < 0).all()
        assert np.linalg.norm(shot.normal, axis=-1) == pytest.approx(1, abs=1e-6)


def test_views_agree_on_depth(room: Room) -> None:
    """A point seen in one view is, in another, at its depth or behind something nearer; never in front of
    all."""
    for a, b in itertools.permutations(room.shots, 2):
        inside, uv, z = _seen_again(a, b)
        column, row = np.floor(uv[inside]).astype(int).T
        same = b.instance[row, column] == a.instance[inside]
        # The pixel's own ray, and not its centre's: intersect the plane that the other view sees there.
        rays = np.concatenate([uv[inside], np.ones((len(row), 1))], 1) @ np.linalg.inv(b.view.camera.matrix).T
        normal = b.normal[row, column].astype(np.float64)
        centre = _rays(b.view)[row, column] * b.depth[row, column][:, None]
        there = np.einsum("ni,ni->n", normal, centre) / np.einsum("ni,ni->n", normal, rays)
        agrees = np.abs(there / z[inside] - 1) < 1e-4
        assert agrees.mean() > 0.6
        assert (agrees | (there < z[inside]))[same].mean() > 0.97, "but for edges within a pixel"


def test_neighbours_overlap_and_show_the_same_things(room: Room) -> None:
    for a, b in itertools.pairwise(room.shots):
        inside, uv, _ = _seen_again(a, b)
        assert inside.mean() > 0.55
        grey = [cv2.cvtColor(shot.image, cv2.COLOR_RGB2GRAY).astype(np.float32) for shot in (a, b)]
        column, row = np.moveaxis((uv - 0.5).astype(np.float32), -1, 0)
        there = cv2.remap(grey[1], column, row, cv2.INTER_LINEAR)
        assert np.corrcoef(grey[0][inside], there[inside])[0, 1] > 0.8
        # Exposure differs between photos, but not wildly.
        assert 0.8 < grey[0][inside].mean() / there[inside].mean() < 1.25


def test_cameras_are_held_by_a_person_inside(room: Room) -> None:
    for view in room.views:
        assert contains(room.polygon, view.center[None, :2]).all()
        assert 1.2 < view.center[2] < 1.8
        field = 2 * np.degrees(np.arctan(SIZE[0] / 2 / view.camera.fx))
        assert 65 <= field <= 75
        down = view.T_world_camera[:3, 1]
        assert down[2] < -0.9, "upright"
    steps = np.linalg.norm(np.diff([view.center for view in room.views], axis=0), axis=1)
    assert (steps > 0.1).all()
    assert (steps < 0.8).all()


def test_planes_bound_the_floor_polygon(room: Room) -> None:
    assert [plane.kind for plane in room.planes] == ["floor", "ceiling", *["wall"] * len(room.polygon)]
    for (start, end, normal), plane in zip(walls(room.polygon), room.planes[2:], strict=True):
        for corner in (start, end):
            assert plane.normal[:2] @ corner + plane.offset == pytest.approx(0, abs=1e-12)
        assert contains(room.polygon, ((start + end) / 2 + 0.05 * normal)[None]).all(), "normals point inwards"
    assert room.planes[1].offset == room.height
    turns = [np.cross([*(b - a), 0], [*(d - c), 0])[2] for (a, b, _), (c, d, _) in _corners(room)]
    assert (np.array(turns) < 0).sum() == {"l": 1, "t": 2}.get(room.shape, 0)
    slanted = [abs(normal[0] * normal[1]) > 0.1 for _, _, normal in walls(room.polygon)]
    assert sum(slanted) == (room.shape == "slanted")


def _corners(room: Room) -> list[tuple]:
    sides = walls(room.polygon)
    return list(zip(sides, sides[1:] + sides[:1], strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_furniture_stands_on_the_floor_and_does_not_collide(shape: Shape) -> None:
    counts = []
    for seed in range(3):
        layout = make_layout(np.random.default_rng(seed), shape, 6)
        counts.append(len(layout.pieces))
        for placed in layout.pieces:
            assert contains(layout.polygon, placed.corners(-1e-9)).all()
            assert min(box.low[2] for box in placed.piece.boxes) == 0
            assert placed.piece.height < layout.height
        for a, b in itertools.combinations(layout.pieces, 2):
            assert not overlap(a.corners(), b.corners())
        for a, b in itertools.combinations(layout.openings, 2):
            assert not overlap(a.corners(), b.corners())
    assert min(counts) >= 2
    assert np.mean(counts) >= 4


@pytest.mark.parametrize("shape", ["l", "t"])
def test_only_open_doors_and_windows_are_seen_through(shape: Shape) -> None:
    room = generate(seed=2, shape=shape, views=2, size=(160, 120), walk="around", openings=True)
    holes = find_holes(room.layout)
    assert {hole.kind for hole in holes} == {"door", "window"}
    beyond = [number for number, kind in room.instances.items() if kind == "beyond"]
    assert not {"door", "window"} & set(room.instances.values()), "they are open"
    passed = set()
    for shot in room.shots:
        rows, columns = np.nonzero(np.isin(shot.instance, beyond))
        camera, T = shot.view.camera, shot.view.T_world_camera
        ray = np.stack([(columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy], 1)
        ray = np.concatenate([ray, np.ones((len(ray), 1))], 1) @ T[:3, :3].T
        depth = shot.depth[rows, columns]
        through = np.zeros(len(ray), bool)
        for index, hole in enumerate(holes):
            a, b, normal = walls(room.polygon)[hole.wall]
            z = ((a - shot.view.center[:2]) @ normal) / (ray[:, :2] @ normal)
            at = shot.view.center + z[:, None] * ray
            along = (at[:, :2] - a) @ (b - a) / np.linalg.norm(b - a)
            # Rays are cast in float32.
            inside = (z > 0) & (z < depth + 1e-3) & (hole.start - 1e-3 < along) & (along < hole.end + 1e-3)
            inside &= (hole.low - 1e-3 < at[:, 2]) & (at[:, 2] < hole.high + 1e-3)
            through |= inside
            passed |= {index} if inside.any() else set()
        assert through.all()
    assert passed
    with_closed = generate(seed=2, shape=shape, views=2, size=(160, 120), walk="around")
    assert {"door", "window"} <= set(with_closed.instances.values())


def test_equal_arguments_give_equal_rooms_and_seeds_differ() -> None:
    first, again, other = (generate(seed, views=1, size=(64, 48)) for seed in (7, 7, 8))
    assert np.array_equal(first.shots[0].image, again.shots[0].image)
    assert np.array_equal(first.shots[0].depth, again.shots[0].depth)
    assert not np.array_equal(first.shots[0].image, other.shots[0].image)


def test_plain_walls_have_no_texture() -> None:
    detail = {}
    for plain in (False, True):
        room = generate(seed=4, views=1, plain_walls=plain, size=SIZE)
        shot = room.shots[0]
        bare = np.zeros(shot.instance.shape, bool)
        for plane in room.planes[1:]:
            # Farther from whatever else is there than the filter below reaches.
            bare |= cv2.erode((shot.instance == plane.instance).astype(np.uint8), np.ones((25, 25))) > 0
        grey = cv2.cvtColor(shot.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        blurred = cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 4)
        assert bare.mean() > 0.02
        detail[plain] = float(blurred[bare].std())
    assert detail[True] < 0.7, "grey levels: what is left is sensor noise and shading"
    assert detail[False] > 3 * detail[True]


def test_photos_are_well_exposed_and_noisy(room: Room) -> None:
    for shot in room.shots:
        assert 70 < shot.image.mean() < 190
        assert (shot.image == 255).all(-1).mean() < 0.12, "only windows and lamps burn out"


def test_written_scene_is_a_photo_set(room: Room, tmp_path: Path) -> None:
    write_scene(room, tmp_path)
    truth = load_photoset(tmp_path)
    assert truth.units == "metre"
    for view, path, shot in zip(truth.views, truth.images, room.shots, strict=True):
        assert np.allclose(view.T_world_camera, shot.view.T_world_camera, atol=0)
        assert view.camera.matrix == pytest.approx(shot.view.camera.matrix, abs=1e-9), "half-integer centres again"
        with Image.open(path) as photo:
            assert photo.size == SIZE
            equivalent = photo.getexif().get_ifd(0x8769)[0xA405]
            error = np.asarray(photo, np.float32) - shot.image
        assert equivalent == round(shot.view.camera.fx / np.hypot(*SIZE) * np.hypot(36, 24))
        assert np.abs(error).mean() < 3
        with np.load(tmp_path / "truth" / f"{path.stem}.npz") as arrays:
            assert np.array_equal(arrays["depth"], shot.depth)
            assert np.array_equal(arrays["instance"], shot.instance)
    document = json.loads((tmp_path / "truth" / "room.json").read_text())
    assert len(document["planes"]) == 2 + len(document["floor"])
    assert {document["instances"][str(plane["instance"])] for plane in document["planes"]} == {
        "floor",
        "ceiling",
        "wall",
    }
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix != ".npz"}
    write_scene(room, tmp_path)
    assert all(path.read_bytes() == content for path, content in before.items())


def test_what_cannot_be_photographed_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of rectangle, l, slanted"):
        generate(0, shape="round")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot take 0 photos"):
        generate(0, views=0)
