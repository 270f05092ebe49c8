"""The same files at another path are the same inputs: nothing is made again, and no other files pass for them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fewview.apps.pipeline import PRESETS, PipelineConfig, rig_stages, stages
from fewview.calibration.keypoints import KeypointsConfig
from fewview.calibration.stage import MotionConfig
from fewview.layout import LayoutConfig
from fewview.recon.dag.digests import FileHashes
from fewview.recon.dag.keys import ingredients
from fewview.recon.ingest import IngestConfig
from fewview.recon.sfm import MappingConfig

FILES = ("cameras/cameras.json", "lens.json", "hints/a.png", "masks of mine/a.png", "map.npz", "walk.npz", "Calib.toml")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "first" / "photos").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (80, 60)).save(tmp_path / "first" / "photos" / name)
    for file in FILES:
        (tmp_path / "first" / file).parent.mkdir(exist_ok=True)
        (tmp_path / "first" / file).write_text(file)
    return tmp_path / "first"


def config(place: Path, source: str) -> PipelineConfig:
    return replace(
        PRESETS["default"],
        photos=IngestConfig(masks=place / "masks of mine"),
        cameras=MappingConfig(source=source.format(place), intrinsics=str(place / "lens.json")),
        layout=LayoutConfig(hints=place / "hints"),
        keypoints=KeypointsConfig(sizes_from=place / "cameras" / "cameras.json"),
        motion=MotionConfig(known=place / "Calib.toml"),
    )


def keys(place: Path, source: str = "known:{}/cameras") -> dict[str, Any]:
    """What the stages depend on, of photos and of a rig."""
    chosen = config(place, source)
    graph = [*stages(chosen, (place / "photos",)), *rig_stages(chosen, (place / "walk.npz",))]
    hashes = FileHashes(place / "memory", place / "out")
    return {stage.name: ingredients(stage, {}, hashes) for stage in graph}


@pytest.mark.parametrize("source", ["known:{}/cameras", "known:{}/cameras/cameras.json", "pointmaps:{}/map.npz"])
def test_a_moved_file_is_the_same(place: Path, tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(place, source)
    assert "first" not in json.dumps(before)
    second = shutil.copytree(place, tmp_path / "else" / "where")
    assert keys(second, source) == before
    monkeypatch.chdir(second.parent)
    assert keys(Path(os.path.relpath(second)), source) == before


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("cameras/cameras.json", "cameras"),
        ("lens.json", "cameras"),
        ("hints/a.png", "layout"),
        ("masks of mine/a.png", "photos"),
        ("photos/a.jpg", "photos"),
        ("walk.npz", "keypoints"),
        ("Calib.toml", "motion"),
    ],
)
def test_contents_and_names_count(place: Path, file: str, stage: str) -> None:
    before = keys(place)
    path = place / file
    held = path.read_bytes()
    path.write_bytes(b"something else")
    assert keys(place)[stage] != before[stage]
    path.write_bytes(held)
    assert keys(place) == before


def test_the_same_files_in_another_part_are_not_the_same(place: Path) -> None:
    """A mask is no photo, cameras to keep are no lens, and results are named after a take."""
    hashes = FileHashes(place / "memory", place / "out")

    def key(chosen: PipelineConfig, stage: str, *photos: Path) -> dict[str, Any]:
        found = [*stages(chosen, photos or (place / "photos",)), *rig_stages(chosen, (place / "walk.npz",))]
        return next(ingredients(each, {}, hashes) for each in found if each.name == stage)

    plain = PipelineConfig()
    masks = place / "masks of mine"
    (masks / "a.png").unlink()
    shutil.copy(place / "photos" / "a.jpg", masks / "b.png")
    photos = (place / "photos" / "a.jpg", place / "photos" / "b.jpg")
    with_masks = key(replace(plain, photos=IngestConfig(masks=masks)), "photos", *photos)
    assert with_masks["sources"] == key(plain, "photos", *photos, masks / "b.png")["sources"]
    assert with_masks != key(plain, "photos", *photos, masks / "b.png")
    lens = MappingConfig(intrinsics=str(place / "lens.json"))
    known = MappingConfig(source=f"known:{place / 'lens.json'}")
    assert key(replace(plain, cameras=lens), "cameras") != key(replace(plain, cameras=known), "cameras")
    assert key(replace(plain, cameras=MappingConfig(intrinsics="900")), "cameras") == key(
        replace(plain, cameras=MappingConfig(intrinsics="900.0")), "cameras"
    )
    shutil.copy(place / "walk.npz", place / "run.npz")
    walk, run = (rig_stages(plain, (place / name,))[0] for name in ("walk.npz", "run.npz"))
    assert ingredients(walk, {}, hashes)["config"] != ingredients(run, {}, hashes)["config"]
