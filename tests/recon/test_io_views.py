"""Undistortion and shrinking against images whose every value is known, and the readers of real sets."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fewview.data.photosets import benchmark_split, evenly_spaced, load_photoset
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet, write_cameras
from fewview.recon.io.images import write_png
from fewview.recon.photos import Photo, load_photos, save_photos
from fewview.recon.scene import Camera, View
from fewview.recon.views import load_posed, shrink, undistort

LENSES = [
    (-0.28, 0.08, 0.002, -0.003),
    (0.2, -0.05, -0.004, 0.001, 0.01),
    (-0.1, 0.02, 0.0, 0.0, -0.004),
]


def _rays(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """x / z and y / z at the pixel centres of a pinhole camera."""
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    return np.meshgrid(x, y)


def _distort(x: np.ndarray, y: np.ndarray, coefficients: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    k1, k2, p1, p2, k3 = (*coefficients, *[0.0] * 5)[:5]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def _photo_of_the_rays(camera: Camera) -> np.ndarray:
    """What a lens shows of a wall painted with each ray's own x and y (blue is constant)."""
    x_seen, y_seen = _rays(camera)
    x, y = x_seen.copy(), y_seen.copy()
    for _ in range(200):
        a, b = _distort(x, y, camera.distortion)
        x, y = x - 0.7 * (a - x_seen), y - 0.7 * (b - y_seen)
    assert max(np.abs(a - x_seen).max(), np.abs(b - y_seen).max()) < 1e-9
    return np.stack([0.5 + 0.4 * x, 0.5 + 0.4 * y, np.full_like(x, 0.5)], 2).astype(np.float32)


def test_a_fisheye_photo_becomes_the_pinhole_in_its_middle() -> None:
    terms = (0.03, -0.006, 0.001, -0.0002)
    camera = Camera(200, 150, 70, 72, 103, 70, terms, fisheye=True)
    # A photo that shows where it was taken from: each pixel its own place.
    place = np.stack(np.meshgrid((np.arange(200) + 0.5) / 200, (np.arange(150) + 0.5) / 150), axis=-1)
    photo = np.dstack([place, np.full((150, 200), 0.5)]).astype(np.float32)
    image, mask = undistort(photo, np.ones((150, 200), bool), camera)
    x, y = _rays(camera)
    radius = np.hypot(x, y)
    angle = np.arctan(radius)
    bent = angle * (1 + sum(k * angle ** (2 * i + 2) for i, k in enumerate(terms)))
    u, v = (one / radius * bent * focal + at for one, focal, at in ((x, 70, 103), (y, 72, 70)))
    assert mask.all()
    assert np.abs(image[..., 0] * 200 - u).max() < 0.01
    assert np.abs(image[..., 1] * 150 - v).max() < 0.01


@pytest.mark.parametrize("coefficients", LENSES)
def test_undistortion_is_exact_to_a_hundredth_of_a_pixel(coefficients: tuple[float, ...]) -> None:
    camera = Camera(200, 150, 180, 185, 103, 70, coefficients)
    image, mask = undistort(_photo_of_the_rays(camera), np.ones((150, 200), bool), camera)
    x, y = _rays(camera)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((7, 7))) > 0  # Away from the mirrored border.
    inner[:3], inner[-3:], inner[:, :3], inner[:, -3:] = False, False, False, False
    assert inner.mean() > 0.7
    off_x_px = ((image[..., 0] - 0.5) / 0.4 - x) * camera.fx
    off_y_px = ((image[..., 1] - 0.5) / 0.4 - y) * camera.fy
    # A principal point half a pixel off would show as .07 px and more in the corners.
    assert np.abs(off_x_px[inner]).max() < 0.01
    assert np.abs(off_y_px[inner]).max() < 0.01


@pytest.mark.parametrize("coefficients", LENSES)
def test_mask_of_undistortion_is_where_the_photo_is(coefficients: tuple[float, ...]) -> None:
    camera = Camera(200, 150, 180, 185, 103, 70, coefficients)
    user = np.ones((150, 200), bool)
    user[60:80, 90:120] = False
    _, mask = undistort(np.zeros((150, 200, 3), np.float32), user, camera)
    x, y = _distort(*_rays(camera), coefficients)
    u, v = x * camera.fx + camera.cx, y * camera.fy + camera.cy
    inside = (u > 0) & (u < 200) & (v > 0) & (v < 150)
    hidden = (u > 90) & (u < 120) & (v > 60) & (v < 80)
    assert not mask[~inside].any()
    assert not mask[hidden].any()
    near_hidden = (u > 88.9) & (u < 121.1) & (v > 58.9) & (v < 81.1)
    assert mask[inside & ~near_hidden].all()


def test_rays_beyond_the_fold_of_the_polynomial_are_masked() -> None:
    """1 - r^2 / 2 turns back at r = .816; further out it would show the photo a second time, mirrored."""
    camera = Camera(400, 300, 150, 150, 200, 150, (-0.5, 0.0, 0.0, 0.0))
    _, mask = undistort(np.zeros((300, 400, 3), np.float32), np.ones((300, 400), bool), camera)
    radius = np.hypot(*_rays(camera))
    assert not mask[radius > 0.82].any()
    assert mask[radius < 0.81].all()


def test_shrinking_keeps_rays_in_place() -> None:
    camera = Camera(210, 150, 180, 185, 103, 70)
    small = camera.fitted(77)
    assert (small.width, small.height) == (77, 55)
    image = shrink(_photo_of_the_rays(camera), 77, 55)
    x, y = _rays(small)
    assert np.abs(((image[..., 0] - 0.5) / 0.4 - x) * small.fx).max() < 0.02
    assert np.abs(((image[..., 1] - 0.5) / 0.4 - y) * small.fy).max() < 0.02


def _artifacts(folder: Path) -> None:
    """Two photos of 400 x 300 at half size, of which one is masked on the left and one excluded."""
    (folder / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    mask = np.full((150, 200), 255, np.uint8)
    mask[:, :41] = 0
    for key in ("a", "b"):
        write_png(folder / f"images/{key}.png", noise)
    write_png(folder / "mask.png", mask)
    photos = [
        Photo("a.jpg", "a", "a.jpg", "0", 400, 300, "images/a.png", mask="mask.png"),
        Photo("b.jpg", "b", "b.jpg", "1", 400, 300, "images/b.png"),
        Photo("c.jpg", "c", "c.jpg", "2", 0, 0, "", excluded="truncated"),
    ]
    save_photos(folder, photos)
    assert load_photos(folder, excluded=True) == photos
    assert load_photos(folder) == photos[:2]
    camera = Camera(400, 300, 360, 370, 206, 140)
    write_cameras(folder, CameraSet([View("b.jpg", camera, np.eye(4)), View("a.jpg", camera, np.eye(4))]))


def test_load_posed(tmp_path: Path) -> None:
    _artifacts(tmp_path)
    b, a = load_posed(tmp_path, tmp_path, 100)
    assert (a.name, b.name) == ("a.jpg", "b.jpg")
    assert a.camera == Camera(100, 75, 90, 92.5, 51.5, 35)
    original = load_photos(tmp_path)[0].load_image(tmp_path)
    assert np.allclose(a.image, original.reshape(75, 2, 100, 2, 3).mean((1, 3)), atol=1e-6)
    assert a.image.dtype == np.float32
    assert b.mask.all()
    # The 41st column is ignored, so the pixel that averages it with the 42nd is too.
    assert not a.mask[:, :21].any()
    assert a.mask[:, 21:].all()
    assert load_posed(tmp_path, tmp_path, 9999)[0].image.shape == (150, 200, 3), "never enlarged"


def test_load_posed_of_another_run(tmp_path: Path) -> None:
    _artifacts(tmp_path)
    write_cameras(tmp_path, CameraSet([View("z.jpg", Camera(4, 3, 3, 3, 2, 2), np.eye(4))]))
    with pytest.raises(InputError) as refused:
        load_posed(tmp_path, tmp_path, 100)
    assert str(refused.value) == (
        f"{tmp_path / 'cameras.json'} names the photo z.jpg, which {tmp_path} does not hold. "
        "Use cameras and photos of one run."
    )


def test_altered_working_image(tmp_path: Path) -> None:
    _artifacts(tmp_path)
    (tmp_path / "images/a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png cannot be decoded\. It was altered: delete its folder"):
        load_posed(tmp_path, tmp_path, 100)


def test_benchmark_split() -> None:
    assert evenly_spaced(11, 3) == [0, 5, 10]
    assert evenly_spaced(24, 6) == [0, 5, 9, 14, 18, 23]
    train, test = benchmark_split(11, 6)
    assert train == [0, 2, 4, 6, 8, 10]
    assert test == [1, 3, 5, 7, 9]
    assert benchmark_split(20, 3) == ([0, 10, 19], [1, 4, 7, 12, 15, 18])
    assert benchmark_split(3, 3) == ([0, 1, 2], [])
    with pytest.raises(ValueError, match="cannot take 4 of 3"):
        evenly_spaced(3, 4)


def test_photoset_pixel_centres_and_errors(tmp_path: Path) -> None:
    frame = {
        "file": "images/a.jpg", "width": 4, "height": 3, "fx": 5, "fy": 6, "cx": 1.5, "cy": 1,
        "distortion": {"k1": 0.1}, "world_from_camera": np.eye(4).tolist(),
    }  # fmt: skip
    with pytest.raises(InputError, match=r"There is no .*cameras\.json\. Name a folder of photos with true"):
        load_photoset(tmp_path)
    (tmp_path / "cameras.json").write_text(json.dumps({"frames": [frame]}))
    with pytest.raises(InputError, match=r"cameras\.json names .*a\.jpg, which is missing\."):
        load_photoset(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").touch()
    truth = load_photoset(tmp_path)
    # The first pixel's centre is (0, 0) in the file and (0.5, 0.5) here.
    assert truth.views[0].camera == Camera(4, 3, 5, 6, 2.0, 1.5, (0.1, 0, 0, 0))
    assert truth.views[0].name == "a.jpg"
    assert truth.images == [tmp_path / "images/a.jpg"]


@pytest.mark.data
def test_real_sets_are_read(photosets: Path) -> None:
    sets = {path.name: load_photoset(path) for path in sorted(photosets.iterdir())}
    assert len(sets["strecha_fountain_p11"].views) == 11
    for truth in sets.values():
        assert len({view.name for view in truth.views}) == len(truth.views)
        for image, view in zip(truth.images, truth.views, strict=True):
            height, width = cv2.imread(str(image), cv2.IMREAD_UNCHANGED).shape[:2]
            assert (view.camera.width, view.camera.height) == (width, height)
