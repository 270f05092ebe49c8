"""Which scenes the user means: a folder of folders, a glob, several paths, or a jobs file."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fewview.apps.batches import jobs_file
from fewview.recon.errors import InputError
from fewview.recon.io.inputs import natural

_NAME = re.compile(r"[^\x00-\x1f/\\.][^\x00-\x1f/\\]*")
_RESERVED = frozenset({"logs", "index.html", "batch.jsonl"})


@dataclass(frozen=True)
class Scene:
    """A scene as the user asks for it."""

    name: str
    photos: tuple[Path, ...]
    words: tuple[str, ...] = ()
    """Options of its own, as they would follow those of the command."""
    cameras: Path | None = None
    """Known cameras."""
    where: str = ""
    """Where it was asked for, for messages."""


def find(given: Sequence[str]) -> list[Scene]:
    """The scenes, in natural order of their names; those of a jobs file in its order.

    Args:
        given: one folder (every folder in it is a scene), one glob or jobs file; or several scenes' own paths.

    Raises:
        InputError: there are none, two share a name, or a jobs file cannot be read.
    """
    if len(given) == 1 and Path(given[0]).suffix.lower() in jobs_file.FORMATS and Path(given[0]).is_file():
        scenes = [_from_entry(entry) for entry in jobs_file.read(Path(given[0]))]
    elif len(given) > 1:
        scenes = _from_paths(map(Path, given))
    elif Path(given[0]).is_dir():
        scenes = _from_paths(path for path in Path(given[0]).iterdir() if path.is_dir() and path.name[0] != ".")
    elif glob.has_magic(given[0]):
        scenes = _from_paths(map(Path, glob.glob(given[0])))
    else:
        raise InputError(
            f"`{given[0]}` is no folder, glob or jobs file ({', '.join(jobs_file.FORMATS)}).", "Check the path."
        )
    if not scenes:
        raise InputError(
            f"There are no scenes at `{given[0]}`.", "Name a folder that holds a folder of photos for each scene."
        )
    _check_names(scenes)
    return scenes


def _from_paths(paths: Iterable[Path]) -> list[Scene]:
    """A folder's photos may lie in an `images` folder within it, as data sets have them."""
    scenes = []
    for path in paths:
        images = path / "images"
        name = path.parent.name if path.name == "images" else path.name if path.is_dir() else path.stem
        scenes.append(Scene(name, (images if images.is_dir() else path,), where=str(path)))
    return sorted(scenes, key=lambda scene: natural(scene.name))


def _from_entry(entry: jobs_file.Entry) -> Scene:
    name = entry.name
    if name is None:
        first = entry.photos[0]
        name = first.parent.name if first.name == "images" else first.stem if first.suffix else first.name
    words = (*(("--preset", entry.preset) if entry.preset else ()), *entry.options)
    return Scene(name, entry.photos, words, entry.cameras, entry.where)


def _check_names(scenes: Sequence[Scene]) -> None:
    seen: dict[str, Scene] = {}
    for scene in scenes:
        if not _NAME.fullmatch(scene.name) or scene.name in _RESERVED:
            raise InputError(
                f"{scene.where}: {scene.name!r} cannot name a scene's folder.",
                "Use a name that does not begin with a dot, has no slash and is not logs.",
            )
        other = seen.setdefault(scene.name.casefold(), scene)
        if other is not scene:
            raise InputError(
                f"{scene.where}: the name {scene.name!r} is that of {other.where}, too.",
                "Give every scene a name of its own, by `name` in a jobs file.",
            )
