"""Which files of a folder belong to which camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewview.recon.errors import InputError
from fewview.recon.io.inputs import is_video, natural

_FORMS = (
    "Name a folder that holds, for each camera, a folder of OpenPose JSON, a COCO JSON, an npz or a video; or one npz."
)


@dataclass(frozen=True)
class CameraFiles:
    """The files of one camera; where there are keypoints, the video only says size and frame rate."""

    camera: str
    keypoints: Path | None = None
    """A folder of OpenPose JSON, a COCO JSON, or an npz."""
    video: Path | None = None


def find_cameras(folder: Path) -> list[CameraFiles]:
    """The cameras in a folder, in natural order of their names.

    A camera is named by its file or folder (without the `_json` that Pose2Sim adds). A folder that holds a video and
    no JSON is the camera of that video.

    Raises:
        InputError: no such folder, no camera in it, or two files that claim one camera.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", _FORMS)
    keypoints: dict[str, Path] = {}
    videos: dict[str, Path] = {}
    for entry in sorted(folder.iterdir(), key=lambda path: natural(path.name)):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            within = sorted(entry.iterdir())
            clips = [path for path in within if is_video(path) and not path.name.startswith(".")]
            if any(path.suffix == ".json" for path in within):
                _claim(keypoints, entry.name.removesuffix("_json"), entry)
            elif len(clips) == 1:
                _claim(videos, entry.name, clips[0])
        elif is_video(entry):
            _claim(videos, entry.stem, entry)
        elif entry.suffix == ".npz" or (entry.suffix == ".json" and entry.name not in _NOT_CAMERAS):
            _claim(keypoints, entry.stem, entry)
    if not keypoints and not videos:
        inner = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and _holds_cameras(path)]
        remedy = f"Name the folder within it: {', '.join(inner)}." if inner else _FORMS
        raise InputError(f"There is no camera in {folder}.", remedy)
    # Videos without keypoints beside cameras with them are another recording, or the detector skipped them.
    names = sorted(keypoints or videos, key=natural)
    return [CameraFiles(name, keypoints.get(name), videos.get(name)) for name in names]


_NOT_CAMERAS = frozenset({"cameras.json", "keypoints.json", "manifest.json", "transforms.json"})


def _claim(files: dict[str, Path], camera: str, path: Path) -> None:
    if camera in files:
        raise InputError(f"{files[camera]} and {path} are both of camera {camera}.", "Keep one of them.")
    files[camera] = path


def _holds_cameras(folder: Path) -> bool:
    return any(path.is_dir() or is_video(path) or path.suffix in (".json", ".npz") for path in folder.iterdir())
