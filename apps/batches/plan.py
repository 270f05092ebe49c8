"""From a scene and its options to a task: what it reads, what its results depend on, what it will take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fewview.apps.batches.estimate import disk_mib, measure, memory_mib
from fewview.apps.batches.inputs import identity
from fewview.apps.batches.scenes import Scene
from fewview.apps.batches.task import Setting, Task
from fewview.apps.commands.report import reported
from fewview.apps.commands.run import graph_of, reconstruct
from fewview.apps.options import StageOptions
from fewview.recon.dag.graph import Graph
from fewview.recon.dag.keys import encode
from fewview.recon.dag.program import program_digest
from fewview.recon.errors import InputError
from fewview.recon.io.weights import REGISTRY
from fewview.recon.photos import STAGE_NAME as PHOTOS
from fewview.recon.stage import Stage

_CALL = "fewview.apps.batches.plan:run_scene"
_SMALL_PX = 512
_ENCODED: dict[int, tuple[Any, Any]] = {}


def run_scene(photos: tuple[Path, ...], out: Path, options: StageOptions) -> None:
    """What the process of a scene does."""
    console = Console(stderr=True)
    with reported(out, console):
        reconstruct(photos, out, options, console)


def plan(scene: Scene, ladder: Sequence[StageOptions], out: Path) -> Task:
    """The task of a scene, without estimates.

    Args:
        ladder: its options, then those of ever lower presets.
        out: the batch's output folder.
    """
    options = [_with_cameras(rung, scene) for rung in ladder]
    try:
        stages = _wanted(scene, options[0])
        sources = tuple((stage.name, stage.sources) for stage in stages if stage.sources)
        inputs = identity(sources)
    except InputError as error:
        return Task(scene.name, _CALL, (), recipe="", inputs="", problem=(error.what, error.remedy))
    names = [f"preset {rung.preset}" for rung in options] + [f"preset fast, photos of {_SMALL_PX} px"]
    return Task(
        name=scene.name,
        call=_CALL,
        settings=tuple(
            Setting(name, (scene.photos, out / scene.name, rung))
            for name, rung in zip(names, (*options, _small(options[-1])), strict=True)
        ),
        recipe=_recipe(stages),
        inputs=inputs,
        sources=sources,
        redo=bool(options[0].start or options[0].force),
        weights=tuple(w.name for w in REGISTRY.values() if any(w.sha256 in stage.weights for stage in stages)),
    )


def estimated(task: Task) -> Task:
    """The task with estimates of memory and disk; reads the heads of its photos."""
    asked: StageOptions = task.settings[0].arguments[2]
    masks = asked.options.photos.masks
    load = measure(
        path for path in dict(task.sources).get(PHOTOS, ()) if path.parent != masks and path.parent.name != "masks"
    )
    settings = tuple(replace(setting, memory_mib=memory_mib(load, setting.arguments[2])) for setting in task.settings)
    return replace(task, settings=settings, disk_mib=disk_mib(load, asked))


def _wanted(scene: Scene, options: StageOptions) -> list[Stage]:
    declared = graph_of(scene.photos, options)
    if options.until is None:
        return list(declared)
    graph = Graph(declared)
    graph.check("--until", [options.until])
    wanted = graph.ancestors(options.until)
    return [stage for stage in graph.stages if stage.name in wanted]


def _recipe(stages: Iterable[Stage]) -> str:
    parts = [
        [stage.name, program_digest(stage.run), stage.needs, _encoded(stage.config), stage.weights] for stage in stages
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _encoded(config: Any) -> Any:
    """Scenes share most of their configurations: of ten thousand, each is encoded once."""
    if id(config) not in _ENCODED:
        _ENCODED[id(config)] = config, encode(config)  # kept alive, so that its id stays its own
    return _ENCODED[id(config)][1]


def _with_cameras(options: StageOptions, scene: Scene) -> StageOptions:
    if scene.cameras is None:
        return options
    cameras = replace(options.options.cameras, source=f"known:{scene.cameras}")
    return replace(options, options=replace(options.options, cameras=cameras))


def _small(options: StageOptions) -> StageOptions:
    """The lowest preset on smaller pictures: matching takes the most memory, by their size."""
    config = options.options
    return replace(
        options,
        options=replace(
            config,
            photos=replace(config.photos, long_side=min(config.photos.long_side, _SMALL_PX)),
            matches=replace(config.matches, long_side=min(config.matches.long_side, _SMALL_PX)),
        ),
    )
