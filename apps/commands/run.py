"""`fewview run`: from photos to cameras, splat, mesh and renders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from fewview.apps.commands.report import reported
from fewview.apps.options import StageOptions, stage_options
from fewview.apps.pipeline import RIG, SPECS, stages
from fewview.apps.results import read_results
from fewview.layout import STAGE as LAYOUT
from fewview.recon.camera_source import parse_source
from fewview.recon.dag import Manifest, Stage, run_stages
from fewview.recon.dag.live import Watch
from fewview.recon.dag.verdict import RunVerdict
from fewview.recon.io.inputs import find


@dataclass(frozen=True)
class Arguments:
    """Turn 3 to 12 photos of a place into cameras, Gaussian splats, a mesh and renders."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """A folder of photos, photos, or a video."""
    out: Path
    """Folder for the results; giving the same command again continues there."""
    stages: Annotated[StageOptions, tyro.conf.arg(name="")]
    json: bool = False
    """Print the manifest as JSON on standard output (progress goes to standard error)."""
    strict: bool = False
    """End with exit code 1 where the verdict is not to rely on the result."""


def parse(argv: Sequence[str]) -> Arguments:
    defaults = Arguments(photos=tyro.MISSING, out=tyro.MISSING, stages=stage_options(argv))
    return tyro.cli(Arguments, prog="fewview run", args=list(argv), default=defaults)


def graph_of(photos: tuple[Path, ...], options: StageOptions) -> tuple[Stage, ...]:
    """The stages that `options` ask for.

    Raises:
        InputError: there is no photo at `photos`.
    """
    graph = stages(options.options, photos)
    return graph if options.layout else tuple(stage for stage in graph if stage.name != LAYOUT.name)


def reconstruct(
    photos: tuple[Path, ...],
    out: Path,
    options: StageOptions,
    console: Console,
    watch: Watch | None = None,
    arguments: Sequence[str] | None = None,
) -> Manifest:
    """Runs the graph on `photos` into `out` as `options` ask; see `run_stages`.

    Args:
        arguments: the command line, for the manifest; that of this process unless given.
    """
    config = options.options
    source = parse_source(config.cameras.source)
    if notice := source.notice():
        console.print(notice, soft_wrap=True)
    graph = graph_of(photos, options)
    if source.kind != "keypoints":
        for file, why in find(photos).passed_over:
            console.print(f"Passed over {file.name}: {why}.", soft_wrap=True, markup=False, highlight=False)
    # The photos of a rig are named after its cameras, which calibration finds.
    config.cameras.check(None if source.kind == "keypoints" else replace(config.photos, photos=photos).names())
    return run_stages(
        graph,
        out,
        until=options.until,
        start=options.start,
        force=options.force,
        dry_run=options.dry_run,
        arguments=sys.argv[1:] if arguments is None else arguments,
        console=console,
        watch=watch,
        judge=judged,
    )


RESULTS = {spec.name: f"{spec.name}/{spec.result}" for spec in SPECS.values() if spec.result and spec not in RIG}
RESULTS["report"] = "report.html"


def main(arguments: Arguments) -> int:
    console = Console(stderr=True)
    with reported(arguments.out, console, arguments.stages.dry_run):
        manifest = reconstruct(arguments.photos, arguments.out, arguments.stages, console)
    if arguments.stages.dry_run:
        return 0
    if arguments.json:
        print((arguments.out / "manifest.json").read_text(encoding="utf-8"), end="")
    for name, path in RESULTS.items():
        if (arguments.out / path).exists():
            console.print(f"  {name:<8} {arguments.out / path}", soft_wrap=True)
    return conclude(manifest, console, arguments.strict)


def judged(out: Path) -> RunVerdict:
    """What the run in `out` is worth."""
    return read_results(out).verdict


def conclude(manifest: Manifest, console: Console, strict: bool) -> int:
    """Say the last words of a run that came to its end; the exit code."""
    assert manifest.verdict is not None, "the run was judged"
    for line in manifest.verdict.lines():
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    return manifest.verdict.exit_code(strict)
