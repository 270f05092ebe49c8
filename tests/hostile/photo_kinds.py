"""Photos, masks and videos that are damaged, odd or lie."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import cv2
import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
import pillow_heif
from PIL import ExifTags, Image

from tests.hostile.kinds import Place, kind, left_out

pillow_heif.register_heif_opener()


def _image(place: Place) -> Image.Image:
    return Image.open(place.photos / "a.jpg").convert("RGB")


def _replaced(place: Place, name: str, image: Image.Image, **options: object) -> list[str]:
    """The first photo in another form."""
    (place.photos / "a.jpg").unlink()
    image.save(place.photos / name, **options)  # type: ignore[arg-type]
    return place.command


def _added(place: Place, name: str, data: bytes) -> list[str]:
    (place.photos / name).write_bytes(data)
    return place.command


def _exif(place: Place, edit: bytes | Image.Exif) -> list[str]:
    image = _image(place)
    image.save(place.photos / "a.jpg", exif=edit)
    return place.command


def _tags(orientation: object = 1, **tags: object) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for name, value in tags.items():
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base[name]] = value
    return exif


def _png_header(width: int, height: int) -> bytes:
    size = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + size + struct.pack(">I", zlib.crc32(size)) + b"\0\0\0\x01IDAT\0"


@kind("photos", 0, left_out("bad.jpg", "truncated"))
def truncated_jpeg(place: Place) -> list[str]:
    return _added(place, "bad.jpg", (place.photos / "a.jpg").read_bytes()[:1500])


@kind("photos", 0, left_out("bad.png", "truncated"))
def truncated_png(place: Place) -> list[str]:
    data = io.BytesIO()
    _image(place).save(data, "PNG")
    return _added(place, "bad.png", data.getvalue()[:2000])


@kind("photos", 0, left_out("bad.jpg", "not an image that can be decoded"))
def zero_bytes(place: Place) -> list[str]:
    return _added(place, "bad.jpg", b"")


@kind("photos", 0)
def png_named_jpg(place: Place) -> list[str]:
    return _replaced(place, "a.jpg", _image(place), format="PNG")


@kind("photos", 0, left_out("bad.jpg", "not an image that can be decoded"))
def text_named_jpg(place: Place) -> list[str]:
    return _added(place, "bad.jpg", b"these are words\n" * 100)


@kind("photos", 0, left_out("bad.jpg", "not an image that can be decoded"))
def postscript_named_jpg(place: Place) -> list[str]:
    return _added(place, "bad.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 200 200\n(x) run\n%%EOF\n")


@kind("photos", 0, left_out("bad.jpg", "not an image that can be decoded"))
def garbage_after_the_header(place: Place) -> list[str]:
    data = (place.photos / "a.jpg").read_bytes()
    return _added(place, "bad.jpg", data[:40] + bytes(range(256)) * 8)


@kind("photos", 0)
def cmyk_jpeg(place: Place) -> list[str]:
    return _replaced(place, "a.jpg", _image(place).convert("CMYK"))


@kind("photos", 0)
def sixteen_bit_png(place: Place) -> list[str]:
    grey = np.asarray(_image(place).convert("L"))
    return _replaced(place, "a.png", Image.fromarray(grey.astype(np.uint16) * 257))


@kind("photos", 0)
def sixteen_bit_tiff(place: Place) -> list[str]:
    colours = np.asarray(_image(place))[..., ::-1].astype(np.uint16) * 257
    assert cv2.imwrite(str(place.photos / "a.tif"), colours)
    (place.photos / "a.jpg").unlink()
    return place.command


@kind("photos", 0)
def animated_gif(place: Place) -> list[str]:
    image = _image(place)
    return _replaced(place, "a.jpg", image, format="GIF", save_all=True, append_images=[image.rotate(90)])


@kind("photos", 0)
def animated_webp(place: Place) -> list[str]:
    image = _image(place)
    return _replaced(place, "a.webp", image, save_all=True, append_images=[image.rotate(90)])


@kind("photos", 0)
def animated_png(place: Place) -> list[str]:
    image = _image(place)
    return _replaced(place, "a.png", image, save_all=True, append_images=[image.rotate(90)])


@kind("photos", 0)
def palette_png(place: Place) -> list[str]:
    return _replaced(place, "a.png", _image(place).convert("P", palette=Image.Palette.ADAPTIVE), transparency=3)


@kind("photos", 0)
def transparent_png(place: Place) -> list[str]:
    image = _image(place).convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))))
    return _replaced(place, "a.png", image)


@kind("photos", 0, left_out("bad.png", "masked everywhere"))
def invisible_png(place: Place) -> list[str]:
    image = _image(place).convert("RGBA")
    image.putalpha(0)
    image.save(place.photos / "bad.png")
    return place.command


@kind("photos", 0)
def grey_jpeg(place: Place) -> list[str]:
    return _replaced(place, "a.jpg", _image(place).convert("L"))


@kind("photos", 0, whole=(0, 1))
def one_bit_png(place: Place) -> list[str]:
    return _replaced(place, "a.png", _image(place).convert("1"))


@kind("photos", 0)
def hundred_megapixels(place: Place) -> list[str]:
    large = cv2.resize(np.asarray(_image(place)), (11_600, 8_700), interpolation=cv2.INTER_CUBIC)
    return _replaced(place, "a.jpg", Image.fromarray(large), quality=80)


@kind("photos", 0, left_out("bad.png", "more than 178 megapixels"))
def decompression_bomb(place: Place) -> list[str]:
    return _added(place, "bad.png", _png_header(60_000, 60_000))


@kind("photos", 0, left_out("bad.png", "only 8x8 pixels; 64 are needed"))
def eight_by_eight(place: Place) -> list[str]:
    _image(place).resize((8, 8)).save(place.photos / "bad.png")
    return place.command


@kind("photos", 0, left_out("bad.png", "only 1x20000 pixels"))
def one_pixel_wide(place: Place) -> list[str]:
    _image(place).resize((1, 20_000)).save(place.photos / "bad.png")
    return place.command


@kind("photos", 0)
def exif_of_a_wrong_focal_length(place: Place) -> list[str]:
    return _exif(place, _tags(FocalLengthIn35mmFilm=300, FocalLength=4.2))


@kind("photos", 0)
def exif_of_no_focal_length(place: Place) -> list[str]:
    return _exif(place, _tags(FocalLengthIn35mmFilm=0, FocalLength=0.0, ISOSpeedRatings=0))


@kind("photos", 0)
def exif_of_an_absurd_orientation(place: Place) -> list[str]:
    return _exif(place, _tags(orientation=77))


@kind("photos", 0)
def exif_of_another_size(place: Place) -> list[str]:
    return _exif(place, _tags(ExifImageWidth=2**31, ExifImageHeight=1, FocalPlaneXResolution=1e-30, FocalLength=1e30))


@kind("photos", 0)
def exif_block_of_noise(place: Place) -> list[str]:
    return _exif(place, b"Exif\0\0II*\0\x08\0\0\0" + np.random.default_rng(0).bytes(3000))


@kind("photos", 0)
def heic_photo(place: Place) -> list[str]:
    return _replaced(place, "a.heic", _image(place))


@kind("photos", 0, left_out("bad.heic", ""))
def truncated_heic(place: Place) -> list[str]:
    data = io.BytesIO()
    _image(place).save(data, "HEIF")
    return _added(place, "bad.heic", data.getvalue()[: len(data.getvalue()) // 2])


@kind("photos", 0, left_out("bad.dng", "a RAW file; export it as JPEG, PNG or TIFF"))
def raw_file(place: Place) -> list[str]:
    return _added(place, "bad.dng", b"II*\0" + b"\0" * 500)


@kind("photos", 0, left_out("d.jpg", "the same file as a.jpg"))
def duplicate_photos(place: Place) -> list[str]:
    shutil.copy(place.photos / "a.jpg", place.photos / "d.jpg")
    return place.command


@kind("photos", 2, "Of 3 photos, 1 can be used", "the same file as a.jpg")
def all_photos_equal(place: Place) -> list[str]:
    for name in ("b.jpg", "c.jpg"):
        shutil.copy(place.photos / "a.jpg", place.photos / name)
    return place.command


def _mask(place: Place, name: str, size: tuple[int, int], value: int) -> list[str]:
    (place.photos / "masks").mkdir()
    Image.new("L", size, value).save(place.photos / "masks" / name)
    return place.command


@kind("photos", 2, "The mask", "a.png is 50x400, but its photo", "Draw masks on the upright photo")
def mask_of_another_shape(place: Place) -> list[str]:
    return _mask(place, "a.png", (50, 400), 255)


@kind("photos", 0, left_out("a.jpg", "masked everywhere"))
def black_mask(place: Place) -> list[str]:
    return _mask(place, "a.png", _image(place).size, 0)


@kind("photos", 2, "The mask", "a.png cannot be used: not an image that can be decoded")
def text_as_mask(place: Place) -> list[str]:
    (place.photos / "masks").mkdir()
    (place.photos / "masks" / "a.png").write_text("white")
    return place.command


@kind("photos", 2, "No mask in", "is named after a photo")
def masks_of_other_photos(place: Place) -> list[str]:
    folder = place.photos.with_name("masks")
    folder.mkdir()
    Image.new("L", (90, 60), 255).save(folder / "IMG_9.png")
    return [*place.command, "--photos.masks", str(folder)]


def clip(path: Path, frames: int) -> None:
    """A film of moving texture."""
    noise = np.random.default_rng(0).uniform(0, 255, (120, 200, 3)).astype(np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 2).astype(np.uint8)
    shots = [texture[:, 4 * k : 4 * k + 160] for k in range(frames)]
    imageio.imwrite(path, np.stack(shots), fps=24, macro_block_size=8, ffmpeg_log_level="error")


@kind("photos", 0, left_out("bad.mp4", "not a video that can be decoded"))
def cut_video(place: Place) -> list[str]:
    clip(place.photos / "bad.mp4", 10)
    data = (place.photos / "bad.mp4").read_bytes()
    return _added(place, "bad.mp4", data[: len(data) // 2])


@kind("photos", 0, whole=(0, 1))
def video_of_one_frame(place: Place) -> list[str]:
    clip(place.photos / "d.mp4", 1)
    return place.command


@kind("photos", 0, left_out("bad.mp4", "not a video that can be decoded"))
def video_of_sound_alone(place: Place) -> list[str]:
    tone = ["-f", "lavfi", "-i", "sine=duration=1", "-v", "error", "-nostdin", "-y", str(place.photos / "bad.mp4")]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *tone], check=True)
    return place.command


@kind("photos", 0, left_out("bad.mp4", "not a video that can be decoded"))
def playlist_named_mp4(place: Place) -> list[str]:
    """It names a host that does not answer."""
    return _added(place, "bad.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://192.0.2.1/a.ts\n")
