"""Sixty small scenes for the trials of the batch: synthetic rooms, subsets of real sets, and six that are bad in
different ways: python -m tests.benchmarks.batch_scenes FOLDER"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from data.gallery import generate, write_scene
from data.photosets import data_root

SIZE = (400, 300)
VIEWS = 3
BAD = ("bad-empty", "bad-icons", "bad-no-image", "bad-one-photo", "bad-truncated", "bad-unrelated")


def make(folder: Path, good: int = 54) -> list[str]:
    """Writes the scenes that are absent; returns the names of all."""
    real = _real_subsets(good // 3)
    rooms = range(good - len(real))
    for seed in rooms:
        if not (folder / f"room-{seed:02}").exists():
            write_scene(generate(seed, views=VIEWS, size=SIZE), folder / f"room-{seed:02}")
    for name, photos in real.items():
        _shrink(photos, folder / name / "images", SIZE[0])
    first = folder / "room-00" / "images"
    _make_bad(folder, sorted(first.iterdir()))
    return sorted(path.name for path in folder.iterdir())


def _real_subsets(count: int) -> dict[str, list[Path]]:
    """Neighbouring photos of real sets; none where the sets are absent."""
    found: dict[str, list[Path]] = {}
    for photo_set in sorted((data_root() / "views").glob("*")):
        photos = sorted((photo_set / "images").glob("*"))
        for start in range(0, len(photos) - VIEWS + 1, 2):
            if photo_set.name.startswith(("strecha", "lund", "real")):
                found[f"{photo_set.name}-{start:02}"] = photos[start : start + VIEWS]
    names = sorted(found)
    return {name: found[name] for name in names[:: max(1, len(names) // max(count, 1))][:count]}


def _shrink(photos: list[Path], folder: Path, long_side: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        if not (folder / photo.name).exists():
            with Image.open(photo) as image:
                image.thumbnail((long_side, long_side))
                image.save(folder / photo.name, quality=92, exif=image.getexif())


def _make_bad(folder: Path, photos: list[Path]) -> None:
    for name in BAD:
        (folder / name).mkdir(parents=True, exist_ok=True)
    if any((folder / "bad-unrelated").iterdir()):
        return
    noise = np.random.default_rng(0)
    for number, photo in enumerate(photos):
        _shrink([photo], folder / "bad-icons", 16)
        (folder / "bad-no-image" / photo.name).write_text("no image")
        (folder / "bad-truncated" / photo.name).write_bytes(photo.read_bytes()[:500])
        pixels = noise.integers(0, 255, (75, 100, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(SIZE, Image.Resampling.NEAREST).save(folder / "bad-unrelated" / f"{number}.png")
    (folder / "bad-one-photo" / photos[0].name).write_bytes(photos[0].read_bytes())


if __name__ == "__main__":
    print("\n".join(make(Path(sys.argv[1]))))
