"""Photos of every kind come out as the same upright sRGB pixels, with what EXIF says of the camera."""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, features

from fewview.recon.io import images
from fewview.recon.io.exif import ExifFacts, camera_group, focal_prior, read_exif
from fewview.recon.io.images import UnusableImage, decode_image, open_image, sharpness, write_png

BASE, IFD = ExifTags.Base, ExifTags.IFD


def _scene(width: int = 96, height: int = 64) -> np.ndarray:
    """Smooth, so that lossy formats keep it, and different under every rotation and mirroring."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return np.stack([40 + 200 * x / width, 230 - 200 * y / height, 60 + 150 * x * y / width / height], 2).astype(
        np.uint8
    )


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# How the pixels of an upright photo are stored under each orientation tag (the inverse of what it asks for).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "HEIF"])
def test_exif_rotation_is_applied_once(orientation: int, kind: str) -> None:
    upright = _scene()
    exif = Image.Exif()
    exif[BASE.Orientation] = orientation
    options: dict[str, Any] = {
        "JPEG": {"quality": 98},
        "WEBP": {"lossless": True},
        "HEIF": {"quality": 95},
    }.get(kind, {})
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    decoded = decode_image(_encode(stored, kind, exif=exif.tobytes(), **options), 1024)
    assert (decoded.width, decoded.height) == (96, 64)
    assert decoded.alpha is None
    tolerance = {"JPEG": 6, "HEIF": 12}.get(kind, 0)
    assert np.abs(decoded.rgb.astype(int) - upright).max() <= tolerance


def test_sixteen_bit_grey_keeps_its_range() -> None:
    grey = np.linspace(0, 65535, 64 * 96).reshape(64, 96).astype(np.uint16)
    for extension in (".png", ".tiff"):
        decoded = decode_image(cv2.imencode(extension, grey)[1].tobytes(), 1024)
        assert np.array_equal(decoded.rgb, np.rint(grey / 257).astype(np.uint8)[..., None].repeat(3, 2))


def test_sixteen_bit_colour() -> None:
    colour = _scene().astype(np.uint16) * 257
    for extension in (".png", ".tiff"):
        data = cv2.imencode(extension, cv2.cvtColor(colour, cv2.COLOR_RGB2BGR))[1].tobytes()
        assert np.array_equal(decode_image(data, 1024).rgb, _scene())


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_colour_modes(mode: str) -> None:
    flat = Image.new("RGB", (80, 64), (255, 255, 255))
    flat.paste((0, 0, 0), (0, 0, 40, 64))
    kind = {"CMYK": "TIFF", "YCbCr": "JPEG"}.get(mode, "PNG")
    rgb = decode_image(_encode(flat.convert(mode), kind), 1024).rgb
    assert rgb.shape == (64, 80, 3)
    assert rgb[:, :30].max() < 10
    assert rgb[:, 50:].min() > 245


def test_cmyk_jpeg() -> None:
    """Adobe's JPEGs hold CMYK inverted; ignoring that gives a negative."""
    image = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    red = decode_image(_encode(image, "JPEG", quality=95), 1024).rgb[32, 32]
    assert red[0] > 200
    assert red[1:].max() < 60


def test_embedded_profile_is_converted_to_srgb() -> None:
    """sRGB with the colorants of red and blue exchanged: a profile whose effect is known exactly."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)
    decoded = decode_image(_encode(Image.fromarray(_scene()), "PNG", icc_profile=profile), 1024)
    assert decoded.colour_note is None
    assert np.abs(decoded.rgb.astype(int) - _scene()[..., ::-1]).max() <= 1


def test_unusable_profile_is_said() -> None:
    decoded = decode_image(_encode(Image.fromarray(_scene()), "PNG", icc_profile=b"no profile"), 1024)
    assert decoded.colour_note is not None
    assert np.array_equal(decoded.rgb, _scene())


def test_transparency() -> None:
    rgba = np.dstack([_scene(), np.full((64, 96), 255, np.uint8)])
    assert decode_image(_encode(Image.fromarray(rgba), "PNG"), 1024).alpha is None
    rgba[:, :48, 3] = 0
    decoded = decode_image(_encode(Image.fromarray(rgba), "PNG"), 1024)
    assert decoded.alpha is not None
    assert np.array_equal(decoded.alpha, rgba[..., 3])
    assert (decoded.rgb[:, :48] == 128).all()
    assert np.array_equal(decoded.rgb[:, 48:], _scene()[:, 48:])


def test_shrinking_averages_areas_and_nothing_is_enlarged() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    data = _encode(Image.fromarray(noise), "PNG")
    decoded = decode_image(data, 40)
    assert (decoded.width, decoded.height) == (160, 120)
    blocks = noise.reshape(30, 4, 40, 4, 3).mean((1, 3))
    assert np.abs(decoded.rgb - blocks).max() <= 0.5 + 1e-9
    assert decode_image(data, 500).rgb.shape == (120, 160, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "HEIF", "BMP"])
def test_damaged_files_are_refused_or_read_but_never_crash(kind: str) -> None:
    data = _encode(Image.fromarray(_scene()), kind)
    rng = np.random.default_rng(7)
    refused = 0
    for cut in np.linspace(0, len(data) - 1, 25).astype(int):
        broken = bytearray(data[:cut] if cut % 2 else data)
        for _ in range(8):
            if broken:
                broken[rng.integers(len(broken))] = rng.integers(256)
        try:
            assert decode_image(bytes(broken), 64).rgb.dtype == np.uint8
        except UnusableImage:
            refused += 1
    assert refused >= 5


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_beyond_the_limit_is_decoded_at_a_fraction(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a thousandth of the real limits, so that it is quick."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_000)
    monkeypatch.setattr(images, "MAX_MEGAPIXELS", 0.178)
    monkeypatch.setattr(images, "MAX_JPEG_MEGAPIXELS", 0.4)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    scene = cv2.resize(_scene(), (512, 384), interpolation=cv2.INTER_CUBIC)
    data = _encode(Image.fromarray(scene), "JPEG", exif=exif, quality=95)
    decoded = decode_image(data, 64)
    expected = cv2.resize(scene, (64, 48), interpolation=cv2.INTER_AREA)
    if orientation == 6:
        expected = np.rot90(expected, -1)
    assert (decoded.width, decoded.height) == ((384, 512) if orientation == 6 else (512, 384))
    assert decoded.rgb.shape == expected.shape
    assert np.abs(decoded.rgb.astype(int) - expected).mean() < 5
    with open_image(data, 1 << 20) as file:
        assert file.size == (256, 192), "as large as the limit allows"
    with pytest.raises(UnusableImage, match=r"^more than 0\.4 megapixels$"):
        decode_image(_encode(Image.new("L", (800, 600)), "JPEG"), 64)
    with pytest.raises(UnusableImage, match=r"^more than 0\.178 megapixels$"):
        decode_image(_encode(Image.fromarray(scene), "PNG"), 64)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_turned_once() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    decoded = decode_image(_encode(Image.fromarray(_scene()), "AVIF", exif=exif, quality=95), 4096)
    assert np.abs(decoded.rgb.astype(int) - np.rot90(_scene(), -1)).mean() < 10


def test_reasons() -> None:
    jpeg = _encode(Image.fromarray(_scene()), "JPEG")
    size = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + size + struct.pack(">I", zlib.crc32(size)) + b"\0\0\0\x01IDAT"
    for data, reason in [
        (b"these are words", "not an image that can be decoded"),
        (b"", "not an image that can be decoded"),
        (jpeg[: len(jpeg) * 3 // 4], "truncated"),
        (header, "more than 178 megapixels"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "not an image that can be decoded"),
        (
            _encode(Image.fromarray(np.zeros((64, 64), np.float32)), "TIFF"),
            "floating-point numbers, not a photo",
        ),
        (_encode(Image.fromarray(np.full((64, 64), 70000, np.int32)), "TIFF"), "32-bit numbers, not a photo"),
    ]:
        with pytest.raises(UnusableImage) as refused:
            decode_image(data, 64)
        assert str(refused.value) == reason


def test_exif_facts_and_focal_length() -> None:
    exif = Image.Exif()
    exif[BASE.Make], exif[BASE.Model], exif[BASE.Orientation] = "Acme\0junk", "  One ", 6
    detail = exif.get_ifd(IFD.Exif)
    detail[BASE.FocalLength], detail[BASE.FocalLengthIn35mmFilm] = 4.25, 26
    detail[BASE.ExposureTime], detail[BASE.ISOSpeedRatings] = 0.01, 64
    detail[BASE.ExifImageWidth], detail[BASE.ExifImageHeight] = 96, 64
    decoded = decode_image(_encode(Image.fromarray(_scene()), "JPEG", exif=exif.tobytes()), 1024)
    summary = {"make": "Acme", "model": "One", "focal_mm": 4.25, "iso": 64, "exposure_s": 0.01}
    assert decoded.exif.summary() == summary
    assert (decoded.width, decoded.height) == (64, 96)
    focal, source = focal_prior(decoded.exif, 64, 96)
    assert source == "exif-35mm"
    # The diagonal angle of view is that of a 26 mm lens on 36 x 24 mm.
    assert focal == pytest.approx(26 * math.hypot(96, 64) / math.hypot(36, 24))
    assert (
        camera_group(decoded.exif, 64, 96) == camera_group(decoded.exif, 96, 64) == "Acme One, 4.25 mm (26 mm), 96x64"
    )


def test_focal_length_from_the_sensor() -> None:
    facts = ExifFacts(focal_mm=50.0, sensor_px_per_mm=4000 / 36, written_size=(4000, 3000))
    assert focal_prior(facts, 2000, 1500) == (pytest.approx(50 / 36 * 2000), "exif-sensor")
    assert focal_prior(facts, 1500, 2000) == (pytest.approx(50 / 36 * 2000), "exif-sensor")
    assert focal_prior(facts, 2000, 2000) == (None, None), "cropped after it was taken"
    assert focal_prior(ExifFacts(focal_mm=50.0), 2000, 1500) == (None, None)
    assert focal_prior(ExifFacts(focal_35mm=9000.0), 2000, 1500) == (None, None)


@given(st.sampled_from([0, -1, "text", b"\0", (), float("nan"), float("inf"), None]))
def test_senseless_exif_counts_as_absent(value: Any) -> None:
    exif = Image.Exif()
    exif[BASE.Make] = value
    detail = exif.get_ifd(IFD.Exif)
    for tag in (
        BASE.FocalLength,
        BASE.FocalLengthIn35mmFilm,
        BASE.FocalPlaneXResolution,
        BASE.ExifImageWidth,
    ):
        detail[tag] = value
    facts = read_exif(exif)
    assert facts.focal_mm is None
    assert focal_prior(facts, 64, 64) == (None, None)


def test_sharpness_tells_blur_from_detail() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert sharpness(noise) > 10 * sharpness(cv2.GaussianBlur(noise, (0, 0), 1.5))
    assert sharpness(np.full((64, 64, 3), 9, np.uint8)) == 0


def test_png_round_trip(tmp_path: Any) -> None:
    write_png(tmp_path / "a.png", _scene())
    first = (tmp_path / "a.png").read_bytes()
    write_png(tmp_path / "a.png", _scene())
    assert (tmp_path / "a.png").read_bytes() == first
    assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), _scene())
