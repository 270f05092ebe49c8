"""`fewview batch SCENES`: what is asked for, and the course of a batch."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from fewview.apps.batches import page
from fewview.apps.batches.course import run_batch, show_plan
from fewview.apps.batches.local import LocalEngine, jobs_that_fit
from fewview.apps.batches.machine import available_mib, cpus
from fewview.apps.batches.plan import estimated, plan
from fewview.apps.batches.scenes import Scene, find
from fewview.apps.batches.scheduler import Engine, Rules
from fewview.apps.batches.signals import terminated_as_interrupted
from fewview.apps.batches.summary import as_json, counts, doubtful, remarks, rows
from fewview.apps.batches.task import Task
from fewview.apps.options import StageOptions, essence, parse_tiered, stage_options
from fewview.recon.errors import InputError

LADDER = ("best", "default", "fast")
SHARE_OF_FREE_MEMORY = 0.9


@dataclass(frozen=True)
class Arguments:
    """Reconstruct many scenes, each in a process of its own. The same command continues after any interruption;
    finished scenes are not touched. `fewview batch status OUT` says how far it is."""

    scenes: Annotated[tuple[str, ...], tyro.conf.Positional]
    """A folder with a folder of photos for each scene, a quoted glob, a jobs file (docs/batch.md), or several scenes'
    folders."""
    out: Path
    """Folder for the results, one folder a scene."""
    stages: Annotated[StageOptions, tyro.conf.arg(name="")]
    jobs: int | None = None
    """Scenes at once; by default as many as memory, processors and GPUs allow."""
    threads: int | None = None
    """Processors for each scene; by default those of the machine shared out."""
    memory: float | None = None
    """GiB that all scenes together may take on this machine; by default 90 % of what is free."""
    gpus: str | None = None
    """GPUs to share out among the scenes, such as 0,1."""
    time_limit: str | None = None
    """For each attempt at a scene, such as 90s, 20m or 2h."""
    retries: int = 2
    """Further attempts after faults that may pass: too little memory (with smaller settings), input and output, a
    killed process, a lost node. Bad input is never tried again."""
    fail_fast: bool = False
    """Stop at the first scene that fails."""
    engine: Literal["local", "ray"] = "local"
    """Child processes here, or tasks of a Ray cluster."""
    address: str | None = None
    """Of the Ray cluster, such as auto; one on this machine is started where none is given."""
    gpus_per_scene: float = 0.0
    """GPUs that a scene needs on a Ray cluster; a fraction lets scenes share one."""
    json: bool = False
    """Print what became of every scene as JSON on standard output (progress goes to standard error)."""
    strict: bool = False
    """End with exit code 1 also where the verdict on a scene is not to rely on it."""


@dataclass(frozen=True)
class Command:
    """The parsed command line and its words, which those of a jobs file follow."""

    arguments: Arguments
    words: tuple[str, ...]


def parse(argv: Sequence[str]) -> Command:
    defaults = Arguments(scenes=tyro.MISSING, out=tyro.MISSING, stages=stage_options(argv))
    return Command(parse_tiered(Arguments, "fewview batch", argv, defaults), tuple(argv))


def main(command: Command) -> int:
    """0: every scene is done; 1: one is not. See `run_batch` for what it raises."""
    arguments = _checked(command.arguments)
    limit = seconds(arguments.time_limit) if arguments.time_limit else None
    out = os.path.realpath(arguments.out)
    scenes = [scene for scene in find(arguments.scenes) if os.path.realpath(scene.photos[0]) != out]
    tasks = _plan_all(command, scenes)
    console = Console(stderr=True)
    if arguments.stages.dry_run:
        show_plan(tasks, arguments.out, console, arguments.json)
        return 0
    rules = Rules(arguments.retries, limit, arguments.fail_fast)
    with terminated_as_interrupted():
        history = run_batch(tasks, arguments.out, rules, functools.partial(_engine, arguments), console, estimated)
    found = rows(history)
    if arguments.json:
        print(as_json(arguments.out, found, at_work=False))
    number = counts(found)
    for line in remarks(found):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print(
        ", ".join(f"{count} {status}" for status, count in number.items()) + f": {arguments.out / page.NAME}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return 0 if number["done"] == len(found) and not (arguments.strict and doubtful(found)) else 1


@contextmanager
def _engine(arguments: Arguments, left: Sequence[Task]) -> Iterator[Engine]:
    if arguments.engine == "ray":
        from fewview.apps.batches.cluster import connected

        with connected(
            arguments.out, arguments.address, arguments.jobs, arguments.threads, arguments.gpus_per_scene
        ) as cluster:
            yield cluster
        return
    gpus = [gpu.strip() for gpu in (arguments.gpus or "").split(",") if gpu.strip()]
    budget = arguments.memory * 1024 if arguments.memory else SHARE_OF_FREE_MEMORY * available_mib()
    estimates = [task.settings[0].memory_mib for task in left]
    jobs = arguments.jobs or jobs_that_fit(budget, estimates, cpus(), len(gpus))
    yield LocalEngine(jobs, arguments.threads or max(1, cpus() // jobs), budget, gpus)


def seconds(text: str) -> float:
    """90, "90s", "20m" or "2h" in seconds.

    Raises:
        InputError: it is none of these, or not positive.
    """
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([smh]?)", text.strip())
    value = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if value <= 0:
        raise InputError(
            f"--time-limit {text!r} is no time.", "Give seconds, minutes or hours, such as 90s, 20m or 2h."
        )
    return value


def _parse(words: tuple[str, ...], options: StageOptions) -> Arguments:
    defaults = Arguments(scenes=tyro.MISSING, out=tyro.MISSING, stages=options)
    return tyro.cli(Arguments, prog="fewview batch", args=list(words), default=defaults)


def _checked(arguments: Arguments) -> Arguments:
    for name, value, least in (
        ("--jobs", arguments.jobs, 1),
        ("--threads", arguments.threads, 1),
        ("--retries", arguments.retries, 0),
        ("--gpus-per-scene", arguments.gpus_per_scene, 0),
    ):
        if value is not None and value < least:
            raise InputError(f"{name} {value:g} is too small.", f"Give {least} or more.")
    if arguments.memory is not None and arguments.memory <= 0:
        raise InputError(f"--memory {arguments.memory:g} is too small.", "Give GiB, such as 16.")
    if not arguments.scenes:
        raise InputError("No scenes were named.", "Name a folder of folders, a glob or a jobs file.")
    ray = arguments.engine == "ray"
    for name, given, for_ray in (
        ("--gpus", arguments.gpus, False),
        ("--memory", arguments.memory, False),
        ("--address", arguments.address, True),
        ("--gpus-per-scene", arguments.gpus_per_scene, True),
    ):
        if given and ray != for_ray:
            raise InputError(
                f"{name} does not go with --engine {arguments.engine}.",
                "Ray knows its nodes' GPUs and memory: give --gpus-per-scene." if ray else "Add --engine ray.",
            )
    return replace(arguments, out=arguments.out.absolute()) if ray else arguments


def _plan_all(command: Command, scenes: Sequence[Scene]) -> list[Task]:
    @functools.cache
    def ladder(words: tuple[str, ...], where: str) -> tuple[StageOptions, ...]:
        asked = _options(command, words, where)
        lower = LADDER[LADDER.index(asked.preset) + 1 :]
        return (asked, *(_options(command, (*words, "--preset", preset), where) for preset in lower))

    shared = ladder((), "")
    return [
        plan(scene, ladder(scene.words, scene.where) if scene.words else shared, command.arguments.out)
        for scene in scenes
    ]


def _options(command: Command, words: tuple[str, ...], where: str) -> StageOptions:
    """Those of the command with a scene's own after them.

    Raises:
        InputError: the words are not options of stages; the message names the line of the jobs file.
    """
    if not words:
        return command.arguments.stages
    said = StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            parsed = _parse((*command.words, *words), stage_options(words, command.arguments.stages.preset))
    except SystemExit as error:
        raise InputError(f"{where}: {essence(said.getvalue())}", "Correct its options.") from error
    except InputError as error:
        raise InputError(f"{where}: {error.what}", error.remedy) from error
    if replace(parsed, stages=command.arguments.stages) != command.arguments:
        raise InputError(f"{where}: its options go beyond those of `fewview run`.", "Give them to the command.")
    return parsed.stages
