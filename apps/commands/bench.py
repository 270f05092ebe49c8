"""`fewview bench`: measures what is written for this project."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from fewview.apps.benchmarks.ingredients import INGREDIENTS, Case, as_markdown, measure
from fewview.apps.benchmarks.thresholds import PACKAGES
from fewview.apps.benchmarks.thresholds import as_markdown as thresholds_page
from fewview.apps.benchmarks.thresholds import measure as measure_thresholds
from fewview.apps.options import PresetName
from fewview.apps.output import deliver
from fewview.apps.pipeline import PRESETS
from fewview.recon.errors import InputError


@dataclass(frozen=True)
class Rasteriser:
    """Speed and memory of the rasteriser on this machine: one training step by part, beside plain torch, in synthetic
    scenes of 512 x 384 pixels; its share of the machine's arithmetic; the memory that training takes. Takes a few
    minutes; the machine should do nothing else."""

    json: Path | None = None
    """File for the figures; standard output if not given."""
    gaussians: tuple[int, ...] = (50_000, 100_000, 300_000)
    """Sizes of the scenes."""
    steps: int = 30
    """Timed steps of each scene."""
    torch_up_to: int = 100_000
    """Largest scene that plain torch is given, too: it takes 3 GB of memory for 100,000 and 8 GB for 300,000."""

    def main(self) -> int:
        from fewview.splatting.bench import benchmark_rasteriser

        console = Console(stderr=True)
        figures = benchmark_rasteriser(
            self.gaussians, self.steps, self.torch_up_to, progress=lambda what: console.print(f"Measuring: {what}")
        )
        deliver(json.dumps(figures, indent=1), self.json)
        return 0


@dataclass(frozen=True)
class Ingredients:
    """What each ingredient of the splat stage is worth: every set is reconstructed with and without it, and photos that
    were not used are compared. Takes minutes for each entry of the table; what `--json` holds already is kept."""

    sets: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders with `images/` and `cameras.json`; SET@A:B takes only the frames A:B."""
    json: Path
    """File for the figures, written after each run."""
    views: tuple[int, ...] = (3, 6, 12)
    """How many photos to reconstruct from; sets that are too small for a number are left out of it."""
    rows: tuple[str, ...] = tuple(INGREDIENTS)
    """Which ingredients."""
    preset: PresetName = "default"
    """Options of the stages to vary."""
    out: Path = Path("out/ingredients")
    """Folder for the runs."""
    page: Path | None = None
    """File for the table in Markdown; standard output if not given."""

    def main(self) -> int:
        for row in self.rows:
            if row not in INGREDIENTS:
                raise InputError(
                    f"--rows {row!r} is no ingredient.", f"Choose from {', '.join(map(repr, INGREDIENTS))}."
                )
        cases = [case for views in self.views for case in self._cases(views)]
        entries = measure(cases, self.rows, PRESETS[self.preset], self.out, self.json, Console(stderr=True))
        page = as_markdown([entry for entry in entries if entry["row"] in self.rows], self.preset)
        _write_page(page, self.page)
        return 0

    def _cases(self, views: int) -> list[Case]:
        cases = []
        for given in self.sets:
            folder, _, frames = str(given).partition("@")
            case = Case(Path(folder), views, frames or None)
            if len(case.truth().images) > views:
                cases.append(case)
            else:
                print(f"{case.name}: no photo would be left to test with.", file=sys.stderr)
        return cases


@dataclass(frozen=True)
class Thresholds:
    """What every threshold is worth: each constant of a package is halved and doubled, and synthetic rooms with exact
    truth, on which it was not chosen, are compared. Takes about ten minutes for layout and an hour for depth on an idle
    core; what `--json` holds already is kept."""

    json: Path
    """Folder for the figures, one file a package, written after each constant."""
    packages: tuple[str, ...] = tuple(PACKAGES)
    """Which packages."""
    constants: tuple[str, ...] = ()
    """Which constants; all if not given. The table is of all that `--json` holds."""
    page: Path | None = None
    """File for the table in Markdown; standard output if not given."""

    def main(self) -> int:
        for package in self.packages:
            if package not in PACKAGES:
                raise InputError(f"--packages {package!r} has no table.", f"Choose from {', '.join(PACKAGES)}.")
        console = Console(stderr=True)
        measured = {
            name: measure_thresholds(name, self.constants, self.json / f"{name}.json", console)
            for name in self.packages
        }
        _write_page(thresholds_page(measured), self.page)
        return 0


def _write_page(page: str, path: Path | None) -> None:
    if path is None:
        print(page, end="")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")


@dataclass(frozen=True)
class Arguments:
    """Measure what is written for this project."""

    what: (
        Annotated[Rasteriser, tyro.conf.subcommand("rasteriser")]
        | Annotated[Ingredients, tyro.conf.subcommand("ingredients")]
        | Annotated[Thresholds, tyro.conf.subcommand("thresholds")]
    )


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(tyro.conf.OmitSubcommandPrefixes[Arguments], prog="fewview bench", args=list(argv))


def main(arguments: Arguments) -> int:
    return arguments.what.main()
