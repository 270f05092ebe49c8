"""Runs as Python objects: made, continued, and read back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from fewview.apps.results import PhotoResult, Results, read_results
from fewview.recon.dag.live import Step, Watch
from fewview.recon.depth import artifact
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.scene import View

if TYPE_CHECKING:
    from rich.console import Console
    from trimesh import Trimesh

    from fewview.apps.options import PresetName, StageName
    from fewview.apps.pipeline import PipelineConfig
    from fewview.calibration.observations import Motion
    from fewview.layout.model import RoomLayout
    from fewview.splatting.gaussians import Gaussians

AnyPath = str | Path


@dataclass(frozen=True)
class DepthMap:
    """What is known of the distances in one photo."""

    view: View
    """Its pinhole camera at the size of the map: the map is of the undistorted photo."""
    depth: Float32[np.ndarray, "H W"]
    """z-depth, scene units, NaN = unknown."""
    confidence: Float32[np.ndarray, "H W"]
    """Probability that the depth is within 2 % of the truth."""
    normal: Float32[np.ndarray, "H W 3"]
    """Unit, camera frame, towards the camera, NaN = unknown."""
    source: UInt8[np.ndarray, "H W"]
    """0 unknown, 1 verified by stereo, 2 completed smoothly, 3 completed on a plane of the scene."""


@dataclass(frozen=True)
class Run:
    """The folder of a run, finished or not. What is not there yet raises an InputError that says why."""

    out: Path

    @cached_property
    def results(self) -> Results:
        """All that the report says: verdict, stages with their times, fallbacks, advice, weights and licences."""
        return read_results(self.out)

    @property
    def photos(self) -> tuple[PhotoResult, ...]:
        """What became of each photo: its picture, whether it was placed or why not, how well."""
        return self.results.photos

    @property
    def cameras(self) -> CameraSet:
        """Of the placed photos, or of a rig calibrated from people: at the original resolution, with distortion, and
        a verdict for every photo. Depth maps belong to these."""
        return read_cameras(self._folder("motion" if self._is_rig else "cameras"))

    @property
    def refined_cameras(self) -> CameraSet:
        """As training the splat left them: what to look at the splat and the mesh through."""
        return read_cameras(self._folder("splat"))

    def depth(self, name: str) -> DepthMap:
        """The depth map of a placed photo.

        Args:
            name: of the photo, as in `photos` and `cameras`.

        Raises:
            InputError: there is no depth yet, or the photo was not placed.
        """
        folder = self._folder("depth")
        view = next((view for view in self.cameras.views if view.name == name), None)
        photo = next((photo for photo in self.photos if photo.name == name), None)
        if view is None or photo is None:
            placed = ", ".join(view.name for view in self.cameras.views)
            raise InputError(f"{name} is no placed photo of {self.out}.", f"Choose from: {placed}.")
        found = artifact.DepthMap.load(folder / f"{photo.key}.npz")
        height, width = found.depth.shape
        return DepthMap(
            replace(view, camera=view.camera.pinhole().resized(width, height)),
            found.depth,
            found.confidence.astype(np.float32),
            found.normal.astype(np.float32),
            found.source,
        )

    def splat(self) -> Gaussians:
        """The scene as 3D Gaussians on the CPU, world frame and units of `refined_cameras`."""
        from fewview.splatting.export import read_ply

        return read_ply(self._folder("splat") / "splat.ply")

    def mesh(self) -> Trimesh:
        """The coloured mesh, world frame (y down) and units of `refined_cameras`."""
        import trimesh

        mesh = trimesh.load_mesh(self._folder("mesh") / "mesh.ply", process=False)
        assert isinstance(mesh, trimesh.Trimesh)
        return mesh

    def room(self) -> RoomLayout | None:
        """The room's plan, walls, floor and ceiling; None where the photos show no room (`results.room.reason`)."""
        from fewview.layout.document import read_layout

        return read_layout(self._folder("layout") / "layout.json")

    def motion(self, take: str | None = None) -> Motion:
        """The people's joints over time, world frame and units of `cameras`.

        Args:
            take: name of the recording; the first unless given.

        Raises:
            InputError: no people were tracked in this run, or there is no such take.
        """
        from fewview.calibration.formats.motion import read_motion

        folder = self._folder("motion")
        takes = self.results.rig.takes if self.results.rig else ()
        if take is not None and take not in takes:
            raise InputError(f"{take} is no take of {self.out}.", f"Choose from: {', '.join(takes)}.")
        return read_motion(folder / f"{take or takes[0]}.npz")

    @property
    def _is_rig(self) -> bool:
        return self.results.stage("cameras") is None

    def _folder(self, stage: str) -> Path:
        """The artifact of a stage of this run.

        Raises:
            InputError: it has not been made.
        """
        found = self.results.stage(stage)
        if found is None:
            raise InputError(f"The run in {self.out} has no stage `{stage}`.", f"Its stages: {self._stages()}.")
        if not found.finished:
            why = found.failure.message if found.failure else found.reason
            raise InputError(
                f"The run in {self.out} has no `{stage}`: {found.status} ({why}).",
                "Give the command of the run again: it continues where it can.",
            )
        return self.out / stage

    def _stages(self) -> str:
        return ", ".join(stage.name for stage in self.results.stages)


def open_run(out: AnyPath) -> Run:
    """A run that `reconstruct`, `calibrate` or the command `fewview` made.

    Raises:
        InputError: `out` is not the folder of a run.
    """
    run = Run(Path(out))
    _ = run.results
    return run


def reconstruct(
    photos: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    preset: PresetName | PipelineConfig = "default",
    until: StageName | None = None,
    progress: Watch | None = None,
) -> Run:
    """Brings the run of `photos` in `out` up to date, as `fewview run` does: called again, it continues.

    Native libraries that can abort work in child processes; nothing needs a guard of `__main__`.

    Args:
        photos: a folder of photos, photos, or a video.
        out: folder for the results, made where absent.
        preset: name of a preset, or the options themselves: `fewview.apps.pipeline.PRESETS` with fields replaced.
        until: stop after this stage and what it needs, such as "cameras".
        progress: is told where the stage at work is, at most twice a second, and nothing is printed. Lines on standard
            error unless given.

    Returns:
        The finished run. What was second best is in `results.fallbacks`.

    Raises:
        FewviewError: input, machine or photos do not allow it; it says what to do. What was finished stays in `out`.
    """
    from fewview.apps.commands.report import reported
    from fewview.apps.commands.run import reconstruct as run_photos
    from fewview.apps.options import StageOptions

    paths = (photos,) if isinstance(photos, str | Path) else tuple(photos)
    options = StageOptions(until=until, options=_preset(preset) if isinstance(preset, str) else preset)
    console = _console(progress)
    with reported(Path(out), console):
        run_photos(tuple(map(Path, paths)), Path(out), options, console, progress, ("(from Python)",))
    return open_run(out)


def calibrate(
    recording: AnyPath,
    out: AnyPath,
    *,
    height_m: float | None = None,
    known: AnyPath | None = None,
    same_cameras: bool = False,
    takes: Sequence[AnyPath] = (),
    sizes: Sequence[tuple[int, int]] = (),
    sizes_from: AnyPath | None = None,
    fps: Sequence[float] = (),
    progress: Watch | None = None,
) -> Run:
    """Finds cameras, clocks and 3D motion from people whom several static cameras see, as `fewview calibrate` does.

    Args:
        recording: a folder with, for each camera, a folder of OpenPose JSON, a COCO JSON, an npz or a video; or an npz.
        out: folder for the results, made where absent.
        height_m: of the person seen most: it sets the scale. An adult of 1.70 m is assumed unless given.
        known: file of cameras that are known, whole or in part; they are kept as they are.
        same_cameras: all cameras are one model at one setting.
        takes: further recordings by the same cameras in the same places.
        sizes: width and height of the images, one for all cameras or one each, where the files do not say them.
        sizes_from: a cameras.json of which names and image sizes are read, and nothing else.
        fps: frames a second, one for all cameras or one each, where the files do not say them.
        progress: as of `reconstruct`.

    Raises:
        FewviewError: input, machine or recording do not allow it; it says what to do.
    """
    from fewview.apps.commands.calibrate import Arguments
    from fewview.apps.commands.calibrate import calibrate as calibrate_rig
    from fewview.apps.commands.report import reported

    arguments = Arguments(
        input=Path(recording),
        out=Path(out),
        height=None if height_m is None else float(height_m),
        known=None if known is None else Path(known),
        same_cameras=same_cameras,
        takes=tuple(map(Path, takes)),
        sizes=tuple(f"{width}x{height}" for width, height in sizes),
        sizes_from=None if sizes_from is None else Path(sizes_from),
        fps=tuple(map(float, fps)),
    )
    console = _console(progress)
    with reported(Path(out), console):
        calibrate_rig(arguments, console, progress, ("(from Python)",))
    return open_run(out)


def _preset(name: str) -> PipelineConfig:
    from fewview.apps.pipeline import PRESETS

    if name not in PRESETS:
        raise InputError(f"{name!r} is no preset.", f"Choose from: {', '.join(PRESETS)}.")
    return PRESETS[name]


def _console(progress: Watch | None) -> Console:
    """Standard error, or nowhere where somebody else shows how far it is."""
    from rich.console import Console

    return Console(stderr=True) if progress is None else Console(file=io.StringIO())


__all__ = ["DepthMap", "Run", "Step", "calibrate", "open_run", "reconstruct"]
