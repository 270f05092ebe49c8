"""The artifact `layout/`, read back by readers that are not ours."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import ezdxf
import numpy as np
import pytest
import svgelements
import trimesh
from ezdxf.entitydb import EntityDB

from fewview.data.gallery import Room, generate
from fewview.layout import LayoutConfig
from fewview.layout.document import read_layout, read_scale
from fewview.layout.dxf import write_dxf
from fewview.layout.glb import prism
from fewview.layout.model import Opening
from fewview.layout.stage import run, unseen
from fewview.layout.svg import write_svg
from fewview.recon.depth.artifact import VERIFIED, DepthMap
from fewview.recon.io.cameras import CameraSet, write_cameras
from fewview.recon.photos import Photo, save_photos
from fewview.recon.progress import LogProgress
from fewview.recon.scale import Scale
from tests.layout.prisms import L_SHAPE, room

METRES = Scale("metre", "a tape")
SCALE = 0.4
"""Scene units per metre."""


def _artifacts(scene: Room, folder: Path, depths: list[np.ndarray]) -> dict[str, Path]:
    inputs = {name: folder / name for name in ("photos", "cameras", "depth")}
    for path in (*inputs.values(), folder / "photos" / "images"):
        path.mkdir(parents=True, exist_ok=True)
    photos, views = [], []
    for shot, depth in zip(scene.shots, depths, strict=True):
        key, camera = Path(shot.view.name).stem, shot.view.camera
        cv2.imwrite(str(inputs["photos"] / "images" / f"{key}.png"), shot.image[..., ::-1])
        photos.append(Photo(shot.view.name, key, shot.view.name, "", camera.width, camera.height, f"images/{key}.png"))
        T = shot.view.T_world_camera.copy()
        T[:3, 3] *= SCALE
        views.append(replace(shot.view, T_world_camera=T))
        sure, nowhere = np.ones(depth.shape, np.float16), np.full((*depth.shape, 3), np.nan, np.float16)
        found = DepthMap(depth.astype(np.float32), sure, nowhere, np.full(depth.shape, VERIFIED, np.uint8))
        found.save(inputs["depth"] / f"{key}.npz")
    save_photos(inputs["photos"], photos)
    write_cameras(inputs["cameras"], CameraSet(views))
    return inputs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Room, dict[str, Path], Path]:
    scene = generate(seed=7, shape="l", views=4, size=(256, 192), walk="around")
    folder = tmp_path_factory.mktemp("layout")
    inputs = _artifacts(scene, folder, [SCALE * shot.depth for shot in scene.shots])
    out = folder / "layout"
    out.mkdir()
    run(inputs, LayoutConfig(), out, LogProgress())
    return scene, inputs, out


def test_document_says_what_was_found(made: tuple[Room, dict[str, Path], Path]) -> None:
    scene, _, out = made
    document = json.loads((out / "layout.json").read_text())
    assert document["room"] is True
    assert document["units"] == "unknown"
    assert document["scale_source"] == "guessed from how high cameras are held and how high rooms are"
    assert document["scale_guess"] is True
    low, high = document["scale_interval"]
    assert 0.85 < low < 1 < high < 1.15
    assert low < SCALE / document["metre"] < high
    layout = read_layout(out / "layout.json")
    assert layout is not None
    assert len(document["walls"]) == len(layout.walls) == 6
    assert layout.height == pytest.approx(SCALE * scene.height, rel=0.02)
    assert layout.planes() == pytest.approx(
        np.array([[*plane["normal"], plane["offset"]] for plane in document["planes"]])
    )
    assert len(document["adjacency"]) == 3 * 6
    true = np.array([[*plane.normal, SCALE * plane.offset] for plane in scene.planes])
    gap = np.abs(layout.planes()[:, None] - true).max(2).min(1)
    seen = [plane["observed"] for plane in document["planes"]]
    assert sum(seen) >= 7
    assert gap[seen].max() < 0.02


def test_masks_and_depth_of_every_view(made: tuple[Room, dict[str, Path], Path]) -> None:
    scene, _, out = made
    views = json.loads((out / "layout.json").read_text())["views"]
    for entry, shot in zip(views, scene.shots, strict=True):
        mask = cv2.imread(str(out / entry["mask"]), cv2.IMREAD_GRAYSCALE)
        with np.load(out / entry["depth"]) as arrays:
            depth = arrays["depth"]
        assert mask.shape == depth.shape == shot.depth.shape
        floor = shot.instance == scene.planes[0].instance
        assert (mask[floor] == 0).mean() > 0.97
        assert sorted(np.unique(mask)) == entry["planes"]
        shell = np.isin(shot.instance, [plane.instance for plane in scene.planes])
        assert np.median(np.abs(depth / SCALE - shot.depth)[shell]) < 0.03
        overlay = cv2.imread(str(out / "overlays" / f"{Path(shot.view.name).stem}.jpg"))
        assert overlay.shape == shot.image.shape


def test_plan_is_read_by_ezdxf_and_svgelements(made: tuple[Room, dict[str, Path], Path]) -> None:
    _, _, out = made
    layout = read_layout(out / "layout.json")
    assert layout is not None
    drawing = ezdxf.readfile(out / "floorplan.dxf")
    assert not drawing.audit().errors
    space = drawing.modelspace()
    (outline,) = [line for line in space.query("LWPOLYLINE") if line.dxf.layer == "WALLS"]
    metres = layout.scaled(1 / read_scale(out / "layout.json").metre)
    assert drawing.units == 6, "metres"
    assert np.array(outline.get_points("xy")) == pytest.approx(metres.polygon)
    measured = sorted(dimension.get_measurement() for dimension in space.query("DIMENSION"))
    assert measured == pytest.approx(sorted(wall.length for wall in metres.walls), abs=1e-6)
    svg = svgelements.SVG.parse(str(out / "floorplan.svg"))
    (floor,) = [shape for shape in svg.elements() if isinstance(shape, svgelements.Polygon)]
    corners = np.array([[point.x, point.y] for point in floor.points])[:6]
    document = json.loads((out / "layout.json").read_text())
    scale = 100 / document["metre"]
    sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    assert sides == pytest.approx([scale * wall.length for wall in layout.walls], rel=2e-3), "its width is rounded"
    texts = [str(text.text) for text in svg.elements() if isinstance(text, svgelements.Text)]
    assert any(text.startswith(f"{metres.area:.2f} m²") for text in texts)
    for wall, entry in zip(metres.walls, document["walls"], strict=True):
        assert entry["length_m"]["value"] == pytest.approx(wall.length)
        assert any(text.startswith(f"{wall.length:.2f} m") for text in texts)
        if entry["length_m"]["interval"] is not None:
            low, high = entry["length_m"]["interval"]
            assert low < wall.length * document["scale_interval"][0]
            assert high > wall.length * document["scale_interval"][1]


def test_the_plan_is_the_same_file_in_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of strings have another order in each."""
    in_use = EntityDB.dxf_types_in_use
    for name, back in (("one.dxf", False), ("other.dxf", True)):
        order = partial(sorted, reverse=back)
        monkeypatch.setattr(EntityDB, "dxf_types_in_use", lambda self, order=order: order(in_use(self)))
        write_dxf(tmp_path / name, room(L_SHAPE), METRES, [])
    assert (tmp_path / "one.dxf").read_bytes() == (tmp_path / "other.dxf").read_bytes()


def test_openings_are_drawn_where_they_are(tmp_path: Path) -> None:
    walls = list(room(L_SHAPE).walls)
    door, window = Opening("door", 0.5, 1.4, 0.0, 2.0, 0.9), Opening("window", 2.0, 3.2, 0.9, 2.1, 0.8)
    walls[0] = replace(walls[0], openings=(door, window))  # along y = 0
    layout = replace(room(L_SHAPE), walls=tuple(walls))
    write_dxf(tmp_path / "plan.dxf", layout, METRES, [])
    space = ezdxf.readfile(tmp_path / "plan.dxf").modelspace()
    for opening in (door, window):
        (line,) = space.query(f'LINE[layer=="{opening.kind.upper()}"]')
        assert [*line.dxf.start, *line.dxf.end] == pytest.approx([opening.start, 0, 0, opening.end, 0, 0])
    write_svg(tmp_path / "plan.svg", layout, METRES, [])
    drawn = {line.values["class"]: line for line in svgelements.SVG.parse(str(tmp_path / "plan.svg")).elements()
             if isinstance(line, svgelements.SimpleLine)}  # fmt: skip
    for opening in (door, window):
        assert drawn[opening.kind].length() == pytest.approx(100 * (opening.end - opening.start), abs=0.1)


def test_walls_nobody_saw_are_named_on_the_plan(tmp_path: Path) -> None:
    seen = room(L_SHAPE)
    assert unseen(seen) == []
    layout = replace(seen, walls=tuple(replace(wall, observed=i not in (1, 3)) for i, wall in enumerate(seen.walls)))
    notes = ["Scale: known", *unseen(layout)]
    assert notes[1:] == ["Dashed: walls 2, 4 were not seen; where the room ends there, and so its area, is a guess."]
    write_svg(tmp_path / "plan.svg", layout, METRES, notes)
    write_dxf(tmp_path / "plan.dxf", layout, METRES, notes)
    svg = svgelements.SVG.parse(str(tmp_path / "plan.svg"))
    texts = {str(text.text): text for text in svg.elements() if isinstance(text, svgelements.Text)}
    first = next(text for said, text in texts.items() if said.startswith("Dashed: walls 2, 4 were not seen"))
    assert texts[notes[0]].y < first.y < svg.height
    assert " ".join(said for said, text in texts.items() if text.y >= first.y) == notes[1], "wrapped"
    written = ezdxf.readfile(tmp_path / "plan.dxf").modelspace().query("TEXT")
    places = {text.dxf.text: text.dxf.insert.y for text in written}
    assert places[notes[1]] < places[notes[0]] < layout.polygon.min(0)[1]


def test_room_is_watertight(made: tuple[Room, dict[str, Path], Path]) -> None:
    _, _, out = made
    layout = read_layout(out / "layout.json")
    assert layout is not None
    scene = trimesh.load(out / "room.glb")
    (coloured,) = scene.geometry.values()
    mesh = trimesh.load(out / "room.glb", force="mesh")
    assert mesh.is_watertight
    scale = read_scale(out / "layout.json")
    metres = layout.scaled(1 / scale.metre)
    assert mesh.volume == pytest.approx(metres.area * metres.height, rel=1e-4)
    assert mesh.extents[1] == pytest.approx(metres.height, rel=1e-4), "glTF has y up"
    assert scene.metadata["scale_interval"] == pytest.approx(scale.interval)
    assert np.ptp(coloured.visual.vertex_attributes["color"][:, :3].astype(int)) > 20_000, "coloured from the photos"
    assert prism(room(L_SHAPE), fine=False).is_watertight


def test_equal_inputs_give_equal_bytes(made: tuple[Room, dict[str, Path], Path], tmp_path: Path) -> None:
    _, inputs, out = made
    run(inputs, LayoutConfig(), tmp_path, LogProgress())
    files = sorted(path.relative_to(out) for path in out.rglob("*.*"))
    assert len(files) == 4 + 3 * 4
    assert all((out / path).read_bytes() == (tmp_path / path).read_bytes() for path in files if path.suffix != ".npz")


def test_no_room_is_said_and_no_wall_invented(made: tuple[Room, dict[str, Path], Path], tmp_path: Path) -> None:
    scene, _, _ = made
    rng = np.random.default_rng(0)
    depths = [1 + rng.uniform(0, 1, shot.depth.shape) for shot in scene.shots]
    inputs = _artifacts(scene, tmp_path, depths)
    out = tmp_path / "layout"
    out.mkdir()
    progress = LogProgress()
    run(inputs, LayoutConfig(), out, progress)
    assert [path.name for path in out.iterdir()] == ["layout.json"]
    document = json.loads((out / "layout.json").read_text())
    assert document["room"] is False
    assert document["reason"]
    assert "walls" not in document
    assert progress.facts["room"] is False
    assert read_layout(out / "layout.json") is None
    shutil.rmtree(out)
