"""What a scene is said to take covers what was measured (docs/batch.md), and not by far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewview.apps.batches.estimate import Load, measure, memory_mib
from fewview.apps.options import StageOptions, stage_options
from fewview.splatting.video import write_mp4


def options(preset: str, cameras: str = "matching") -> StageOptions:
    asked = stage_options(["--preset", preset])
    config = replace(asked.options, cameras=replace(asked.options.cameras, source=cameras))
    return replace(asked, options=config)


@pytest.mark.parametrize(
    ("load", "asked", "measured"),
    [
        (Load(3, 0, 0.7), options("fast"), 1344),
        (Load(12, 0, 0.7), options("fast"), 1419),
        (Load(6, 0, 16.0), options("fast"), 1391),
        (Load(12, 0, 0.7), options("default"), 1808),
        (Load(6, 0, 0.7), options("best"), 2325),
        (Load(0, 1, 2.07), options("fast"), 1503),
        (Load(0, 4, 2.09), options("fast", "keypoints"), 1478),
        (Load(0, 1, 8.29), replace(options("fast"), until="photos"), 582),
        (Load(0, 4, 2.09), replace(options("fast", "keypoints"), until="photos"), 717),
    ],
)
def test_memory(load: Load, asked: StageOptions, measured: float) -> None:
    assert measured <= memory_mib(load, asked) <= 1.15 * measured


def test_what_there_is(tmp_path: Path) -> None:
    write_mp4(tmp_path / "walk.mp4", iter(np.zeros((4, 480, 640, 3), np.uint8)), 24)
    Image.new("RGB", (400, 300)).save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"no image")
    (tmp_path / "c.mp4").write_bytes(b"no video")
    load = measure(sorted(tmp_path.iterdir()))
    assert load == Load(2, 2, 640 * 480 / 1e6)
    assert load.views(options("fast")) == 2 + 2 * 12
    assert load.views(options("fast", "keypoints")) == 4  # a picture a camera
