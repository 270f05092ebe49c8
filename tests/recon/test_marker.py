"""The printed page: written as PDF, read back by another program, photographed, and found; exact truth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pypdfium2
import pytest
from scipy.spatial.transform import Rotation
from sfm_scene import MatchedScene, pose, scene

from fewview.apps.cli import main
from fewview.recon.geometry.pose import transform
from fewview.recon.marker import CHECK_M, PAGE_M, TAGS, corners_m, find_tags
from fewview.recon.scale import normal
from fewview.recon.scene import Camera, View
from fewview.recon.sfm.printed import Printed, from_one, from_page

CAMERA = Camera(640, 480, 500, 500, 323, 238, (-0.08, 0.01, 0.0, 0.0))
DPI = 150
UNIT = 0.37
"""Units of the world per metre."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    path = tmp_path_factory.mktemp("page") / "new" / "marker.pdf"
    assert main(["marker", "--out", str(path)]) == 0
    document = pypdfium2.PdfDocument(path)
    assert len(document) == 1
    assert document[0].get_size() == pytest.approx((595.28, 841.89), abs=0.01), "A4 in points"
    assert "This line must be 150 mm long" in document[0].get_textpage().get_text_bounded()
    return np.asarray(document[0].render(scale=DPI / 72).to_pil().convert("RGB"))


def test_the_page_is_what_the_program_takes_it_for(page: np.ndarray, tmp_path: Path) -> None:
    pixels = DPI / 0.0254
    found = find_tags(page)
    assert found.keys() == TAGS.keys()
    for tag, corners in found.items():
        true = corners_m(tag)[:, :2] * [pixels, -pixels] + [0, PAGE_M[1] * pixels]
        assert np.abs(corners - true).max() < 1.5, "the renderer rounds the page to pixels"
    row = page[round((PAGE_M[1] - CHECK_M[2]) * pixels), :, 0] < 128
    assert np.ptp(np.flatnonzero(row)) == pytest.approx(0.15 * pixels, abs=5)
    for name in ("one.pdf", "other.pdf"):
        assert main(["marker", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "other.pdf").read_bytes()


def test_another_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["marker", "--out", "marker.png"]) == 2
    assert "marker.png is no name of a PDF. Remedy: Name a file that ends in .pdf." in " ".join(
        capsys.readouterr().err.split()
    )


def _photo(page: np.ndarray, view: View, T_world_page: np.ndarray) -> np.ndarray:
    """The page on grey ground, with blur and noise."""
    camera, (height, width) = view.camera, page.shape[:2]
    rays = transform(view.T_world_camera, camera.rays())  # of depth 1
    local = (np.linalg.inv(T_world_page) @ np.concatenate([rays, np.ones((*rays.shape[:2], 1))], -1)[..., None])[
        ..., :3, 0
    ]
    eye = (np.linalg.inv(T_world_page) @ [*view.center, 1])[:3]
    way = local - eye
    hit = eye + way * (-eye[2] / way[..., 2])[..., None]
    u, v = hit[..., 0] / PAGE_M[0] * width - 0.5, height - hit[..., 1] / PAGE_M[1] * height - 0.5
    footprint = width / PAGE_M[0] * abs(eye[2]) / camera.fx
    smooth = cv2.GaussianBlur(page, (0, 0), 0.5 * max(footprint, 0.1))
    image = cv2.remap(smooth, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderValue=(120, 120, 120))
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 0.6) * 0.8 + noise, 0, 255).astype(np.uint8)


def _on_the_floor(turn_deg: float = 30.0) -> np.ndarray:
    """Page to world (y down): face up."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("y", turn_deg, degrees=True).as_matrix() @ np.array(
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    )
    return T


def _views(count: int) -> list[View]:
    centers = [np.array([x, -1.4, -1.1 + 0.2 * x]) for x in np.linspace(-0.7, 0.7, count)]
    return [View(f"{i}.jpg", CAMERA, pose(center, np.array([0.1, 0, 0.1]))) for i, center in enumerate(centers)]


def _in_units(view: View) -> View:
    T = view.T_world_camera.copy()
    T[:3, 3] *= UNIT
    return View(view.name, view.camera, T)


def _right(found: Printed | None) -> Printed:
    assert found is not None
    low, high = normal(found.deviation)
    assert low < 1 / UNIT / found.metres < high
    return found


def test_photos_of_it_tell_the_scale(page: np.ndarray) -> None:
    seen = {view.name: find_tags(_photo(page, view, _on_the_floor())) for view in _views(3)}
    assert all(571 in tags for tags in seen.values())
    found = _right(from_page(seen, [_in_units(view) for view in _views(3)]))
    assert found.photos == ("0.jpg", "1.jpg", "2.jpg")
    assert found.deviation < 0.01
    moved = {**seen, "1.jpg": find_tags(_photo(page, _views(3)[1], _on_the_floor(75)))}
    assert from_page(moved, [_in_units(view) for view in _views(3)]) is None
    assert from_page({"0.jpg": seen["0.jpg"]}, [_in_units(view) for view in _views(3)]) is None


def test_one_photo_tells_the_scale_by_what_the_page_lies_on(page: np.ndarray) -> None:
    view, random = _views(3)[0], np.random.default_rng(0)
    corners = find_tags(_photo(page, view, _on_the_floor()))
    floor = np.stack([random.uniform(-0.3, 0.4, 20), np.zeros(20), random.uniform(-0.4, 0.3, 20)], 1)
    above = np.stack([random.uniform(-0.3, 0.4, 9), random.uniform(-0.4, -0.05, 9), random.uniform(-0.4, 0.3, 9)], 1)
    found = _right(from_one(corners, _in_units(view), UNIT * np.concatenate([floor, above])))
    assert 0.01 < found.deviation < 0.04
    assert from_one(corners, _in_units(view), UNIT * above) is None


def test_a_run_takes_its_metres_from_it(page: np.ndarray, tmp_path: Path) -> None:
    views, points = scene(3)
    T = np.eye(4)  # upright in the middle of the arc, and a metre is .8 of a unit
    T[:3, :3], T[:3, 3] = 0.8 * np.diag([1, -1, -1]), [-0.08, 0.12, -0.9]
    made = MatchedScene(tmp_path, views, points, noise_px=0.3, camera_group="phone")
    for a in range(3):
        for b in range(a):
            made.match(b, a, true=160, wrong=10)
        image = _photo(page, views[a], T)
        cv2.imwrite(str(tmp_path / "photos" / "images" / views[a].name), image[..., ::-1])
    cameras, _ = made.run()
    assert (cameras.units, cameras.scale_source) == ("metre", "the printed page that 0.png, 1.png and 2.png show")
    assert cameras.scale_interval is not None
    low, high = cameras.scale_interval
    assert 0.97 < low < 1 < high < 1.03
    apart = [float(np.linalg.norm(each[0].center - each[2].center)) for each in (cameras.views, views)]
    assert low < apart[1] / 0.8 / apart[0] < high
