"""Stage `keypoints`: from the user's files to what each camera saw of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import tyro

from fewview.calibration.artifact import Take, save_takes
from fewview.calibration.detect.detector import DetectorChoice, weights_of
from fewview.calibration.inputs.recording import Recording
from fewview.calibration.inputs.rig import CameraFiles, find_cameras
from fewview.recon.errors import InputError
from fewview.recon.io.inputs import Names
from fewview.recon.io.weights import digest as weights_digest
from fewview.recon.progress import Progress
from fewview.recon.stage import StageSpec

SkeletonName = Literal["COCO_17", "HALPE_26", "BODY_25", "BODY_25B"]


def take_names(takes: Sequence[Path]) -> list[str]:
    """What counts of the takes' paths: results are named after them."""
    return [take.name for take in takes]


@dataclass(frozen=True)
class KeypointsConfig:
    """How people's keypoints are read, or found in videos."""

    takes: tyro.conf.Suppress[tuple[Path, ...]] = field(default=(), metadata={"key": take_names})
    """A folder or npz a take, all by the same cameras in the same places; the command line has its own place."""
    sizes: tuple[str, ...] = ()
    """Image size WIDTHxHEIGHT, one for all cameras or one each, where the files do not say it."""
    sizes_from: Path | None = field(default=None, metadata={"key": False})
    """A cameras.json of which names and image sizes are read, and nothing else."""
    fps: tuple[float, ...] = ()
    """Frames a second, one for all cameras or one each, where the files do not say them."""
    skeleton: SkeletonName | None = None
    """Order of the joints; by their number if not given."""
    detector: DetectorChoice = "auto"
    """For videos: BlazePose follows one person, MoveNet up to six; `auto` looks how many there are. rtmlib finds all,
    where it is installed."""

    def sources(self) -> tuple[Path, ...]:
        """Every file and folder that the stage reads.

        Raises:
            InputError: a take is missing, or holds no camera.
        """
        found = [path for take in self.takes for path in _files(take)]
        return tuple(dict.fromkeys([*found, *([self.sizes_from] if self.sizes_from else [])]))

    def weights(self) -> tuple[str, ...]:
        """SHA-256 of the files that the detector loads."""
        return tuple(weights_digest(name) for name in weights_of(self.detector))


@dataclass(frozen=True)
class KeypointsFacts:
    """What the stage tells."""

    cameras: tuple[str, ...] = ()
    frames: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By take, of each camera."""
    sound_offsets_s: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By take and camera, to be added to its clock; where the sound says it."""
    detector: str | None = None
    """What looked for people in videos."""
    frames_detected: int | None = None
    """In which people were looked for; None where all keypoints came from files."""


def run(inputs: Mapping[str, Path], config: KeypointsConfig, out: Path, progress: Progress) -> None:
    """Fill `out` with `keypoints.json` and an npz a camera and take (docs/artifacts.md).

    Run it in a child process: the detector's runtime can abort.

    Raises:
        InputError: files cannot be read, image sizes are not known, or takes differ in their cameras.
    """
    names = Names()
    takes = [
        _take(path, names.claim(f"{path.name.removesuffix('.npz')}.take")[1], config, progress) for path in config.takes
    ]
    _check_takes(takes)
    save_takes(out, takes)
    progress.tell(
        KeypointsFacts(
            cameras=tuple(each.camera for each in takes[0].detections),
            frames={take.name: tuple(len(each.xy) for each in take.detections) for take in takes},
            sound_offsets_s={take.name: take.sound_offsets_s for take in takes if take.sound_offsets_s},
        )
    )


STAGE = StageSpec(
    name="keypoints",
    title="People's keypoints",
    run=run,
    Config=KeypointsConfig,
    Facts=KeypointsFacts,
    sources=KeypointsConfig.sources,
    weights=KeypointsConfig.weights,
    isolated=True,  # the detector's runtime can abort the interpreter
    typical_s=20.0,
)


def _files(take: Path) -> list[Path]:
    if take.is_file() and take.suffix == ".npz":
        return [take]
    cameras = find_cameras(take)
    return [path for each in cameras for path in (each.keypoints, each.video) if path is not None]


def _take(path: Path, name: str, config: KeypointsConfig, progress: Progress) -> Take:
    from fewview.calibration.inputs.arrays import read_rig
    from fewview.calibration.inputs.complete import complete

    if path.is_file():
        cameras: list[CameraFiles] = []
        recordings = read_rig(path, config.skeleton)
    else:
        cameras = find_cameras(path)
        recordings = _read(cameras, config, progress)
    detections = complete(recordings, config.sizes, config.sizes_from, config.fps, progress)
    videos = {each.camera: each.video for each in cameras if each.video is not None}
    offsets: dict[str, float] = {}
    if len(videos) > 1:
        from fewview.calibration.clocks.sound import offsets_by_sound

        offsets = offsets_by_sound(videos)
    return Take(name, detections, {camera: video.name for camera, video in videos.items()}, offsets)


def _read(cameras: list[CameraFiles], config: KeypointsConfig, progress: Progress) -> list[Recording]:
    """Keypoints from files where there are some, from the video otherwise."""
    from fewview.calibration.detect.choice import choose_detector
    from fewview.calibration.detect.detector import make_detectors
    from fewview.calibration.detect.videos import detect_people, video_facts
    from fewview.calibration.inputs.arrays import read_camera
    from fewview.calibration.inputs.coco import read_coco
    from fewview.calibration.inputs.openpose import read_openpose

    seen = [(each.camera, each.video) for each in cameras if each.keypoints is None and each.video is not None]
    found = {}
    if seen:
        detector = choose_detector(seen, progress) if config.detector == "auto" else config.detector
        progress.tell(KeypointsFacts(detector=detector))
        found = {each.camera: each for each in detect_people(seen, make_detectors(detector, progress), progress)}
    recordings = []
    for each in cameras:
        if each.keypoints is None:
            recordings.append(found[each.camera])
            continue
        if each.keypoints.is_dir():
            read = read_openpose(each.keypoints, each.camera, config.skeleton)
        elif each.keypoints.suffix == ".npz":
            read = read_camera(each.keypoints, each.camera)
        else:
            read = read_coco(each.keypoints, each.camera, config.skeleton)
        if each.video is not None:
            facts = video_facts(each.video)
            read = replace(read, size=(facts.width, facts.height), fps=facts.fps)
        recordings.append(read)
    return recordings


def _check_takes(takes: list[Take]) -> None:
    """Takes by one rig have the same cameras, each with its image size."""
    first = {each.camera: each.size for each in takes[0].detections}
    for take in takes[1:]:
        sizes = {each.camera: each.size for each in take.detections}
        if set(sizes) != set(first):
            raise InputError(
                f"Take {take.name} is by cameras {', '.join(sizes)}, but {takes[0].name} by {', '.join(first)}.",
                "Give takes by the same cameras, named alike.",
            )
        for camera, size in sizes.items():
            if size != first[camera]:
                raise InputError(
                    f"Camera {camera} has images of {size[0]}x{size[1]} in take {take.name}, but of "
                    f"{first[camera][0]}x{first[camera][1]} in {takes[0].name}.",
                    "Were two cameras' folders swapped? Name each camera alike in every take.",
                )
