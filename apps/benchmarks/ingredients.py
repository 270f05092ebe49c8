"""What each ingredient of the splat stage is worth: photo sets with known cameras, with and without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fewview.apps.benchmarks.evaluate import evaluate
from fewview.apps.commands.benchmark import select_frames
from fewview.apps.pipeline import PipelineConfig, stages
from fewview.data.photosets import PhotoSet, benchmark_split, load_photoset
from fewview.recon.dag import run_stages
from fewview.splatting.config import SPLAT, SplatConfig

INGREDIENTS: dict[str, Callable[[SplatConfig], SplatConfig]] = {
    "all": lambda c: c,
    "poses as mapped": lambda c: replace(c, refine_poses=False),
    "focal lengths refined": lambda c: replace(c, refine_focal=True),
    "no exposure": lambda c: replace(c, exposure=False),
    "no depth term": lambda c: replace(c, depth_weight=0.0),
    "no normal term": lambda c: replace(c, normal_weight=0.0),
    "no growth": lambda c: replace(c, grow=0.0),
    "guesses as fine as the rest": lambda c: replace(c, guess_coarseness=1.0),
    "no dropout": lambda c: replace(c, dropout=0.0),
    "no backdrop": lambda c: replace(c, backdrop=False),
    "colours the same from all sides": lambda c: replace(c, sh_degree=0),
    "opacity prior": lambda c: replace(c, opacity_weight=0.01),
    "needles blunted": lambda c: replace(c, needle_ratio=4.0),
    "unsure centres as slow as the rest": lambda c: replace(c, unsure_boost=1.0),
    "no early stop": lambda c: replace(c, stop_early=False),
}
"""A configuration for each row of the table."""


@dataclass(frozen=True)
class Case:
    """So many photos of a set, and which."""

    set: Path
    views: int
    frames: str | None

    @property
    def name(self) -> str:
        return f"{self.set.name} {self.views}"

    def truth(self) -> PhotoSet:
        """The photos with their true cameras."""
        return select_frames(load_photoset(self.set), self.frames)


def measure(
    cases: Sequence[Case],
    rows: Sequence[str],
    config: PipelineConfig,
    out: Path,
    record: Path,
    console: Console,
) -> list[dict[str, Any]]:
    """Runs every case with every ingredient; what `record` holds already is not run again.

    Args:
        rows: names of `INGREDIENTS`.
        out: folder for the runs; the stages before `splat` are shared by all rows of a case.
        record: JSON, rewritten after each run.

    Returns:
        One entry a run: `case`, `row`, `gaussians`, `steps`, `seconds` of the splat stage, `psnr`, `ssim`, `lpips` with
        test poses optimised, and `fixed` with the same three where they are.
    """
    entries: list[dict[str, Any]] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else []
    done = {(entry["case"], entry["row"]) for entry in entries}
    for case in cases:
        for row in rows:
            if (case.name, row) not in done:
                console.print(f"{case.name}: {row}")
                varied = replace(config, splat=INGREDIENTS[row](config.splat))
                entries.append({"case": case.name, "row": row, **_measured(case, varied, out / case.name, console)})
                record.parent.mkdir(parents=True, exist_ok=True)
                record.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return entries


def _measured(case: Case, config: PipelineConfig, out: Path, console: Console) -> dict[str, Any]:
    truth = case.truth()
    train, test = benchmark_split(len(truth.images), case.views)
    photos = tuple(truth.images[index] for index in train)
    manifest = run_stages(stages(config, photos), out, until=SPLAT.name, console=console)
    splat = manifest.stages[SPLAT.name]
    told = SPLAT.told(splat.facts)
    names = [view.name for view in truth.views]
    figures = evaluate(truth, out, [names[index] for index in train], [names[index] for index in test])
    return {
        "gaussians": told.gaussians,
        "steps": told.steps,
        "seconds": splat.seconds,
        "rotation_deg": figures["pairs"]["rotation_deg"]["mean"],
        **figures["test"],
        "fixed": figures["test_fixed_poses"],
    }


def as_markdown(entries: Sequence[Mapping[str, Any]], preset: str) -> str:
    """A table: one row an ingredient, one column a case and one for their mean; PSNR / SSIM / LPIPS, test poses
    optimised, and below it what they are with test poses fixed."""
    cases = list(dict.fromkeys(entry["case"] for entry in entries))
    rows = list(dict.fromkeys(entry["row"] for entry in entries))
    by_place = {(entry["case"], entry["row"]): entry for entry in entries}

    def lines(scores: Callable[[Mapping[str, Any]], Mapping[str, float]]) -> Iterator[str]:
        yield "| | " + " | ".join([*cases, "mean"]) + " |"
        yield "|---" * (len(cases) + 2) + "|"
        for row in rows:
            here = [scores(by_place[case, row]) if (case, row) in by_place else None for case in cases]
            known = [score for score in here if score is not None]
            mean = {key: float(np.mean([score[key] for score in known])) for key in ("psnr", "ssim", "lpips")}
            whole = mean if len(known) == len(cases) else None
            yield f"| {row} | " + " | ".join(map(_cell, [*here, whole])) + " |"

    optimised, fixed = lines(lambda entry: entry), lines(lambda entry: entry["fixed"])
    title = "# What each ingredient of the splat stage is worth"
    what = f"PSNR / SSIM / LPIPS-VGG of unseen photos, preset `{preset}`."
    return "\n".join(
        [title, "", what, "", "Test poses optimised:", "", *optimised, "", "Test poses fixed:", "", *fixed, ""]
    )


def _cell(scores: Mapping[str, float] | None) -> str:
    if scores is None:
        return "–"
    return f"{scores['psnr']:.2f} / {scores['ssim']:.3f} / {scores['lpips']:.3f}"
