"""Decodes a photo of any supported kind to upright 8-bit sRGB at working size, and writes PNG."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from fewview.recon.io.documents import MALFORMED
from fewview.recon.io.exif import ExifFacts, read_exif
from fewview.recon.io.panoramas import says_panorama, shows_panorama

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo"}
    | {".png", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".webp", ".bmp"}
)
RAW_EXTENSIONS = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef"})
MAX_MEGAPIXELS = 178
"""Pillow's own guard against decompression bombs (twice its warning level). A JPEG beyond it is decoded at a half, a
quarter or an eighth."""
MAX_JPEG_MEGAPIXELS = 400
"""Twice the largest sensor of a phone. Of a progressive JPEG, libjpeg holds 2 bytes a coefficient, whatever the
fraction: 1.2 GB at this size with halved chroma."""

# What Pillow and its codecs raise for damaged files.
_DECODING_ERRORS = (*MALFORMED, OSError, SyntaxError, EOFError, RuntimeError, struct.error, zlib.error)
_FULL_SIZE = "fewview_full_size"
"""In `info` of a JPEG that is opened at a fraction: its whole size, pixels."""
_TURNS: dict[Any, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation, what makes upright."""

Image.init()
pillow_heif.register_heif_opener()
_FORMATS = tuple(kind for kind in ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP") if kind in Image.OPEN)
"""Pillow tells them by content; it would hand PostScript that is named .jpg to an interpreter. AVIF came with 11.3."""
_JPEG_SIGNATURE = b"\xff\xd8"
_SIDEWAYS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)


class UnusableImage(Exception):
    """Why a file cannot be used as a photo, in a few words that follow its name and a colon."""


@dataclass(frozen=True)
class DecodedImage:
    """An upright photo at working size."""

    rgb: UInt8[np.ndarray, "h w 3"]
    """sRGB; transparent parts are blended with mid-grey, which has the weakest edges against anything."""
    alpha: UInt8[np.ndarray, "h w"] | None
    """None where the photo is opaque."""
    width: int
    """Of the upright original, pixels."""
    height: int
    exif: ExifFacts
    colour_note: str | None
    """Why an embedded colour profile was not applied, or None."""
    is_panorama: bool
    """An equirectangular panorama (`fewview.recon.io.panoramas`), by its XMP or by what it shows."""


def decode_image(data: bytes, long_side: int) -> DecodedImage:
    """Decode an image file (its first frame) from its bytes.

    EXIF rotation is applied once; embedded colour profiles (wide-gamut phones, CMYK) are converted to sRGB;
    16-bit grey keeps its whole range. Shrinking averages areas; nothing is enlarged. A JPEG of more than
    `MAX_MEGAPIXELS` is decoded at a fraction, so memory stays bounded; the result may then be smaller than asked.

    Args:
        long_side: of the result, pixels.

    Raises:
        UnusableImage: not an image, damaged, too large, or of a kind that is not a photo.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of images we accept.
            with open_image(data, long_side) as file:
                file.load()
                facts, turn = _read_exif(file)
                upright = file if turn is None else file.transpose(turn)
                width, height = _full_size(file)
                upright = _flat(upright)
                profile = file.info.get("icc_profile")
                is_panorama = says_panorama(_xmp(file))
    except UnidentifiedImageError:
        raise UnusableImage("not an image that can be decoded") from None
    except _DECODING_ERRORS as error:
        truncated = "truncated" in str(error).lower() or isinstance(error, EOFError)
        raise UnusableImage("truncated" if truncated else f"damaged ({error})") from error
    if turn in _SIDEWAYS:
        width, height = height, width
    small = shrink_to(np.asarray(upright), long_side)
    alpha = None
    if upright.mode == "RGBA":
        small, alpha = small[..., :3], small[..., 3]
    rgb, colour_note = _to_srgb(np.ascontiguousarray(small), upright.mode, profile)
    if alpha is not None:
        if alpha.min() == 255:
            alpha = None
        else:
            weight = alpha[..., None].astype(np.float32) / 255
            rgb = np.rint(rgb * weight + 128 * (1 - weight)).astype(np.uint8)
    is_panorama = is_panorama or shows_panorama(rgb)
    return DecodedImage(rgb, alpha, width, height, facts, colour_note, is_panorama)


def open_image(data: bytes, long_side: int) -> Image.Image:
    """Read the head of an image file; its pixels are decoded when they are asked for.

    Args:
        long_side: that is wanted, pixels: a JPEG of more than `MAX_MEGAPIXELS` is opened at the smallest fraction that
            is no smaller, as far as `MAX_MEGAPIXELS` allows.

    Raises:
        UnusableImage: too large.
        PIL.UnidentifiedImageError: no image of a known format.
    """
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        if not data.startswith(_JPEG_SIGNATURE):
            raise UnusableImage(f"more than {MAX_MEGAPIXELS} megapixels") from None
    # Only Image.open guards against bombs, and its guard has no exception for a file that is shrunk while decoded.
    file = JpegImageFile(io.BytesIO(data))
    width, height = file.size
    if width * height > MAX_JPEG_MEGAPIXELS * 1e6:
        raise UnusableImage(f"more than {MAX_JPEG_MEGAPIXELS} megapixels")
    least = math.ceil(math.sqrt(width * height / (MAX_MEGAPIXELS * 1e6)))
    shrink = max(least, min(8, max(width, height) // long_side))
    file.info[_FULL_SIZE] = width, height
    file.draft(None, (width // shrink, height // shrink))  # None keeps the mode
    return file


def _full_size(file: Image.Image) -> tuple[int, int]:
    """Of the whole picture, pixels, as stored: `file` may be a fraction of it."""
    width, height = file.info.get(_FULL_SIZE, file.size)
    return width, height


def shrink_to(image: np.ndarray, long_side: int) -> np.ndarray:
    """Area-averaged copy with the given long side; the image itself where it is not larger."""
    height, width = image.shape[:2]
    scale = long_side / max(width, height)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def write_png(path: Path, image: UInt8[np.ndarray, "h w ..."]) -> None:
    """Write RGB or grey as PNG, fast and the same bytes every time."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, data = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise AssertionError(f"OpenCV could not encode a {image.shape} image")
    path.write_bytes(data.tobytes())


def sharpness(rgb: UInt8[np.ndarray, "h w 3"]) -> float:
    """Variance of the Laplacian of the grey image (0 to 255), after Pech-Pacheco et al., ICPR 2000."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def _read_exif(image: Image.Image) -> tuple[ExifFacts, Image.Transpose | None]:
    """The facts, and what makes the photo upright.

    Damaged EXIF is no reason to lose a photo, and damage elsewhere in it none to lose its orientation.
    """
    facts, turn = ExifFacts(), None
    with contextlib.suppress(*_DECODING_ERRORS):
        exif = image.getexif()
        turn = _TURNS.get(exif.get(ExifTags.Base.Orientation))
        facts = read_exif(exif)
    return facts, turn


def _xmp(image: Image.Image) -> bytes:
    """The XMP packet, empty where there is none: Pillow names it by the format."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet.encode() if isinstance(packet, str) else bytes(packet)


def _flat(image: Image.Image) -> Image.Image:
    """The image in one of the modes L, RGB, RGBA, CMYK, 8 bits a channel."""
    mode = image.mode
    if mode in ("L", "RGB", "RGBA", "CMYK") and "transparency" not in image.info:
        return image
    if mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise UnusableImage("32-bit numbers, not a photo")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if mode == "F":
        raise UnusableImage("floating-point numbers, not a photo")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _to_srgb(pixels: np.ndarray, mode: str, profile: bytes | None) -> tuple[UInt8[np.ndarray, "h w 3"], str | None]:
    """Pixels (h, w) or (h, w, 3 or 4) of the given mode to sRGB, through the embedded profile if it works."""
    image = Image.fromarray(pixels, mode="CMYK") if mode == "CMYK" else Image.fromarray(pixels)
    note = None
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return np.array(converted), None
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            note = f"its colour profile cannot be used ({error})"
    return np.array(image.convert("RGB")), note
