"""The adapters' contract: stand-ins that yield what the real packages document are read as pointmaps in one world."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pointmap_scene import SIZE, exact_points, make_views
from sfm_scene import pair_errors

from fewview.apps.pipeline import PipelineConfig, stages
from fewview.recon.camera_source import parse_source
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.matching.artifact import MatchedPair, MatchedPairs, save_pairs
from fewview.recon.networks import NETWORKS
from fewview.recon.photos import Photo, save_photos
from fewview.recon.pointmaps import PointmapsConfig, run
from fewview.recon.pointmaps.mapanything import common_size
from fewview.recon.pointmaps.window import window
from fewview.recon.progress import LogProgress
from fewview.recon.scene import View
from fewview.recon.sfm import MappingConfig

VIEWS = make_views(3, seed=0)
LICENCES = {
    "mapanything": "Code and these weights are under Apache-2.0.",
    "mast3r": "Code and weights are under CC BY-NC-SA 4.0: not for commercial use.",
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos whose grey value tells which view they are, and the pairs that matching looked at."""
    (tmp_path / "photos" / "images").mkdir(parents=True)
    found = []
    for k, view in enumerate(VIEWS):
        cv2.imwrite(str(tmp_path / "photos" / "images" / f"{k}.png"), np.full((240, 320, 3), 50 * k, np.uint8))
        found.append(Photo(view.name, str(k), view.name, "0" * 64, *SIZE, f"images/{k}.png"))
    save_photos(tmp_path / "photos", found)
    (tmp_path / "matches").mkdir()
    pairs = [MatchedPair(a.name, b.name, 0, 0, "none", None) for a, b in combinations(VIEWS, 2)]
    save_pairs(tmp_path / "matches", MatchedPairs("sift", tuple(pairs)))
    return tmp_path


def _install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The stand-in for a package, and what makes it findable."""
    package = ModuleType(name)
    package.__spec__, package.__path__ = ModuleSpec(name, None), []
    for module in (package, *_stand_in(name)):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def _points(view: View, size: tuple[int, int]) -> np.ndarray:
    """Of the window that a map of this size covers, by exact geometry at a multiple of its size."""
    scale = min(SIZE[0] / size[0], SIZE[1] / size[1])
    camera = view.camera
    cropped = View(
        view.name,
        type(camera)(
            round(size[0] * scale),
            round(size[1] * scale),
            camera.fx,
            camera.fy,
            size[0] * scale / 2,
            size[1] * scale / 2,
        ),
        view.T_world_camera,
    )
    return exact_points(cropped, size)


def _view_of(image: torch.Tensor, black: float, white: float) -> tuple[View, tuple[int, int]]:
    """Which view a normalised image (1, 3, H, W) shows, and its width and height."""
    assert image.dtype == torch.float32
    grey = (float(image[0, 0].mean()) - black) / (white - black) * 255
    return VIEWS[round(grey / 50)], (image.shape[3], image.shape[2])


class _MapAnything:
    """`infer` as README.md of facebookresearch/map-anything documents its input and output."""

    asked: str

    @classmethod
    def from_pretrained(cls, name: str) -> _MapAnything:
        cls.asked = name
        return cls()

    def to(self, device: str) -> _MapAnything:
        return self

    def infer(self, views: list[dict[str, Any]], **options: Any) -> list[dict[str, torch.Tensor]]:
        assert options["apply_mask"]
        assert all(view["data_norm_type"] == ["dinov2"] for view in views)
        assert len({view["img"].shape for view in views}) == 1
        predictions = []
        for view in views:
            seen, size = _view_of(view["img"], -0.485 / 0.229, (1 - 0.485) / 0.229)
            assert max(size) == 518
            assert size[0] % 14 == size[1] % 14 == 0
            points = _points(seen, size)
            mask = np.ones(points.shape[:2], bool)
            mask[:20] = False
            points[~mask] = 0
            predictions.append(
                {
                    "pts3d": torch.tensor(points, dtype=torch.float32)[None],
                    "camera_poses": torch.tensor(seen.T_world_camera, dtype=torch.float32)[None],
                    "conf": torch.full((1, *mask.shape), 0.7),
                    "mask": torch.tensor(mask)[None, ..., None],
                }
            )
        return predictions


class _MASt3R(_MapAnything):
    """Its output is made by `inference`, which knows no more than the images either."""


def _inference(
    pairs: list[tuple[dict[str, Any], dict[str, Any]]], model: Any, device: str, batch_size: int, verbose: bool
) -> dict[str, dict[str, torch.Tensor]]:
    """As dust3r.inference.inference: one batch of one pair."""
    ((first, second),) = pairs
    maps = []
    for image in (first, second):
        seen, size = _view_of(image["img"], -1, 1)
        assert image["true_shape"].tolist() == [[size[1], size[0]]]
        assert size == (512, 384)
        maps.append((seen, _points(seen, size)))
    T = maps[0][0].T_camera_world
    one, two = (torch.tensor(0.4 * (points @ T[:3, :3].T + T[:3, 3]), dtype=torch.float32)[None] for _, points in maps)
    confidence = torch.full((1, 384, 512), 5.0)
    return {
        "pred1": {"pts3d": one, "conf": confidence},
        "pred2": {"pts3d_in_other_view": two, "conf": confidence},
    }


def _module(name: str, **held: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(held)
    return module


def _stand_in(name: str) -> list[ModuleType]:
    if name == "mapanything":
        return [_module("mapanything.models", MapAnything=_MapAnything)]
    return [
        _module("mast3r.model", AsymmetricMASt3R=_MASt3R),
        _module("mast3r.utils"),
        _module("mast3r.utils.path_to_dust3r"),
        _module("dust3r"),
        _module("dust3r.inference", inference=_inference),
    ]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_network_places_the_photos(name: str, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, name)
    (photos / "out").mkdir()
    progress = LogProgress()
    inputs = {"photos": photos / "photos", "matches": photos / "matches"}
    run(inputs, PointmapsConfig(name), photos / "out", progress)
    cameras = read_cameras(photos / "out")
    assert max(pair_errors(cameras.views, VIEWS)) < 0.02
    assert cameras.views[0].camera.fx == pytest.approx(VIEWS[0].camera.fx, rel=1e-3)
    assert (cameras.prior, cameras.units) == (name, "metre" if name == "mapanything" else "unknown")
    assert progress.facts["licence"] == LICENCES[name]
    assert (_MASt3R if name == "mast3r" else _MapAnything).asked == NETWORKS[name].weights


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_missing_package_is_said_before_anything_runs(name: str, photos: Path) -> None:
    config = PipelineConfig(cameras=MappingConfig(source=name))
    with pytest.raises(InputError) as error:
        stages(config, (photos / "photos" / "images",))
    assert error.value.what == f"--cameras {name} needs the package `{name}`, which is not installed."
    assert error.value.remedy == f"{NETWORKS[name].install}, or use --cameras matching."
    assert LICENCES[name] in (parse_source(name).notice() or "")
    assert parse_source("matching").notice() is None


@pytest.mark.parametrize(
    ("sizes", "size"),
    [([(4000, 3000)] * 2, (518, 392)), ([(1080, 1920)], (294, 518)), ([(400, 300), (300, 400)], (518, 518))],
)
def test_all_photos_get_one_size(sizes: list[tuple[int, int]], size: tuple[int, int]) -> None:
    assert common_size([Photo("a", "a", "a", "", *each, "") for each in sizes]) == size


def test_a_window_is_centred() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 10:50] = 255
    assert window(image, (20, 20)).min() > 230  # the filter rings at the border
    assert window(image, (30, 20)).shape == (20, 30, 3)
