"""The stage `photos`: what it makes of good input, and what it says of bad input."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from fewview.recon.errors import InputError
from fewview.recon.ingest import IngestConfig, run
from fewview.recon.io.inputs import Names, natural
from fewview.recon.photos import Photo, load_photos, named_like
from fewview.recon.progress import LogProgress


def _pixels(seed: int, width: int = 96, height: int = 72) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def _photo(path: Path, seed: int, width: int = 96, height: int = 72, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_pixels(seed, width, height)).save(path, **options)
    return path


Ingest = Callable[..., list[Photo]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def ingest(out: Path) -> Ingest:
    """Runs the stage into a fresh `out`; returns all photos and leaves its progress as an attribute."""

    def call(*photos: Path, **options: object) -> list[Photo]:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        call.progress = LogProgress()  # type: ignore[attr-defined]
        run({}, IngestConfig(photos=photos, **options), out, call.progress)  # type: ignore[arg-type, attr-defined]
        return load_photos(out, excluded=True)

    return call


def _error(ingest: Ingest, *photos: Path, **options: object) -> str:
    with pytest.raises(InputError) as refused:
        ingest(*photos, **options)
    return str(refused.value)


def test_a_folder_of_everything(tmp_path: Path, out: Path, ingest: Ingest) -> None:
    folder = tmp_path / "room"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Model] = 6, "One"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 26
    _photo(folder / "IMG_10.jpg", 0, exif=exif)
    _photo(folder / "IMG_9.HEIC", 1, format="HEIF", quality=95)
    _photo(folder / "b & ü.png", 2, width=200, height=100)
    _photo(folder / "c.TIF", 3, format="TIFF")
    for name in ("notes.txt", ".DS_Store", "Thumbs.db", "cameras.json", "._IMG_10.jpg"):
        (folder / name).write_text("not a photo")
    (folder / "IMG_9.MOV").write_text("the clip of a live photo")
    (folder / "IMG_10.dng").write_text("the RAW of a developed photo")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}

    photos = ingest(folder, long_side=100)

    assert [photo.name for photo in photos] == ["b & ü.png", "c.TIF", "IMG_9.HEIC", "IMG_10.jpg"]
    assert [photo.key for photo in photos] == ["b____", "c", "IMG_9", "IMG_10"]
    assert all(photo.excluded is None for photo in photos)
    wide, _, heic, turned = photos
    assert (wide.width, wide.height) == (200, 100)
    assert wide.load_image(out).shape == (50, 100, 3)
    assert np.abs(heic.load_image8(out).astype(int) - _pixels(1)).mean() < 10
    assert (turned.width, turned.height) == (72, 96)
    assert np.abs(turned.load_image8(out).astype(int) - np.rot90(_pixels(0), -1)).mean() < 10
    assert turned.focal_px == pytest.approx(26 * 120 / np.hypot(36, 24))
    assert (turned.focal_source, turned.exif) == ("exif-35mm", {"model": "One"})
    assert turned.camera_group != wide.camera_group
    assert photos[1].camera_group == heic.camera_group == "unknown camera, unknown focal length, 96x72"
    assert turned.sha256 == hashlib.sha256((folder / "IMG_10.jpg").read_bytes()).hexdigest()
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    assert ingest.progress.fallbacks == []  # type: ignore[attr-defined]
    assert ingest.progress.facts["photos"] == {"given": 4, "used": 4}  # type: ignore[attr-defined]
    assert ingest.progress.facts["passed_over"] == {  # type: ignore[attr-defined]
        ".DS_Store": "a hidden file",
        "._IMG_10.jpg": "a hidden file",
        "cameras.json": "a .json file, no photo",
        "IMG_9.MOV": "the clip of a live photo that is there",
        "IMG_10.dng": "the RAW file of a photo that is there",
        "notes.txt": "a .txt file, no photo",
        "Thumbs.db": "a .db file, no photo",
    }


def _panorama(width: int = 400) -> np.ndarray:
    """A textured sphere as equirectangular projection: the columns close, and the rows narrow to the poles."""
    longitude = (np.arange(width) + 0.5) / width * 2 * np.pi
    latitude = np.pi / 2 - (np.arange(width // 2) + 0.5) / (width // 2) * np.pi
    x, y = (np.cos(latitude)[:, None] * turn(longitude) for turn in (np.cos, np.sin))
    z = np.sin(latitude)[:, None] + 0 * x
    waves = np.random.default_rng(3).normal(0, 9, (12, 3))
    value = sum(np.sin(a * x + b * y + c * z) for a, b, c in waves)
    return np.repeat(np.uint8(128 + 30 * np.clip(value, -4, 4))[..., None], 3, axis=2)


def test_panoramas_are_left_out_by_name_and_photos_of_their_shape_are_not(tmp_path: Path, ingest: Ingest) -> None:
    sphere = _panorama()
    Image.fromarray(sphere).save(tmp_path / "sphere.png")
    Image.fromarray(sphere[:, :300]).save(tmp_path / "said.jpg", xmp=b'GPano:ProjectionType="equirectangular"')
    Image.fromarray(np.roll(sphere, 7, axis=0)[:, 20:220][:100]).save(tmp_path / "wide.png")
    _photo(tmp_path / "other.png", 1)
    reasons = {photo.name: photo.excluded for photo in ingest(tmp_path)}
    refused = "a panorama of 360 degrees, which no lens takes; cut flat pictures out of it"
    assert reasons == {"other.png": None, "said.jpg": refused, "sphere.png": refused, "wide.png": None}


def test_same_input_same_bytes_and_no_absolute_paths(tmp_path: Path, out: Path, ingest: Ingest) -> None:
    def snapshot() -> dict[str, bytes]:
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    for seed in range(2):
        _photo(tmp_path / f"here/{seed}.jpg", seed)
    (tmp_path / "here/bad.jpg").write_text("words")
    ingest(tmp_path / "here")
    first = snapshot()
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    ingest(tmp_path / "there")
    assert snapshot() == first
    assert str(tmp_path).encode() not in first["views.json"]


def test_folders_files_and_videos_together(tmp_path: Path, out: Path, ingest: Ingest) -> None:
    _photo(tmp_path / "a/IMG_1.jpg", 0)
    _photo(tmp_path / "b/IMG_1.jpg", 1)
    _photo(tmp_path / "c/Img_1.png", 2)
    video = tmp_path / "clip.mp4"
    writer = imageio_ffmpeg.write_frames(str(video), (96, 72), fps=30, ffmpeg_log_level="error", macro_block_size=1)
    writer.send(None)
    for index in range(30):
        writer.send(np.ascontiguousarray(_pixels(index)))
    writer.close()

    photos = ingest(
        tmp_path / "a",
        video,
        tmp_path / "b/IMG_1.jpg",
        tmp_path / "c",
        tmp_path / "a/IMG_1.jpg",
        video_frames=3,
    )

    assert [photo.name[:5] for photo in photos] == ["clip_"] * 3 + ["IMG_1", "IMG_1", "Img_1"]
    assert [photo.name for photo in photos[3:]] == ["IMG_1.jpg", "IMG_1-2.jpg", "Img_1.png"]
    assert [photo.key for photo in photos[3:]] == ["IMG_1", "IMG_1-2", "Img_1-3"]
    frames = photos[:3]
    assert [frame.name for frame in frames] == [f"clip_{round(frame.time_s * 30):06d}.png" for frame in frames]
    assert frames[0].time_s < frames[1].time_s < frames[2].time_s
    assert {frame.sha256 for frame in frames} == {hashlib.sha256(video.read_bytes()).hexdigest()}
    assert {frame.camera_group for frame in frames} == {"clip.mp4, unknown camera, unknown focal length, 96x72"}
    assert all((out / photo.image).is_file() for photo in photos)


def test_folders_with_the_same_names_are_told_apart(tmp_path: Path, ingest: Ingest) -> None:
    rig = tmp_path / "rig"
    for number, name in enumerate(("cam0/a.jfif", "cam1/a.jfif", "cam1/b.jpg")):
        _photo(rig / name, number, format="JPEG")
    photos = ingest(rig / "cam0", rig / "cam1")
    assert [photo.name for photo in photos] == ["a.jfif", "a-2.jfif", "b.jpg"]
    told = ["cam0/a.jfif", "cam1/a.jfif", "b.jpg"]
    assert [photo.told for photo in photos] == told
    assert IngestConfig(photos=(rig / "cam0", rig / "cam1")).names() == told


@pytest.mark.parametrize(
    ("photo", "names", "places"),
    [
        ("cam0/a.jpg", ["cam1/a.jpg", "cam0/a.jpg"], [1]),
        ("cam0/a.jpg", ["rig/images/cam1/a.png", "rig/images/cam0/a.png"], [1]),
        ("cam2/a.jpg", ["cam1/a.jpg", "cam0/a.jpg"], []),
        ("cam0/a.jpg", ["a.jpg"], [0]),
        ("a.jpg", ["cam1/a.jpg", "cam0/a.jpg"], [0, 1]),
        ("r_0.jpg", ["train/r_1", "train/r_0"], [1]),
        ("frame.001.jpg", ["frame.002", "frame.001"], [1]),
        ("a.jpg", ["a.png", "images/a.jpg"], [1]),
    ],
)
def test_names_with_folders_and_without_suffix(photo: str, names: list[str], places: list[int]) -> None:
    assert named_like(photo, names) == places


def test_unusable_photos_are_left_out_and_named(tmp_path: Path, ingest: Ingest) -> None:
    folder = tmp_path / "room"
    good = _photo(folder / "a.jpg", 0)
    _photo(folder / "b.jpg", 1)
    shutil.copy(good, folder / "copy.jpg")
    (folder / "cut.jpg").write_bytes(good.read_bytes()[:-300])
    _photo(folder / "icon.png", 2, width=32, height=32)
    (folder / "raw.nef").write_text("raw")
    (folder / "video.mp4").write_text("words")
    (folder / "words.jpg").write_text("words")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")

    photos = ingest(folder)

    left_out = {photo.name: photo.excluded for photo in photos if photo.excluded is not None}
    assert left_out == {
        "copy.jpg": "the same file as a.jpg",
        "cut.jpg": "truncated",
        "gone.jpg": "cannot be read (No such file or directory)",
        "icon.png": "only 32x32 pixels; 64 are needed",
        "raw.nef": "a RAW file; export it as JPEG, PNG or TIFF",
        "video.mp4": "not a video that can be decoded",
        "words.jpg": "not an image that can be decoded",
    }
    names = {path.name for path in IngestConfig(photos=(folder,)).sources()}
    assert names == {path.name for path in folder.iterdir()} - {"gone.jpg"}
    progress: LogProgress = ingest.progress  # type: ignore[attr-defined]
    assert progress.facts["excluded"] == left_out
    assert {
        "wanted": "all photos", "used": "the photos without cut.jpg", "reason": "truncated"
    } in progress.fallbacks  # fmt: skip
    assert len(progress.fallbacks) == len(left_out)


def test_masks(tmp_path: Path, out: Path, ingest: Ingest) -> None:
    folder = tmp_path / "images"
    _photo(folder / "a.jpg", 0)
    _photo(folder / "b.jpg", 1)
    rgba = np.dstack([_pixels(2), np.full((72, 96), 255, np.uint8)])
    rgba[:, :24, 3] = 0
    Image.fromarray(rgba).save(folder / "c.png")
    left = np.full((144, 192), 255, np.uint8)
    left[:72] = 0
    (tmp_path / "masks").mkdir()
    Image.fromarray(left).save(tmp_path / "masks/a.png")
    Image.fromarray(left // 255).save(tmp_path / "masks/b.jpg.png")
    Image.fromarray(left).save(tmp_path / "masks/c.png")

    for photos in (ingest(folder), ingest(folder, masks=tmp_path / "masks")):
        for photo in photos:
            mask = photo.load_mask(out)
            assert mask is not None
            expected = np.zeros((72, 96), bool)
            expected[36:, 24 if photo.name == "c.png" else 0 :] = True
            assert np.array_equal(mask, expected), photo.name
    config = IngestConfig(photos=(folder,))
    assert [path.name for path in config.sources()] == [
        "a.jpg",
        "b.jpg",
        "c.png",
        "a.png",
        "b.jpg.png",
        "c.png",
    ]

    _photo(tmp_path / "other/z.png", 0)
    assert _error(ingest, folder, masks=tmp_path / "other") == (
        f"No mask in {tmp_path / 'other'} is named after a photo. Name the mask of IMG_1.jpg IMG_1.png."
    )
    assert _error(ingest, folder, masks=tmp_path / "no") == (
        f"There is no folder of masks {tmp_path / 'no'}. Check the path."
    )
    _photo(tmp_path / "masks/a.png", 0, width=72, height=96)
    assert _error(ingest, folder) == (
        f"The mask {tmp_path / 'masks/a.png'} is 72x96, but its photo 96x72. "
        "Draw masks on the upright photo, at its size or shrunk."
    )
    (tmp_path / "masks/a.png").write_text("words")
    assert _error(ingest, folder) == (
        f"The mask {tmp_path / 'masks/a.png'} cannot be used: not an image that can be decoded. "
        "Repair it or take it away."
    )
    Image.fromarray(left * 0).save(tmp_path / "masks/a.png")
    assert next(photo for photo in ingest(folder) if photo.name == "a.jpg").excluded == "masked everywhere"


def test_what_bad_input_is_told(tmp_path: Path, ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _error(ingest) == "No photos were named. Name a folder of photos, photos or a video."
    assert _error(ingest, tmp_path / "no") == f"There is no file or folder {tmp_path / 'no'}. Check the spelling."
    empty = tmp_path / "empty"
    empty.mkdir()
    formats = "JPEG, PNG, TIFF, HEIC, AVIF, WebP or BMP"
    assert _error(ingest, empty) == f"There are no photos in {empty}. Put {formats} files or a video there."
    (empty / "notes.txt").touch()
    assert _error(ingest, empty) == f"There are no photos in {empty}. Put {formats} files or a video there."
    assert _error(ingest, empty / "notes.txt") == (
        f"{empty / 'notes.txt'} is not a photo or a video. Name {formats} files, videos or folders."
    )
    only = _photo(empty / "within/only.jpg", 0)
    assert _error(ingest, empty) == f"There are no photos in {empty}. Name the folder within it: within."
    assert _error(ingest, only) == (
        "There is only one photo, only.jpg. Give at least 2 photos that overlap; 3 to 12 work best."
    )
    assert _error(ingest, only, only.parent) == _error(ingest, only)
    for i in range(6):
        (empty / f"within/bad{i}.jpg").write_text("words" + str(i))
    bad = "; ".join(f"bad{i}.jpg: not an image that can be decoded" for i in range(5))
    assert _error(ingest, only.parent) == (
        f"Of 7 photos, 1 can be used ({bad}; ...). Replace or repair them: at least 2 photos that overlap are needed."
    )
    assert _error(ingest, only, long_side=10) == "A long side of 10 px is too small. Ask for 64 or more."
    assert _error(ingest, only, video_frames=0) == "A video cannot give 0 frames. Ask for 1 or more."

    def deny(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # Tests may run as root, whom no permission stops.
    monkeypatch.setattr(Path, "iterdir", deny)
    assert _error(ingest, empty) == f"{empty} cannot be read: permission denied. Allow reading it, or copy it."


@given(st.lists(st.text(max_size=12).filter(lambda s: not re.search(r"[/\0]", s)), max_size=8))
def test_names_and_keys_are_unique_and_keys_are_safe(stems: list[str]) -> None:
    claimed = [Names.claim(names, f"{stem}.jpg") for names in [Names()] for stem in stems]
    for column in zip(*claimed, strict=True):
        assert len({text.casefold() for text in column}) == len(column)
    for _, key in claimed:
        assert re.fullmatch(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*", key), key


def test_natural_order() -> None:
    names = ["IMG_10", "img_9", "IMG_9b", "a", "10", "9", "IMG_010", ""]
    assert sorted(names, key=natural) == ["", "9", "10", "a", "img_9", "IMG_9b", "IMG_010", "IMG_10"]


def test_views_json_is_as_the_contract_says(tmp_path: Path, out: Path, ingest: Ingest) -> None:
    ingest(_photo(tmp_path / "a.jpg", 0), _photo(tmp_path / "b.jpg", 1))
    (entry, _) = json.loads((out / "views.json").read_text())["views"]
    assert set(entry) == {
        "name", "key", "source", "sha256", "width", "height", "image", "mask", "focal_px", "focal_source",
        "camera_group", "sharpness", "excluded", "time_s", "exif",
    }  # fmt: skip
    assert (entry["image"], entry["mask"]) == ("images/a.png", None)
