"""The stage as the runner calls it: artifacts in, artifacts out."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pycolmap
import pytest
from depth_scene import sparse_points, three_views

from fewview.recon.depth import DepthConfig
from fewview.recon.depth.sources import SparsePoints
from fewview.recon.depth.stage import run
from fewview.recon.errors import InputError, ReconstructionError
from fewview.recon.io.cameras import CameraSet, write_cameras
from fewview.recon.photos import Photo, save_photos
from fewview.recon.progress import LogProgress
from fewview.recon.scene import View


@pytest.fixture(scope="module")
def scene():
    views, depths = three_views()
    return views, depths, sparse_points(views, depths)


@pytest.fixture(scope="module")
def inputs(scene, tmp_path_factory):
    return write_inputs(*scene, tmp_path_factory.mktemp("inputs"))


def write_inputs(views, depths, points, root):
    photos, cameras = root / "photos", root / "cameras"
    (photos / "images").mkdir(parents=True)
    entries = []
    for view in views:
        key = f"key_{view.name}"
        image = cv2.cvtColor(np.round(view.image * 255).astype(np.uint8), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(photos / "images" / f"{key}.png"), image)
        size = (view.camera.width, view.camera.height)
        entries.append(Photo(view.name, key, view.name, "0", *size, f"images/{key}.png"))
    save_photos(photos, entries)
    (cameras / "sparse" / "0").mkdir(parents=True)
    write_cameras(cameras, CameraSet([View(v.name, v.camera, v.T_world_camera) for v in views]))

    model = pycolmap.Reconstruction()
    index = [{int(point): k for k, point in enumerate(seen)} for seen in points.seen]
    for i, view in enumerate(views):
        c = view.camera
        model.add_camera_with_trivial_rig(
            pycolmap.Camera(
                camera_id=i + 1,
                model="PINHOLE",
                width=c.width,
                height=c.height,
                params=[c.fx, c.fy, c.cx, c.cy],
            )
        )
        image = pycolmap.Image(
            name=view.name, camera_id=i + 1, image_id=i + 1, keypoints=np.zeros((len(points.seen[i]), 2))
        )
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(view.T_camera_world[:3]))
    for k, xyz in enumerate(points.xyz):
        elements = [pycolmap.TrackElement(i + 1, index[i][k]) for i in range(len(views)) if k in index[i]]
        model.add_point3D(xyz, pycolmap.Track(elements), np.zeros(3, np.uint8))
    model.write(str(cameras / "sparse" / "0"))
    return {"photos": photos, "cameras": cameras}


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_the_contract_holds_and_repeats(scene, inputs, tmp_path):
    views, depths, _ = scene
    progress = LogProgress()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run(inputs, DepthConfig(), tmp_path / name, progress)
    assert digests(tmp_path / "first") == digests(tmp_path / "second")
    expected = {f"key_{v.name}.npz" for v in views} | {"planes.json", "points.npz", "points.ply"}
    assert set(digests(tmp_path / "first")) == expected
    for view, depth in zip(views, depths, strict=True):
        with np.load(tmp_path / "first" / f"key_{view.name}.npz") as stored:
            assert {n: str(stored[n].dtype) for n in stored} == {
                "depth": "float32",
                "confidence": "float16",
                "normal": "float16",
                "source": "uint8",
            }
            source, z = stored["source"], stored["depth"]
            assert np.array_equal(np.isnan(z), source == 0)
            assert (stored["confidence"][source == 0] == 0).all()
            assert (source == 1).mean() > 0.6
            assert (source > 0).mean() > 0.9
            assert (np.abs(z / depth - 1) < 0.03).mean() > 0.85
            normal = stored["normal"][source > 0].astype(np.float32)
            np.testing.assert_allclose(np.linalg.norm(normal, axis=-1), 1, atol=5e-3)
    record = json.loads((tmp_path / "first" / "planes.json").read_text())
    assert set(record) == {"axes", "planes"}
    axes = np.array(record["axes"])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    wall = next(p for p in record["planes"] if p["encloses"] and -p["normal"][2] > 0.999)
    assert abs(wall["offset"] + 5) < 0.05
    assert wall["evidence"] == "surface"
    with np.load(tmp_path / "first" / "points.npz") as points:
        assert 1.0 < len(points["xyz"]) / depths[0].size < 2.5  # three views of much the same surface
        assert len(progress.facts["views"]) == 3
        assert progress.facts["points"] == len(points["xyz"])


def test_without_completion_only_verified_depth_is_given(inputs, tmp_path):
    run(inputs, DepthConfig(completion=False), tmp_path, LogProgress())
    for path in tmp_path.glob("key_*.npz"):
        with np.load(path) as stored:
            assert set(np.unique(stored["source"])) == {0, 1}


def test_photos_that_do_not_overlap_are_refused(scene, tmp_path):
    views, depths, points = scene
    # Each view keeps points of its own only, and the images have nothing in common.
    rng = np.random.default_rng(0)
    strangers = [replace(v, image=rng.random(v.image.shape, np.float32)) for v in views]
    thirds = SparsePoints(points.xyz, [seen[i::3] for i, seen in enumerate(points.seen)])
    inputs = write_inputs(strangers, depths, thirds, tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(ReconstructionError, match=r"No surface could be verified.*Take photos that overlap more"):
        run(inputs, DepthConfig(), tmp_path / "out", LogProgress())


def test_a_missing_model_is_named(inputs, tmp_path):
    shutil.copytree(inputs["cameras"], tmp_path / "cameras")
    (tmp_path / "cameras" / "sparse" / "0" / "points3D.bin").unlink()
    with pytest.raises(InputError, match="sparse/0 holds no readable COLMAP model"):
        run({**inputs, "cameras": tmp_path / "cameras"}, DepthConfig(), tmp_path, LogProgress())
