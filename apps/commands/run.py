"""`fewview run`: from photos to cameras, splat, mesh and renders."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from fewview.apps import config_file
from fewview.apps.commands.report import reported
from fewview.apps.options import HELP as HELP_WORDS
from fewview.apps.options import HELP_ALL, PresetName, StageOptions, essence, parse_tiered, stage_options
from fewview.apps.pipeline import RIG, SPECS, stages
from fewview.apps.results import read_results
from fewview.layout import STAGE as LAYOUT
from fewview.recon.camera_source import parse_source
from fewview.recon.dag import Manifest, Stage, run_stages
from fewview.recon.dag.live import Watch
from fewview.recon.dag.verdict import RunVerdict
from fewview.recon.errors import InputError
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
    config: Path | None = None
    """Options from this TOML file, by the same names. Those given here count before those in it."""
    save: Path | None = None
    """With --dry-run: write the options to this file, for --config."""


HELP = """\
usage: fewview run PHOTOS... --out FOLDER [OPTIONS]

3 to 12 photos of a place to cameras, Gaussian splats, a mesh and renders.

  PHOTOS              a folder of photos, photos, or a video
  --out FOLDER        for the results; the same command again continues there
  --preset PRESET     fast (a first look), default, or best (slower)

cameras
  --cameras SOURCE    matching: what the photos share (default); known:PATH: of
                      a COLMAP model, a transforms.json or a cameras.json;
                      pointmaps:PATH, mapanything, mast3r: from a network;
                      keypoints: from the people in videos of a rig
  --intrinsics F      known focal length in pixels, or a file as for known:PATH
  --scale LENGTH      a known distance, in metres, such as A.jpg:B.jpg=1.5

what is made
  --until STAGE       stop after photos, matches, cameras, depth, layout, splat,
                      mesh or renders
  --from STAGE        make this stage and all after it again
  --force STAGE...    make these stages again
  --no-layout         do not look for a room

what is said
  --strict            exit code 1 where the verdict is not to rely on the result
  --json              print the manifest
  --dry-run           print what would be done, and do nothing

  --config FILE       options from a file; those given here count before its
  --save FILE         with --dry-run: write that file
  --help, --help-all  this page; every option of every stage
"""


@dataclass(frozen=True)
class _Config:
    """What must be known before the other options are parsed, because it holds their defaults."""

    config: Path | None = None


_ONLY_HERE = ("config", "save", "dry-run")
"""Options that a file does not hold."""


def parse(argv: Sequence[str]) -> Arguments:
    """Options of the command line count before those of the file that it names, those before the preset's."""
    try:
        ahead, _ = tyro.cli(_Config, args=list(argv), return_unknown_args=True, add_help=False, console_outputs=False)
    except SystemExit:  # --config without a file: the parser of all options says so
        ahead = _Config()
    if ahead.config is None or {HELP_ALL, *HELP_WORDS} & set(argv):
        defaults = Arguments(photos=tyro.MISSING, out=tyro.MISSING, stages=stage_options(argv))
    else:
        said = _read(ahead.config)
        defaults = _as_in_file(ahead.config, said, stage_options([*config_file.words(said), *argv]))
    return parse_tiered(Arguments, "fewview run", argv, defaults, HELP)


def _usual(preset: PresetName) -> dict[str, Any]:
    """The value of each option where only the preset is given."""
    return config_file.values(Arguments((), Path(), stage_options((), preset)))


def _read(path: Path) -> dict[str, Any]:
    """What a file says, by the names of options.

    Raises:
        InputError: it cannot be read, or names what no file may hold.
    """
    said = config_file.read(path, _usual("default"))
    for name in said:
        if name in _ONLY_HERE:
            raise InputError(f"{path}: `{name}` is said on the command line.", "Take that line out.")
    return said


def _as_in_file(path: Path, said: Mapping[str, Any], stages: StageOptions) -> Arguments:
    """`stages` with what a file says. `photos` and `out` are still missing where it does not name them.

    Raises:
        InputError: a value is none that its option takes.
    """
    photos = said.get("photos", ())
    photos = [photos] if isinstance(photos, str) else photos
    if not isinstance(photos, list | tuple) or not all(isinstance(photo, str) for photo in photos):
        raise InputError(f"{path}: `photos` is no path, and no list of them.", 'Write photos = ["a.jpg", "b.jpg"].')
    words = config_file.words({name: value for name, value in said.items() if name != "photos"})
    default = Arguments(tuple(map(Path, photos)), Path(), stages)
    printed = StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            found = tyro.cli(Arguments, prog="fewview run", args=list(words), default=default)
    except SystemExit as error:
        raise InputError(
            f"{path}: {essence(printed.getvalue())}", "Correct it; `fewview run --help-all` says how."
        ) from error
    except InputError as error:
        raise InputError(f"{path}: {error.what}", error.remedy) from error
    if found.photos != default.photos:  # what an option did not take was taken for a photo
        lists = ", ".join(f"`{name}`" for name, value in said.items() if isinstance(value, list) and name != "photos")
        raise InputError(f"{path}: there is a list where one value belongs: {lists}.", "Keep one value.")
    return replace(
        found, photos=found.photos if photos else tyro.MISSING, out=found.out if "out" in said else tyro.MISSING
    )


def _tell_config(arguments: Arguments, console: Console) -> None:
    """Says which options come from the file, and which of them the command line overrules."""
    if arguments.config is None:
        return
    said = _read(arguments.config)
    filed = config_file.values(_as_in_file(arguments.config, said, stage_options(list(config_file.words(said)))))
    chosen = config_file.values(arguments)
    console.print(f"Options of {arguments.config}: {', '.join(said)}.", soft_wrap=True, markup=False, highlight=False)
    for name in said:
        if chosen[name] != filed[name]:
            console.print(
                f"The command line counts before it: {name} is {config_file.as_toml(chosen[name])}"
                f" (not {config_file.as_toml(filed[name])}).",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )


def _save(arguments: Arguments, path: Path, console: Console) -> None:
    """Writes what was chosen: files, preset, and the options that differ from the preset's."""
    usual = _usual(arguments.stages.preset)
    options = {name: value for name, value in config_file.values(arguments).items() if name not in _ONLY_HERE}
    always = ("photos", "out", "preset")
    config_file.write(path, {name: value for name, value in options.items() if name in always or value != usual[name]})
    console.print(f"Written: fewview run --config {path}", soft_wrap=True, markup=False, highlight=False)


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
    if arguments.save is not None and not arguments.stages.dry_run:
        raise InputError("--save goes with --dry-run.", "Add --dry-run; then run with --config.")
    _tell_config(arguments, console)
    with reported(arguments.out, console, arguments.stages.dry_run):
        manifest = reconstruct(arguments.photos, arguments.out, arguments.stages, console)
    if arguments.stages.dry_run:
        if arguments.save is not None:
            _save(arguments, arguments.save, console)
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
