"""Finds the photos, videos and masks that a user's paths name, and gives them unique names."""

from __future__ import annotations

import errno
import hashlib
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fewview.recon.errors import InputError
from fewview.recon.io import images, video

FORMATS = "JPEG, PNG, TIFF, HEIC, AVIF, WebP or BMP"
_LONGEST_KEY = 100
"""File systems take 255 bytes, and names of pairs hold two keys."""
_KNOWN = images.EXTENSIONS | images.RAW_EXTENSIONS | video.EXTENSIONS


@dataclass(frozen=True)
class Found:
    """What lies at the paths that a user named."""

    sources: tuple[Path, ...]
    """The photos and videos, each once, in natural order of their names (equal names: in the order of the paths)."""
    passed_over: tuple[tuple[Path, str], ...]
    """Every other file in the folders, and why it is not used, in a few words that follow its name and a colon."""

    def names(self) -> list[str]:
        """How each source is told from the others: its file's name, after as many of its folders' names as that
        takes."""
        parts = [source.absolute().parts for source in self.sources]
        found = []
        for own in parts:
            same = [other for other in parts if other != own and other[-1] == own[-1]]
            count = 1
            while any(other[-count:] == own[-count:] for other in same):
                count += 1
            found.append("/".join(own[-count:]))
        return found


def find_sources(paths: tuple[Path, ...]) -> list[Path]:
    """`find(paths).sources` as a list; raises what `find` raises."""
    return list(find(paths).sources)


def find(paths: tuple[Path, ...]) -> Found:
    """The photos and videos that `paths` name.

    Folders are not searched deeper: the results of an earlier run may lie there. Files of other kinds, hidden
    files, RAW files beside their developed photo and the clips of live photos are passed over.

    Raises:
        InputError: no path, or one that is missing, unreadable, without photos, or no photo.
    """
    if not paths:
        raise InputError("No photos were named.", "Name a folder of photos, photos or a video.")
    found: dict[Path, Path] = {}
    passed_over: dict[Path, str] = {}
    for path in paths:
        try:
            files, others = _list(path)
            for file in files:
                found.setdefault(_identity(file), file)
            passed_over.update(others)
        except PermissionError:
            raise InputError(f"{path} cannot be read: permission denied.", "Allow reading it, or copy it.") from None
    sources = tuple(sorted(found.values(), key=lambda file: natural(file.name)))
    by_name = sorted(passed_over.items(), key=lambda entry: natural(entry[0].name))
    return Found(sources, tuple((file, why) for file, why in by_name if _identity(file) not in found))


def _identity(file: Path) -> Path:
    """Equal for a file and links to it."""
    try:
        return file.resolve()
    except RuntimeError:  # links in a circle
        return file.absolute()


def find_mask(photo: Path, folder: Path | None) -> Path | None:
    """The mask named after a photo (`IMG_1.png` or `IMG_1.jpg.png` for `IMG_1.jpg`).

    Args:
        folder: where to look; None: in `masks` in the photo's folder, then beside it.

    Raises:
        InputError: `folder` is given and is no folder.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(f"There is no folder of masks {folder}.", "Check the path.")
    folders = (folder,) if folder is not None else (photo.parent / "masks", photo.parent.absolute().parent / "masks")
    for candidate in folders:
        if candidate.is_dir():
            by_stem = {path.stem: path for path in sorted(candidate.iterdir()) if _is(path, images.EXTENSIONS)}
            mask = by_stem.get(photo.name, by_stem.get(photo.stem))
            if mask is not None:
                return mask
    return None


def is_video(path: Path) -> bool:
    return path.suffix.lower() in video.EXTENSIONS


def is_raw(path: Path) -> bool:
    return path.suffix.lower() in images.RAW_EXTENSIONS


def check_regular(path: Path) -> None:
    """Raises OSError unless there is a file at `path`: reading a pipe or a device may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a file but a folder, pipe or device", str(path))


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts IMG_9 before IMG_10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text.casefold())
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


class Names:
    """Gives out unique names and keys, in the order asked."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._keys: set[str] = set()

    def claim(self, file_name: str) -> tuple[str, str]:
        """A name (the file's, numbered where it is taken) and a key: a stem safe in any file system.

        Keys hold letters, digits, `_` and single `-`, are short enough for two in one file name, and stay unique where
        case does not count. Bytes of the name that are not UTF-8 become U+FFFD in both.
        """
        file_name = file_name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        stem, suffix = Path(file_name).stem, Path(file_name).suffix
        name = _first_free(lambda tail: f"{stem}{tail}{suffix}", self._names)
        safe = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9_-]", "_", stem))[:_LONGEST_KEY].strip("-") or "photo"
        key = _first_free(lambda tail: f"{safe}{tail}", self._keys)
        return name, key


def _first_free(make: Callable[[str], str], taken: set[str]) -> str:
    number = 1
    while (text := make("" if number == 1 else f"-{number}")).casefold() in taken:
        number += 1
    taken.add(text.casefold())
    return text


def _list(path: Path) -> tuple[list[Path], dict[Path, str]]:
    """The photos and videos at a path, and why other files there are none."""
    if path.is_file():
        if not _is(path, _KNOWN):
            raise InputError(f"{path} is not a photo or a video.", f"Name {FORMATS} files, videos or folders.")
        return [path], {}
    if not path.is_dir():
        raise InputError(f"There is no file or folder {path}.", "Check the spelling.")
    everything = sorted(path.iterdir())
    within = [entry for entry in everything if _is(entry, _KNOWN)]
    developed = {entry.stem for entry in within if _is(entry, images.EXTENSIONS)}
    kept = [entry for entry in within if _is(entry, images.EXTENSIONS) or entry.stem not in developed]
    if not kept:
        inner = sorted(p.name for p in path.iterdir() if p.is_dir() and any(_is(e, _KNOWN) for e in p.iterdir()))
        remedy = (
            f"Name the folder within it: {', '.join(inner)}." if inner else f"Put {FORMATS} files or a video there."
        )
        raise InputError(f"There are no photos in {path}.", remedy)
    used = set(kept)
    return kept, {entry: _why_not(entry) for entry in everything if entry not in used and not entry.is_dir()}


def _why_not(file: Path) -> str:
    """Why a file in a folder is neither photo nor video for a run."""
    if file.name.startswith("."):
        return "a hidden file"
    if is_raw(file):
        return "the RAW file of a photo that is there"
    if is_video(file):
        return "the clip of a live photo that is there"
    return f"a {file.suffix} file, no photo" if file.suffix else "no photo: it has no extension"


def _is(path: Path, extensions: frozenset[str]) -> bool:
    """By its name alone. `._IMG_1.jpg` is what macOS leaves beside a photo, not a photo."""
    return path.suffix.lower() in extensions and not path.name.startswith(".")
