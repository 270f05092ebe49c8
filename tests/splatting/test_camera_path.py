"""`fewview render` and its camera paths: what is read, what is refused and in which words, what is written."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import tiny

from fewview.apps.cli import main
from fewview.recon.errors import InputError
from fewview.recon.scene import Camera
from fewview.splatting.camera_path import read_camera_path, with_fov
from fewview.splatting.export import write_ply
from fewview.splatting.film import reframed
from fewview.splatting.initialize import gaussians_from_points, read_points

IDENTITY = np.eye(4).tolist()
NERFSTUDIO = {
    "camera_type": "perspective",
    "render_width": 64,
    "render_height": 48,
    "fps": 12,
    "seconds": 1,
    "camera_path": [{"camera_to_world": np.eye(4).ravel().tolist(), "fov": 50, "aspect": 1.33}],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of a finished run as rendering needs."""
    folder = tmp_path_factory.mktemp("run")
    views = [tiny.look(f"{index}.jpg", T) for index, T in enumerate(tiny.poses(3))]
    tiny.write_camera_artifact(folder / "splat", [seen.view for seen in views])
    tiny.write_depth(folder / "depth", views)
    write_ply(folder / "splat" / "splat.ply", gaussians_from_points(read_points(folder / "depth"), 0))
    (folder / "manifest.json").write_text("{}")
    return folder


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["render", *words]) == 2
    return " ".join(capsys.readouterr().err.split())


def test_our_file_and_nerfstudios_name_the_same_cameras(tmp_path: Path) -> None:
    T = tiny.poses(3)[2]
    ours = {"width": 64, "height": 48, "fps": 12, "frames": [{"world_from_camera": T.tolist(), "fov_deg": 50}]}
    opengl = T @ np.diag([1.0, -1, -1, 1])
    theirs = {**NERFSTUDIO, "camera_path": [{"camera_to_world": opengl.ravel().tolist(), "fov": 50}]}
    a, b = read_camera_path(write(tmp_path / "a", ours)), read_camera_path(write(tmp_path / "b", theirs))
    np.testing.assert_allclose(a.Ts_world_camera, b.Ts_world_camera, atol=1e-12)
    assert (a.fov_deg, a.size, a.fps) == (b.fov_deg, b.size, b.fps) == ((50.0,), (64, 48), 12)
    bare = read_camera_path(write(tmp_path / "c", {"frames": [{"world_from_camera": IDENTITY}]}))
    assert (bare.fov_deg, bare.size, bare.fps) == ((None,), None, None)


def test_field_of_view_and_shape() -> None:
    camera = Camera(80, 60, 70.0, 70.0, 40.0, 30.0)
    assert math.atan2(30, with_fov(camera, 50).fy) == pytest.approx(math.radians(25))
    assert with_fov(camera, None) is camera
    wide = reframed(camera, 160, 90)
    assert (wide.width, wide.height, wide.cx, wide.cy) == (160, 90, 80, 45)
    assert wide.fx / 90 == pytest.approx(70 / 60), "as high as before, and wider"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "it has neither `frames` nor `camera_path`"),
        ({"frames": []}, "it has no frames"),
        ({"frames": [{"world_from_camera": [[1, 0], [0, 1]]}]}, "a pose is not a 4x4 matrix"),
        ({"frames": [{"world_from_camera": (2 * np.eye(4)).tolist()}]}, "a pose is not a rotation and a translation"),
        ({"frames": [{"world_from_camera": "here"}]}, "could not convert string to float"),
        ({"frames": [{"world_from_camera": IDENTITY, "fov_deg": 180}]}, "field of view is not between 0 and 180"),
        ({"frames": [{"world_from_camera": IDENTITY}], "fps": 0}, "0 frames a second are not between 1 and 1000"),
        ({**NERFSTUDIO, "camera_type": "fisheye"}, "its camera_type is fisheye, and only perspective is supported"),
    ],
)
def test_what_is_no_camera_path_is_said(tmp_path: Path, document: Any, why: str) -> None:
    path = write(tmp_path / "path.json", document)
    with pytest.raises(InputError, match=why) as caught:
        read_camera_path(path)
    assert caught.value.what.startswith(f"{path} is not a camera path: ")
    assert caught.value.remedy == "See docs/camera-paths.md."


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A frame of the camera path .* lacks 'fov'"):
        read_camera_path(write(tmp_path / "a.json", {"camera_path": [{"camera_to_world": IDENTITY}]}))
    with pytest.raises(InputError, match=r"There is no camera path .*gone\.json\. Name a JSON file."):
        read_camera_path(tmp_path / "gone.json")
    (tmp_path / "b.json").write_bytes(b"\xff{")
    with pytest.raises(InputError, match="is not a camera path"):
        read_camera_path(tmp_path / "b.json")


@pytest.mark.parametrize("path", ["interpolate", "orbit", "spiral"])
def test_films_of_generated_paths(run: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    assert main(["render", str(run), "--path", path, "--size", "64x48", "--fps", "10", "--seconds", "0.5"]) == 0
    film = run / "films" / f"{path}.mp4"
    assert capsys.readouterr().out.strip() == str(film)
    frames = imageio.imread(film)
    assert frames.shape == (5, 48, 64, 3)
    assert imageio.immeta(film)["fps"] == 10
    assert frames.std() > 20
    assert [file.name for file in film.parent.iterdir() if "unfinished" in file.name] == []


@pytest.mark.parametrize("show", ["rgb", "depth", "normal"])
def test_film_of_a_file_has_its_frames_size_and_pace(run: Path, tmp_path: Path, show: str) -> None:
    T = tiny.poses(3)[1]
    frames = [{"world_from_camera": T.tolist(), "fov_deg": 56}] * 4
    path = write(tmp_path / "mine.json", {"width": 88, "height": 64, "fps": 5, "frames": frames})
    to = tmp_path / "film.mp4"
    assert main(["render", str(run), "--path", str(path), "--show", show, "--to", str(to)]) == 0
    film = imageio.imread(to)
    assert film.shape == (4, 64, 88, 3)
    assert imageio.immeta(to)["fps"] == 5
    if show == "rgb":
        truth = tiny.look("", T, with_fov(tiny.CAMERA, 56)).image
        assert -10 * np.log10(np.square(film[0] / 255 - truth).mean()) > 18
    if show == "normal":
        assert film[0][..., 2].mean() > 200, "most walls face the camera"


def test_refusals_say_what_to_do(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(run)
    text = refusal(capsys, out, "--path", "helix")
    assert "--path helix is none of interpolate, orbit, spiral, and no such file exists. Remedy: Name one" in text
    assert "--size 64 is not WxH. Remedy: Give two whole numbers" in refusal(capsys, out, "--size", "64")
    text = refusal(capsys, out, "--size", "65x48")
    assert "--size: 65x48 is no size for an MP4. Remedy: Both numbers must be even, from 16 to 8192." in text
    assert "100000x48 is no size" in refusal(capsys, out, "--size", "100000x48")
    assert "film.gif is not an .mp4 file" in refusal(capsys, out, "--to", "film.gif")
    assert "--fps 0 is not between 1 and 1000" in refusal(capsys, out, "--fps", "0")
    assert "--seconds 0 is not" in refusal(capsys, out, "--seconds", "0")
    path = write(tmp_path / "path.json", {**NERFSTUDIO, "render_width": 63})
    assert "--seconds has no say" in refusal(capsys, out, "--path", str(path), "--seconds", "3")
    assert f"{path}: 63x48 is no size for an MP4" in refusal(capsys, out, "--path", str(path))
    assert main(["render", out, "--path", str(path), "--size", "64x48", "--to", str(tmp_path / "film.mp4")]) == 0
    capsys.readouterr()
    assert "is not the folder of a run" in refusal(capsys, str(tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    assert "holds no splat: its stage `splat` has not finished" in refusal(capsys, str(tmp_path))
