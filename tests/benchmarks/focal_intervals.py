"""How often the stated intervals of focal lengths hold the true ones.

    python -m tests.benchmarks.focal_intervals MATCHED

MATCHED holds a folder per set of `fewview.data.photosets` with the artifacts `photos` and `matches` of all its photos.
Of each,
2, 3, 5 and 8 photos are placed: every second from a random one, consecutive ones, and random ones. What the photos
record of their lens is not used.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import fewview.recon.sfm
from fewview.data.photosets import data_root, load_photoset
from fewview.recon.errors import FewviewError
from fewview.recon.io.cameras import LensEstimate, read_cameras
from fewview.recon.photos import load_photos, save_photos
from fewview.recon.progress import LogProgress
from fewview.recon.sfm import MappingConfig
from fewview.recon.sfm.lens import ideal

COUNTS = (2, 3, 5, 8)


def choices(total: int) -> Iterator[list[int]]:
    """Which photos of a set, ascending."""
    random = np.random.default_rng(0)
    for count in (count for count in COUNTS if count <= total):
        first, after = random.integers(max(1, total - 2 * count)), random.integers(max(1, total - count))
        yield list(range(first, total, 2))[:count]
        yield list(range(after, after + count))
        yield sorted(random.choice(total, count, replace=False).tolist())


def lenses(matched: Path, names: list[str]) -> tuple[LensEstimate, ...]:
    """Those of the photos of these names, placed alone; none where they cannot be placed."""
    with tempfile.TemporaryDirectory(prefix="fewview-") as temporary:
        out = Path(temporary)
        inputs = {name: out / name for name in ("photos", "matches")}
        for name, folders in (("photos", ("images", "masks")), ("matches", ("features", "pairs"))):
            inputs[name].mkdir()
            for folder in folders:
                if (matched / name / folder).is_dir():
                    (inputs[name] / folder).symlink_to((matched / name / folder).resolve())
        photos = [photo for photo in load_photos(matched / "photos") if photo.name in names]
        save_photos(inputs["photos"], [replace(photo, focal_px=None, focal_source=None) for photo in photos])
        document = json.loads((matched / "matches" / "pairs.json").read_text(encoding="utf-8"))
        document["pairs"] = [pair for pair in document["pairs"] if {pair["a"], pair["b"]} <= set(names)]
        (inputs["matches"] / "pairs.json").write_text(json.dumps(document), encoding="utf-8")
        (out / "cameras").mkdir()
        try:
            fewview.recon.sfm.run(inputs, MappingConfig(), out / "cameras", LogProgress())
        except FewviewError:
            return ()
        return read_cameras(out / "cameras").lenses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matched", type=Path)
    held: list[bool] = []
    for matched in sorted(parser.parse_args().matched.iterdir()):
        if not (data_root() / "views" / matched.name).is_dir():
            continue
        truth = {view.name: ideal(view.camera).fx for view in load_photoset(data_root() / "views" / matched.name).views}
        names = [photo.name for photo in load_photos(matched / "photos")]
        for chosen in choices(len(names)):
            for lens in lenses(matched, [names[i] for i in chosen]):
                error = np.log(lens.focal_px / truth[lens.views[0]])
                held.append(lens.low_px <= truth[lens.views[0]] <= lens.high_px)
                print(
                    f"{matched.name}, {len(chosen)} photos: {error:+.4f}, width {lens.width:.3f}, {held[-1]}",
                    flush=True,
                )
    print(f"{sum(held)} of {len(held)} intervals hold the true focal length.")


if __name__ == "__main__":
    main()
