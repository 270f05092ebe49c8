"""The table of ingredients: every run is recorded at once, none is repeated, and the table says what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fewview.apps.benchmarks import ingredients
from fewview.apps.benchmarks.ingredients import INGREDIENTS, Case, as_markdown, measure
from fewview.apps.pipeline import PRESETS, PipelineConfig
from fewview.splatting.config import SplatConfig

CASES = [Case(Path("sets/door"), 3, None), Case(Path("sets/fox"), 6, None)]
ROWS = ["all", "no exposure"]


def scores(psnr: float) -> dict[str, float]:
    return {"psnr": psnr, "ssim": psnr / 40, "lpips": 1 - psnr / 40}


def test_interrupted_measurements_continue_and_make_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[tuple[str, bool]] = []

    def measured(case: Case, config: PipelineConfig, out: Path, console: Console) -> dict[str, Any]:
        ran.append((case.name, config.splat.exposure))
        if len(ran) == 3:
            raise KeyboardInterrupt
        return {**scores(20.0 + len(ran)), "fixed": scores(10.0 + len(ran))}

    monkeypatch.setattr(ingredients, "_measured", measured)
    record = tmp_path / "record.json"
    ask = (CASES, ROWS, PRESETS["default"], tmp_path, record, Console(quiet=True))
    with pytest.raises(KeyboardInterrupt):
        measure(*ask)
    assert len(json.loads(record.read_text())) == 2
    entries = measure(*ask)
    assert ran == [("door 3", True), ("door 3", False), ("fox 6", True), ("fox 6", True), ("fox 6", False)]
    lines = as_markdown(entries, "fast").splitlines()
    assert "| all | 21.00 / 0.525 / 0.475 | 24.00 / 0.600 / 0.400 | 22.50 / 0.562 / 0.438 |" in lines
    assert "| no exposure | 12.00 / 0.300 / 0.700 | 15.00 / 0.375 / 0.625 | 13.50 / 0.338 / 0.662 |" in lines
    # A row that lacks a case has no mean.
    assert "| no exposure | 22.00 / 0.550 / 0.450 | – | – |" in as_markdown(entries[:-1], "fast").splitlines()


def test_every_row_changes_the_configuration() -> None:
    changed = [change(SplatConfig()) for name, change in INGREDIENTS.items() if name != "all"]
    assert all(config != SplatConfig() for config in changed)
    assert INGREDIENTS["all"](SplatConfig()) == SplatConfig()
    assert all(changed.count(config) == 1 for config in changed)
