"""What visitors send: checked by header and name before anything is decoded, copied under safe names."""

from __future__ import annotations

import filecmp
import re
import shutil
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from fewview.apps.web.limits import MIB, Limits
from fewview.recon.errors import InputError
from fewview.recon.io import images, video
from fewview.recon.io.inputs import FORMATS, Names, is_raw, is_video

_MAX_NAME = 80
_THUMBNAIL_PX = 256
_CHOOSE = f"Choose {FORMATS} photos, or a video."


@dataclass(frozen=True)
class Upload:
    """One accepted file."""

    path: Path
    """Where the server keeps what was sent."""
    name: str
    """Safe, and unique within its upload."""
    is_video: bool


def accept(paths: Sequence[str | Path], served: Path, limits: Limits) -> tuple[Upload, ...]:
    """Checks what a visitor sent, from the files' sizes and headers alone.

    Args:
        paths: as the browser names them.
        served: the folder of uploads; a path outside it is nobody's upload.

    Raises:
        InputError: a file is of a wrong kind or damaged, or a limit is exceeded.
    """
    if len(paths) > limits.files:
        raise InputError(f"These are {len(paths)} files.", f"Choose at most {limits.files}; 3 to 12 photos work best.")
    files = [Path(path) for path in paths]
    for file in files:
        if not file.resolve().is_relative_to(served.resolve()) or not file.is_file():
            raise InputError(f"{file.name} was not uploaded.", "Choose the file again.")
    if sum(file.stat().st_size for file in files) > limits.upload_bytes:
        raise InputError(f"The files are larger than {limits.upload_bytes // MIB} MiB.", "Choose fewer.")
    names = Names()
    return tuple(_accept(file, names, limits) for file in files)


def safe_name(name: str) -> str:
    """A file name of letters, digits, `_`, `-` and one dot, that hides nothing and leads nowhere."""
    plain = unicodedata.normalize("NFKC", name.replace("\\", "/").rpartition("/")[2])
    stem, dot, suffix = plain.rpartition(".")
    stem, suffix = (re.sub(r"[^\w-]+", "_", part) for part in (stem if dot else suffix, suffix if dot else ""))
    return (stem.strip("_-")[:_MAX_NAME] or "photo") + (f".{suffix.lower()}" if suffix else "")


def copy_into(folder: Path, uploads: Sequence[Upload]) -> None:
    """The files under their safe names."""
    for upload in uploads:
        shutil.copyfile(upload.path, folder / upload.name)


def holds(folder: Path, uploads: Sequence[Upload]) -> bool:
    """Whether the folder holds these files, and no others, under their safe names."""
    names = {upload.name for upload in uploads}
    return names == {path.name for path in folder.iterdir()} and all(
        filecmp.cmp(upload.path, folder / upload.name, shallow=False) for upload in uploads
    )


def thumbnail(upload: Upload, folder: Path) -> Path:
    """A small upright picture of a photo, written into `folder`.

    Raises:
        InputError: it is damaged.
    """
    try:
        with Image.open(upload.path) as image:
            image.draft("RGB", (_THUMBNAIL_PX, _THUMBNAIL_PX))  # JPEG is then decoded small
            image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
            path = folder / f"{upload.name}.jpg"
            ImageOps.exif_transpose(image).convert("RGB").save(path)
            return path
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{upload.name} is damaged ({error}).", "Choose another, or export it again.") from None


def _accept(file: Path, names: Names, limits: Limits) -> Upload:
    name, _ = names.claim(safe_name(file.name))
    suffix, size = file.suffix.lower(), file.stat().st_size
    if is_raw(file):
        raise InputError(f"{name} is a RAW file.", "Export it as JPEG, PNG or TIFF.")
    if suffix not in images.EXTENSIONS | video.EXTENSIONS:
        hint = (
            "Unpack the archive and choose the photos in it." if suffix in (".zip", ".rar", ".7z", ".gz") else _CHOOSE
        )
        raise InputError(f"{name} is not a photo or a video.", hint)
    if not size:
        raise InputError(f"{name} is empty.", "Choose another file.")
    most = limits.video_bytes if is_video(file) else limits.photo_bytes
    if size > most:
        raise InputError(f"{name} has {size / MIB:.0f} MiB.", f"A {_kind(file)} may have {most // MIB}.")
    if not is_video(file):
        _check_header(file, name, limits)
    return Upload(file, name, is_video(file))


def _check_header(file: Path, name: str, limits: Limits) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limit below is ours
            with Image.open(file) as image:
                megapixels = image.width * image.height / 1e6
    except Image.DecompressionBombError:
        megapixels = float(images.MAX_MEGAPIXELS)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise InputError(f"{name} is not an image that can be decoded.", _CHOOSE) from None
    if megapixels > limits.megapixels:
        raise InputError(f"{name} has more than {limits.megapixels} megapixels.", "Shrink it, or choose another.")


def _kind(file: Path) -> str:
    return "video" if is_video(file) else "photo"
