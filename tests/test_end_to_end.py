"""From photos to every artifact, each read back by a reader that is not ours."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pycolmap
import pytest
import trimesh
from plyfile import PlyData
from quick import QUICK

from fewview.apps.cli import main
from fewview.data.photosets import benchmark_split, load_photoset
from fewview.splatting.export import read_ply, read_splat, read_spz


def _digests(out: Path) -> dict[str, str]:
    stages = json.loads((out / "manifest.json").read_text())["stages"]
    return {name: stage["digest"] for name, stage in stages.items()}


def _statuses(out: Path) -> set[str]:
    stages = json.loads((out / "manifest.json").read_text())["stages"]
    return {stage["status"] for stage in stages.values()}


def test_cameras_read_by_colmap_agree_with_the_truth(room: tuple[Path, Path], tmp_path: Path) -> None:
    folder, out = room
    model = pycolmap.Reconstruction(out / "splat" / "sparse" / "0")
    truth = load_photoset(folder)
    assert model.num_reg_images() == len(truth.views)
    figures = tmp_path / "figures.json"
    words = ["benchmark", str(folder), "--views", "4", "--out", str(out), "--json", str(figures), *QUICK]
    assert main(words) == 0
    measured = json.loads(figures.read_text())
    assert measured["registered"] == 4
    assert measured["pairs"]["rotation_deg"]["max"] < 0.5
    assert measured["prior"] == "matching"
    assert measured["seconds"]["total"] > 0


def test_splat_is_a_3dgs_ply(room: tuple[Path, Path]) -> None:
    vertices = PlyData.read(room[1] / "splat" / "splat.ply")["vertex"]
    names = [column.name for column in vertices.properties]
    assert names[:6] == ["x", "y", "z", "nx", "ny", "nz"]
    assert {"f_dc_0", "opacity", "scale_2", "rot_3"} <= set(names)
    quaternions = np.stack([vertices[f"rot_{i}"] for i in range(4)], 1)
    assert np.allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-5)


def test_mesh_is_read_by_trimesh(room: tuple[Path, Path]) -> None:
    ply = trimesh.load(room[1] / "mesh" / "mesh.ply", force="mesh")
    (glb,) = trimesh.load(room[1] / "mesh" / "mesh.glb").geometry.values()
    assert len(ply.faces) == len(glb.faces) > 1000
    assert np.ptp(ply.visual.vertex_colors[:, :3]) > 50
    assert np.ptp(glb.visual.vertex_attributes["color"][:, :3]) > 50 * 256


def test_videos_are_read_by_imageio(room: tuple[Path, Path]) -> None:
    for name in ("path.mp4", "orbit.mp4"):
        frames = iio.imread(room[1] / "renders" / name)
        assert len(frames) > 10
        assert frames.shape[1] % 2 == frames.shape[2] % 2 == 0
        assert frames.std() > 10


def test_manifest_tells_what_happened(room: tuple[Path, Path]) -> None:
    manifest = json.loads((room[1] / "manifest.json").read_text())
    assert {stage["status"] for stage in manifest["stages"].values()} <= {"ok", "cached"}
    assert manifest["stages"]["cameras"]["facts"]["prior"]


def test_the_same_command_finds_everything_done(room: tuple[Path, Path]) -> None:
    folder, out = room
    before = _digests(out)
    assert main(["run", str(folder / "images"), "--out", str(out), *QUICK]) == 0
    assert _statuses(out) == {"cached"}
    assert _digests(out) == before


def test_a_changed_option_redoes_only_what_reads_it(room: tuple[Path, Path]) -> None:
    folder, out = room
    before = _digests(out)
    assert main(["run", str(folder / "images"), "--out", str(out), *QUICK, "--force", "renders"]) == 0
    stages = json.loads((out / "manifest.json").read_text())["stages"]
    assert stages["renders"]["status"] == "ok"
    assert stages["splat"]["status"] == "cached"
    assert _digests(out) == before, "rendering again must give the same bytes"


def test_export(room: tuple[Path, Path], tmp_path: Path) -> None:
    to = tmp_path / "exported"
    assert main(["export", str(room[1]), "--to", str(to)]) == 0
    assert pycolmap.Reconstruction(to / "sparse" / "0").num_reg_images() == 4
    transforms = json.loads((to / "transforms.json").read_text())
    assert all((to / frame["file_path"]).is_file() for frame in transforms["frames"])
    assert (to / "splat.ply").stat().st_size == (room[1] / "splat" / "splat.ply").stat().st_size
    assert main(["export", str(room[1]), "--to", str(to)]) == 2, "nothing is overwritten"
    splats = tmp_path / "splats"
    assert main(["export", str(room[1]), "--to", str(splats), "--format", "spz", "splat32", "preview"]) == 0
    count = read_ply(to / "splat.ply").count
    assert read_spz(splats / "splat.spz").count == read_splat(splats / "splat.splat").count == count
    assert 0 < read_splat(splats / "preview.splat").count <= count


@pytest.mark.data
def test_three_photos_where_colmap_with_sift_registers_none(photosets: Path, tmp_path: Path) -> None:
    truth = load_photoset(photosets / "strecha_fountain_p11")
    train, _ = benchmark_split(len(truth.images), 3)
    photos = [str(truth.images[i]) for i in train]
    out = tmp_path / "run"
    assert main(["run", *photos, "--out", str(out), "--until", "depth", "--depth.long-side", "320"]) == 0
    assert pycolmap.Reconstruction(out / "cameras" / "sparse" / "0").num_reg_images() == 3
    assert not (out / "splat").exists()
