"""Sixty small scenes for the trials of the batch: synthetic rooms, subsets of real sets, and six that are bad in
different ways: python -m tests.benchmarks.batch_scenes FOLDER

FOLDER/jobs.jsonl names them all, with options that take a scene through all stages in seconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from fewview.data.gallery import generate, write_scene
from fewview.data.photosets import data_root

SIZE = (400, 300)
VIEWS = 3
_TURNS = frozenset({"real_studio24-02", "real_studio24-14"})
"""At this size rightly refused: taken nearly from one spot."""
OPTIONS = (
    "--depth.long-side 128 --splat.long-side 128 --splat.steps 20 --splat.budget 3000 --mesh.long-side 128 "
    "--renders.long-side 128 --renders.seconds 1"
)
BAD = ("bad-empty", "bad-icons", "bad-no-image", "bad-one-photo", "bad-truncated", "bad-unrelated")


def make(folder: Path, good: int = 54) -> list[str]:
    """Writes the scenes that are absent, and the jobs file; returns the names of all."""
    real = _real_subsets(good // 3)
    rooms = range(good - len(real))
    for seed in rooms:
        if not (folder / f"room-{seed:02}").exists():
            write_scene(generate(seed, views=VIEWS, size=SIZE), folder / f"room-{seed:02}")
    for name, photos in real.items():
        _shrink(photos, folder / name / "images", SIZE[0])
    first = folder / "room-00" / "images"
    _make_bad(folder, sorted(first.iterdir()))
    names = [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
    jobs = [{"photos": f"{name}/images", "name": name, "preset": "fast", "options": OPTIONS} for name in names]
    (folder / "jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    return names


def _real_subsets(count: int) -> dict[str, list[Path]]:
    """Neighbouring photos of real sets; none where the sets are absent."""
    found: dict[str, list[Path]] = {}
    for photo_set in sorted((data_root() / "views").glob("*")):
        photos = sorted((photo_set / "images").glob("*"))
        for start in range(0, len(photos) - VIEWS + 1, 2):
            if photo_set.name.startswith(("strecha", "lund", "real")):
                found[f"{photo_set.name}-{start:02}"] = photos[start : start + VIEWS]
    names = sorted(found)
    chosen = [name for name in names[:: max(1, len(names) // max(count, 1))] if name not in _TURNS]
    return {name: found[name] for name in chosen[:count]}


def _shrink(photos: list[Path], folder: Path, long_side: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        if not (folder / photo.name).exists():
            with Image.open(photo) as image:
                image.thumbnail((long_side, long_side))
                image.save(folder / photo.name, quality=92, exif=image.getexif())


def _make_bad(folder: Path, photos: list[Path]) -> None:
    places = {name: folder / name / "images" for name in BAD}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    if any(places["bad-unrelated"].iterdir()):
        return
    noise = np.random.default_rng(0)
    for number, photo in enumerate(photos):
        _shrink([photo], places["bad-icons"], 16)
        (places["bad-no-image"] / photo.name).write_text("no image")
        (places["bad-truncated"] / photo.name).write_bytes(photo.read_bytes()[:500])
        pixels = noise.integers(0, 255, (75, 100, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(SIZE, Image.Resampling.NEAREST).save(places["bad-unrelated"] / f"{number}.png")
    (places["bad-one-photo"] / photos[0].name).write_bytes(photos[0].read_bytes())


if __name__ == "__main__":
    print("\n".join(make(Path(sys.argv[1]))))
