"""`fewview bench rasteriser` on scenes too small to say anything: the figures are there, and the counts are right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fewview.apps.cli import main
from fewview.splatting._cpu import library
from fewview.splatting.bench import arithmetic, rasteriser, training
from fewview.splatting.bench.scenes import CAMERA, SCENES, view_poses
from fewview.splatting.bench.step import PARTS
from fewview.splatting.gaussians import SH_C0
from fewview.splatting.rasterize import rasterize


def test_every_row_has_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasteriser, "_alone", lambda function, *args: function(*args))
    monkeypatch.setattr(training, "TRAINED_GAUSSIANS", 500)
    monkeypatch.delitem(SCENES, "random")
    file = tmp_path / "figures" / "rasteriser.json"
    words = ["--gaussians", "300", "400", "--torch-up-to", "300", "--steps", "2", "--json", str(file)]
    before = library().fewview_splatting_blend
    assert main(["bench", "rasteriser", *words]) == 0
    assert library().fewview_splatting_blend is before, "nothing stays wrapped"
    figures = json.loads(file.read_text())
    assert [(row["scene"], row["gaussians"]) for row in figures["rows"]] == [("surface", 300), ("surface", 400)]
    for row in figures["rows"]:
        assert row["parts"].keys() == {*PARTS, "python_and_torch"}
        assert sum(row["parts"].values()) == pytest.approx(row["ms_per_step"], abs=0.1)
        assert 0 < row["ms_per_step"] <= row["ms_per_step_median"]
        assert (row["torch_ratio"] is None) == (row["gaussians"] == 400)
        assert row["torch_ratio"] is None or row["torch_ratio"] > 1
        assert row["blending"]["share_of_peak"] > 0
        assert row["peak_mib"] > 0
    assert figures["training"]["gaussians_after"] > 0
    assert figures["training"]["peak_mib"] >= figures["training"]["libraries_mib"]


def test_pairs_are_those_that_have_weight() -> None:
    """A picture in which one Gaussian is white and the others are black shows where that one has weight."""
    count = 20
    gaussians = SCENES["surface"](count)
    pose, pairs = view_poses()[0], 0
    for chosen in range(count):
        one = gaussians.map(torch.clone)
        one.sh = torch.full((count, 1, 3), -0.5 / SH_C0)
        one.sh[chosen] = 0.5 / SH_C0
        pairs += int((rasterize(one, pose, CAMERA).image[..., 0] > 0).sum())
    assert pairs > 10 * count
    assert arithmetic.blended_pairs(count, "surface") == pytest.approx(pairs, rel=0.01)
