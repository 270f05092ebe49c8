"""Pictures, films and the mesh that come out of one small splat, read back by other programs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import cv2
import imageio.v3 as imageio
import numpy as np
import pytest
import tiny
import trimesh

from fewview.recon.errors import EnvironmentFault, KilledFault, ReconstructionError
from fewview.recon.progress import LogProgress
from fewview.recon.scene import Camera
from fewview.splatting.artifact import write_training
from fewview.splatting.config import MeshConfig, RenderConfig
from fewview.splatting.export import read_ply, write_ply
from fewview.splatting.film import film_camera, surface_normals
from fewview.splatting.initialize import gaussians_from_points, read_points
from fewview.splatting.mesh import run as run_mesh
from fewview.splatting.pictures import compared, depth_picture, normal_picture
from fewview.splatting.render import run
from fewview.splatting.video import write_mp4

CONFIG = RenderConfig(fps=12, seconds=1.0)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`photos` and `splat` of the tiny room, with splats straight from its exact points."""
    folder = tmp_path_factory.mktemp("tiny")
    views = [tiny.look(f"{index}.jpg", T) for index, T in enumerate(tiny.poses(3))]
    tiny.write_photos(folder / "photos", views)
    tiny.write_camera_artifact(folder / "splat", [seen.view for seen in views], units="metre")
    tiny.write_depth(folder / "depth", views)
    write_ply(folder / "splat" / "splat.ply", gaussians_from_points(read_points(folder / "depth"), 0))
    plain = {"gain": [1.0] * 3, "offset": [0.0] * 3}
    dim = {"gain": [0.5, 0.75, 1.0], "offset": [0.1, 0.0, 0.0]}
    write_training(folder / "splat", {"exposure": {"0.jpg": plain, "1.jpg": plain, "2.jpg": dim}})
    return {"photos": folder / "photos", "splat": folder / "splat"}


@pytest.fixture(scope="module")
def rendered(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("renders")
    run(inputs, CONFIG, out, LogProgress())
    return out


def test_pictures_show_the_photos(rendered: Path) -> None:
    for index, T in enumerate(tiny.poses(3)):
        truth = tiny.look("", T)
        shown = cv2.imread(str(rendered / "input" / f"{index}.png"))[..., ::-1] / 255
        assert shown.shape == truth.image.shape
        assert -10 * np.log10(np.square(shown - truth.image).mean()) > 20
        sheet = cv2.imread(str(rendered / "compare" / f"{index}.png"))
        assert sheet.shape == (64, 3 * 88, 3)
        exposed = np.clip(shown * [0.5, 0.75, 1.0] + [0.1, 0.0, 0.0], 0, 1) if index == 2 else shown
        np.testing.assert_allclose(sheet[:, 88:176, ::-1] / 255, exposed, atol=1.01 / 255 if index == 2 else 0)
        with np.load(rendered / "depth" / f"{index}.npz") as file:
            error = np.abs(file["depth"] / truth.depth - 1)
            assert np.isfinite(error).mean() > 0.95
            assert np.nanmedian(error) < 0.01
            assert np.nanmedian(np.abs(file["expected_depth"] / truth.depth - 1)) < 0.01
            facing = (file["normal"].astype(float) * (truth.normals @ T[:3, :3])).sum(-1)
            assert np.nanmedian(facing) > 0.95
        for folder, height in (("normal", 64), ("depth", 64 + 34), ("expected_depth", 64 + 34)):
            assert cv2.imread(str(rendered / folder / f"{index}.png")).shape == (height, 88, 3)


@pytest.mark.parametrize("film", ["path.mp4", "orbit.mp4"])
def test_films_play_elsewhere_and_move(rendered: Path, film: str) -> None:
    frames = imageio.imread(rendered / film)
    assert frames.shape == (12, 64, 88, 3)
    facts = imageio.immeta(rendered / film)
    assert facts["codec"] == "h264"
    assert facts["pix_fmt"].startswith("yuv420p")
    assert facts["fps"] == 12
    assert np.abs(frames[0].astype(float) - frames[6]).mean() > 2
    assert frames.std() > 20


def test_same_splats_give_the_same_bytes(inputs: dict[str, Path], rendered: Path, tmp_path: Path) -> None:
    run(inputs, CONFIG, tmp_path, LogProgress())
    files = sorted(file.relative_to(rendered) for file in rendered.rglob("*") if file.is_file())
    assert len(files) == 3 * 6 + 3
    for file in files:
        assert (rendered / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_films_have_even_sizes_and_the_commonest_shape() -> None:
    portrait, landscape = Camera(333, 511, 400.0, 400.0, 166.5, 255.5), Camera(511, 333, 410.0, 410.0, 255.5, 166.5)
    camera = film_camera([landscape, portrait, portrait])
    assert (camera.width, camera.height) == (332, 510)
    assert camera.fx == camera.fy == 400.0
    with pytest.raises(ValueError, match="even sizes, not 3x2"):
        write_mp4(Path("odd.mp4"), [np.zeros((2, 3, 3), np.uint8)], 10)
    with pytest.raises(ValueError, match="at least one frame"):
        write_mp4(Path("none.mp4"), [], 10)


@pytest.mark.parametrize("killed_at", [2, 30])
def test_a_film_whose_encoder_is_killed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """Also after the last frame, when all were sent but the file is not whole."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words, **more: started.append(popen(*words, **more)) or started[-1]
    )

    def frames() -> Iterator[np.ndarray]:
        for number in range(30):
            if number == killed_at:
                started[-1].kill()
            yield np.full((240, 320, 3), number, np.uint8)
        started[-1].kill()

    with pytest.raises(KilledFault, match=r"ffmpeg was killed \(SIGKILL\) while it wrote film\.mp4"):
        write_mp4(tmp_path / "film.mp4", frames(), 24)
    with pytest.raises(OSError, match="ffmpeg ended with code"):
        write_mp4(tmp_path / "absent" / "film.mp4", [np.zeros((16, 16, 3), np.uint8)], 24)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", Mock(side_effect=RuntimeError("No ffmpeg exe could be found")))
    with pytest.raises(EnvironmentFault, match=r"ffmpeg cannot be started\."):
        write_mp4(tmp_path / "film.mp4", frames(), 24)


def test_comparison_greys_what_is_ignored_and_shows_error() -> None:
    photo, render = np.zeros((4, 4, 3), np.float32), np.full((4, 4, 3), 0.25, np.float32)
    mask = np.ones((4, 4), bool)
    mask[0, 0] = False
    sheet = compared(photo, render, mask)
    assert sheet[0, 8, 0] == 64
    assert sheet[1, 8, 0] == 128


def test_depth_picture_is_warm_near_and_dark_where_unknown() -> None:
    depth = np.tile(np.linspace(1, 4, 300, dtype=np.float32), (100, 1))
    depth[:10] = np.nan
    picture = depth_picture(depth, "m")
    assert picture.shape == (134, 300, 3)
    assert (picture[:10] == 40).all()
    near, far = picture[50, 10].astype(int), picture[50, 290].astype(int)
    assert near[0] > far[0] + 50 > far[0]
    assert (picture[116:] > 200).any()


def test_normals_are_those_of_the_surface() -> None:
    seen = tiny.look("", tiny.poses(3)[2])
    normal = surface_normals(seen.depth, tiny.CAMERA)
    facing = (normal * (seen.normals @ seen.view.T_world_camera[:3, :3])).sum(-1)
    # Exact on the walls; where two meet, neighbours lie on either.
    assert np.mean(facing > 0.9999) > 0.85
    holed = seen.depth.copy()
    holed[10, 20] = np.nan
    assert np.isnan(surface_normals(holed, tiny.CAMERA)).all(-1).sum() == 5
    tiny_camera = Camera(2, 2, 9.0, 9.0, 1.0, 1.0)
    np.testing.assert_allclose(surface_normals(np.ones((2, 2), np.float32), tiny_camera)[0, 0], [0, 0, -1])


def test_normals_have_the_usual_colours() -> None:
    normal = np.array([[[0, 0, -1], [1, 0, 0], [0, -1, 0], [np.nan] * 3]], np.float32)
    assert normal_picture(normal).tolist() == [[[128, 128, 255], [255, 128, 128], [128, 255, 128], [40, 40, 40]]]


def test_mesh_of_the_splats_has_the_rooms_walls(inputs: dict[str, Path], tmp_path: Path) -> None:
    progress = LogProgress()
    run_mesh(inputs, MeshConfig(), tmp_path, progress)
    mesh = trimesh.load(tmp_path / "mesh.ply", process=False)
    assert progress.facts["triangles"] == len(mesh.faces) > 2000
    assert progress.facts["units"] == "metre"
    off_wall = np.abs(np.abs(mesh.vertices) - tiny.HALF).min(1)
    assert np.median(off_wall) < 0.02
    assert np.quantile(off_wall, 0.9) < 0.08
    assert mesh.vertices[:, 2].max() == pytest.approx(tiny.HALF[2], abs=0.05)
    error = np.abs(mesh.visual.vertex_colors[:, :3] / 255 - tiny.pattern(mesh.vertices)).mean()
    assert error < 0.08
    scene = trimesh.load(tmp_path / "mesh.glb", process=False)
    np.testing.assert_allclose(scene.to_geometry().vertices, mesh.vertices * [1, -1, -1], atol=1e-5)


def test_transparent_splats_have_no_mesh(inputs: dict[str, Path], tmp_path: Path) -> None:
    gaussians = read_ply(inputs["splat"] / "splat.ply")
    gaussians.logit_opacities -= 6
    tiny.write_camera_artifact(tmp_path / "splat", [tiny.look(f"{i}.jpg", T).view for i, T in enumerate(tiny.poses(3))])
    write_ply(tmp_path / "splat" / "splat.ply", gaussians)
    with pytest.raises(ReconstructionError, match="nowhere opaque enough"):
        run_mesh({**inputs, "splat": tmp_path / "splat"}, MeshConfig(), tmp_path, LogProgress())
