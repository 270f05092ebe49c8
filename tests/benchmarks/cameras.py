"""Cameras found from few photos against true ones: placed rightly, placed wrongly, refused; and the stated probability.

    python -m tests.benchmarks.cameras --cache MATCHED --json cameras.json
    python -m tests.benchmarks.cameras --cache MATCHED --json new.json --against cameras.json

Matching is what costs, so each set is matched once, all pairs of it (`MATCHED/<set>/photos`, `matches`: the artifacts
of the stages; `--match` makes those that are missing), and the stage `cameras` runs on parts of it: 3, 5, 7 and 10
photos, evenly spaced, random, and clustered (a random photo and those most like it in position and direction). What is
finished is kept in the json file and not run again. True cameras are those of `fewview.data.photosets`. Sets that
deceive (`fewview.data.gallery.deceiving`) are made by `--deceiving`, into `MATCHED/deceiving`.

- *Right*: of the largest set of placed photos in which each photo's median error to the others is under 2 degrees of
  rotation and 5 of direction. *Wrong*: the other placed ones.
- *Placeable*: of the largest set that grows from two photos which share 30 verified matches that are right by the true
  cameras, seen under a median angle of 1.5 degrees at least, by photos that share 30 with each of two of its members.
  It does not depend on how photos are placed.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest

import fewview.recon.ingest
import fewview.recon.matching
import fewview.recon.sfm
from fewview.data.gallery.deceiving import Deceit, deceive
from fewview.data.gallery.writing import write_photoset
from fewview.data.photosets import data_root, evenly_spaced, load_photoset
from fewview.recon.errors import FewviewError
from fewview.recon.ingest import IngestConfig
from fewview.recon.io.cameras import read_cameras
from fewview.recon.matching import MatchingConfig
from fewview.recon.metrics import pair_errors
from fewview.recon.photos import Photo, load_photos, save_photos
from fewview.recon.progress import LogProgress
from fewview.recon.scene import View
from fewview.recon.sfm import MappingConfig
from fewview.recon.sfm.lens import ideal, to_ideal

KINDS = {
    "alice_buddha13": "object",
    "kitchen25": "object",
    "lund_door12": "outdoors",
    "middlebury_temple16": "object",
    "ngp_fox20": "object",
    "pi3_room8": "room",
    "real_studio24": "room",
    "strecha_castle_p19": "outdoors",
    "strecha_fountain_p11": "outdoors",
    "strecha_herzjesus_p25": "outdoors",
}
DECEIVING: tuple[Deceit, ...] = ("tower", "facade", "columns", "twins", "mosaic")
DECEIVING_SEEDS = (900,)
DECEIVING_VIEWS = 8
COUNTS = (3, 5, 7, 10)
CHOICES = ("spaced", "random", "clustered")
ROTATION_DEG, DIRECTION_DEG = 2.0, 5.0
"""Up to which errors a place is right."""
TRUE_MATCHES = 30
TRUE_ERROR_PX = 4.0
"""From the true epipolar line, in pixels of the photo shrunk to a long side of 1024: the tolerance of verification."""
PARALLAX_DEG = 1.5
LIMIT_S = 900
"""A case that takes longer counts as a crash."""

Row = dict[str, Any]


def choose(views: Sequence[View], count: int, choice: str, seed: int) -> list[int]:
    """Which photos of a set, ascending."""
    if choice == "spaced":
        return sorted(set(evenly_spaced(len(views), count)))
    random = np.random.default_rng([seed, count, len(views)])
    if choice == "random":
        return sorted(int(i) for i in random.choice(len(views), count, replace=False))
    centers = np.array([view.center for view in views])
    axes = np.array([view.T_world_camera[:3, 2] for view in views])
    first = int(random.integers(len(views)))
    distance = np.linalg.norm(centers - centers[first], axis=1)
    turn = np.arccos(np.clip(axes @ axes[first], -1, 1))
    # 30 degrees count as much as the median distance.
    unlike = distance / np.median(distance[distance > 0]) + turn / math.radians(30)
    return sorted(int(i) for i in np.argsort(unlike, kind="stable")[:count])


def restrict(artifacts: Path, names: Sequence[str], out: Path) -> dict[str, Path]:
    """The artifacts `photos` and `matches` of some photos of a set."""
    for name in ("photos", "matches"):
        (out / name).mkdir()
    kept = [photo for photo in load_photos(artifacts / "photos") if photo.name in names]
    save_photos(out / "photos", kept)
    for folder, files in (("photos", ("images", "masks")), ("matches", ("features", "pairs"))):
        for file in files:
            if (artifacts / folder / file).is_dir():
                (out / folder / file).symlink_to((artifacts / folder / file).resolve())
    document = json.loads((artifacts / "matches" / "pairs.json").read_text(encoding="utf-8"))
    document["pairs"] = [pair for pair in document["pairs"] if pair["a"] in names and pair["b"] in names]
    (out / "matches" / "pairs.json").write_text(json.dumps(document), encoding="utf-8")
    return {name: out / name for name in ("photos", "matches")}


def right_ones(
    truth: Mapping[str, Float[np.ndarray, "4 4"]], found: Mapping[str, Float[np.ndarray, "4 4"]]
) -> tuple[list[str], float, float]:
    """The photos that are placed rightly, and their mean errors (degrees) of rotation and direction to each other."""
    names = sorted(found)
    if len(names) < 2:
        return [], math.nan, math.nan
    errors = pair_errors(np.stack([truth[n] for n in names]), np.stack([found[n] for n in names]))
    count = len(names)
    rotation, direction = np.full((count, count), np.nan), np.full((count, count), np.nan)
    rotation[~np.eye(count, dtype=bool)], direction[~np.eye(count, dtype=bool)] = (
        errors.rotation_deg,
        errors.translation_deg,
    )
    for size in range(count, 1, -1):
        best: tuple[float, list[int], float, float] | None = None
        for chosen in map(list, combinations(range(count), size)):
            R, t = rotation[np.ix_(chosen, chosen)], direction[np.ix_(chosen, chosen)]
            fits = np.nanmedian(R, axis=1).max() < ROTATION_DEG and np.nanmedian(t, axis=1).max() < DIRECTION_DEG
            if fits and (best is None or np.nanmean(R) + np.nanmean(t) < best[0]):
                best = float(np.nanmean(R) + np.nanmean(t)), chosen, float(np.nanmean(R)), float(np.nanmean(t))
        if best is not None:
            return [names[i] for i in best[1]], best[2], best[3]
    return [], math.nan, math.nan


def true_matches(artifacts: Path, truth: Mapping[str, View]) -> dict[tuple[str, str], tuple[int, float, int]]:
    """Of each pair: verified matches that the true cameras allow, their median angle in degrees, and all verified."""
    photos = {photo.name: photo for photo in load_photos(artifacts / "photos")}
    keypoints = {}
    for name, photo in photos.items():
        with np.load(artifacts / "matches" / "features" / f"{photo.key}.npz") as file:
            keypoints[name] = file["keypoints"].astype(np.float64)
    found = {}
    document = json.loads((artifacts / "matches" / "pairs.json").read_text(encoding="utf-8"))
    for entry in document["pairs"]:
        a, b = photos[entry["a"]], photos[entry["b"]]
        with np.load(artifacts / "matches" / "pairs" / f"{a.key}--{b.key}.npz") as file:
            matches = file["matches"]
        xy = keypoints[a.name][matches[:, 0]], keypoints[b.name][matches[:, 1]]
        right, angle = allowed((a, b), xy, (truth[a.name], truth[b.name]))
        median = float(np.degrees(np.median(angle[right]))) if right.any() else 0.0
        found[a.name, b.name] = int(right.sum()), median, len(matches)
    return found


def allowed(
    photos: tuple[Photo, Photo], xy: tuple[np.ndarray, np.ndarray], views: tuple[View, View]
) -> tuple[np.ndarray, np.ndarray]:
    """Which matches (pixels of the photos) the true cameras allow, and the angles (radians) between their rays."""
    rays, focals = [], []
    for photo, at, view in zip(photos, xy, views, strict=True):
        camera = view.camera.resized(photo.width, photo.height)
        pinhole = ideal(camera)
        uv = (to_ideal(at, camera) - [pinhole.cx, pinhole.cy]) / pinhole.fx
        rays.append(np.column_stack([uv, np.ones(len(uv))]))
        focals.append(pinhole.fx * 1024 / max(photo.width, photo.height))
    T = views[1].T_camera_world @ views[0].T_world_camera
    R, t = T[:3, :3], T[:3, 3]
    E = np.cross(np.eye(3), t) @ R
    x, y = rays
    lines, back = x @ E.T, y @ E
    norm = np.sqrt((lines[:, :2] ** 2).sum(1) / focals[1] ** 2 + (back[:, :2] ** 2).sum(1) / focals[0] ** 2)
    near = np.abs((lines * y).sum(1)) < TRUE_ERROR_PX * norm
    turned = x @ R.T
    a, b, c = (turned**2).sum(1), (turned * y).sum(1), (y**2).sum(1)
    determinant = np.maximum(a * c - b * b, 1e-18)
    s = (b * (y @ t) - c * (turned @ t)) / determinant
    r = (a * (y @ t) - b * (turned @ t)) / determinant
    angle = np.arcsin(np.clip(np.sqrt(determinant / (a * c)), 0, 1))
    far = angle < math.radians(0.3)  # rays so close to parallel do not tell on which side they meet
    return near & (far | ((s > 0) & (r > 0))), angle


def placeable(names: Sequence[str], ties: Mapping[tuple[str, str], tuple[int, float, int]]) -> list[str]:
    """See the module."""
    shared = {frozenset(pair): (count, angle) for pair, (count, angle, _) in ties.items() if count >= TRUE_MATCHES}
    best: list[str] = []
    for pair in combinations(sorted(names), 2):
        if shared.get(frozenset(pair), (0, 0.0))[1] < PARALLAX_DEG:
            continue
        group = list(pair)
        grown = True
        while grown:
            joins = [n for n in names if n not in group and sum(frozenset((n, m)) in shared for m in group) >= 2]
            group, grown = group + joins, bool(joins)
        best = max(best, group, key=len)
    return sorted(best)


def run_case(artifacts: Path, names: Sequence[str], truth: Mapping[str, View], kept: Path | None) -> Row:
    """What the stage makes of the photos, in a process of its own: pycolmap can abort."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="fewview-") as folder:
        child = context.Process(target=_place, args=(artifacts, names, Path(folder), sender))
        child.start()
        sender.close()
        try:
            row: Row = receiver.recv() if receiver.poll(LIMIT_S) else {"crash": f"longer than {LIMIT_S} s"}
        except EOFError:
            row = {"crash": "the process ended"}
        child.kill()
        child.join()
        if kept is not None and (Path(folder) / "cameras").is_dir():
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(Path(folder) / "cameras", kept)
    poses = {name: np.array(T) for name, T in row.pop("poses", {}).items()}
    right, rotation, direction = right_ones({name: view.T_world_camera for name, view in truth.items()}, poses)
    focal = [abs(f / truth[n].camera.fx - 1) for n, f in row.pop("focals", {}).items()]
    return row | {
        "photos": list(names),
        "right": right,
        "wrong": sorted(set(poses) - set(right)),
        "rotation_deg": rotation,
        "direction_deg": direction,
        "focal_error": max(focal, default=math.nan),
    }


def _place(artifacts: Path, names: Sequence[str], folder: Path, sender: Any) -> None:
    inputs = restrict(artifacts, names, folder)
    out = folder / "cameras"
    out.mkdir()
    progress, start = LogProgress(), time.process_time()
    try:
        fewview.recon.sfm.run(inputs, MappingConfig(), out, progress)
    except FewviewError as error:
        sender.send({"refused": str(error), "seconds": time.process_time() - start})
        return
    cameras = read_cameras(out)
    photos = {photo.name: photo for photo in load_photos(inputs["photos"])}
    sender.send(
        {
            "seconds": time.process_time() - start,
            "poses": {view.name: view.T_world_camera.tolist() for view in cameras.views},
            # Of the set's photos, whose size need not be that of the true cameras' file: they are compared as shares.
            "focals": {view.name: view.camera.fx for view in cameras.views if view.name in photos},
            "probability": {
                verdict.name: verdict.probability for verdict in cameras.verdicts if verdict.probability is not None
            },
            "reasons": {verdict.name: verdict.reason for verdict in cameras.verdicts if verdict.reason},
        }
    )


def cases(sets: Sequence[str], counts: Sequence[int], choices: Sequence[str], seeds: int) -> Iterable[Row]:
    """In an order that spreads over the sets, so that a run that is cut short has seen them all."""
    for seed in range(seeds):
        for choice in choices:
            for count in counts:
                for name in sets:
                    if choice != "spaced" or not seed:
                        yield {"set": name, "count": count, "choice": choice, "seed": seed}


def tally(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts of photos, and the shares that matter."""
    photos = sum(len(row["photos"]) for row in rows)
    right, wrong = sum(len(row["right"]) for row in rows), sum(len(row["wrong"]) for row in rows)
    able = sum(len(row["placeable"]) for row in rows)
    placed = sum(len(set(row["placeable"]) & set(row["right"])) for row in rows)
    return {
        "cases": len(rows),
        "photos": photos,
        "right": right,
        "wrong": wrong,
        "refused": photos - right - wrong,
        "wrong_share": wrong / max(photos, 1),
        "placeable": able,
        "placeable_placed": placed / max(able, 1),
        "rotation_deg": float(np.nanmedian([row["rotation_deg"] for row in rows] or [np.nan])),
        "direction_deg": float(np.nanmedian([row["direction_deg"] for row in rows] or [np.nan])),
        "seconds": float(np.mean([row.get("seconds", np.nan) for row in rows])),
    }


def reliability(rows: Sequence[Row], bins: Sequence[float] = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)) -> list[Row]:
    """Of placed photos: the stated probability against the share that is right."""
    stated, right = [], []
    for row in rows:
        for name, probability in row.get("probability", {}).items():
            if name in row["right"] or name in row["wrong"]:
                stated.append(probability)
                right.append(name in row["right"])
    p, is_right = np.array(stated), np.array(right, bool)
    table = []
    for low, high in pairwise(bins):
        inside = (p >= low) & ((p < high) | (high == 1.0))
        if inside.any():
            mean, share = float(p[inside].mean()), float(is_right[inside].mean())
            table.append({"from": low, "to": high, "photos": int(inside.sum()), "stated": mean, "right": share})
    return table


def reliability_plot(lines: Sequence[Row]) -> str:
    """An SVG of `reliability`: what is stated against what is right, with Wilson's intervals of .9 and the number of
    places; on the diagonal both are the same."""
    size, margin = 320, 44

    def x(value: float) -> float:
        return margin + size * value

    def y(value: float) -> float:
        return margin / 2 + size * (1 - value)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size + 1.5 * margin:g} {size + 1.5 * margin:g}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<path d="M{x(0):g} {y(0):g}H{x(1):g}V{y(1):g}H{x(0):g}Z" fill="none" stroke="#999"/>',
        f'<path d="M{x(0):g} {y(0):g}L{x(1):g} {y(1):g}" stroke="#999" stroke-dasharray="4 3"/>',
        f'<text x="{x(0.5):g}" y="{y(0) + 32:g}" text-anchor="middle">stated probability</text>',
        f'<text transform="rotate(-90)" x="{-y(0.5):g}" y="14" text-anchor="middle">share that is right</text>',
    ]
    for value in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text x="{x(value):g}" y="{y(0) + 15:g}" text-anchor="middle">{value:g}</text>')
        parts.append(f'<text x="{x(0) - 5:g}" y="{y(value) + 4:g}" text-anchor="end">{value:g}</text>')
    for index, line in enumerate(lines):
        interval = binomtest(round(line["right"] * line["photos"]), line["photos"]).proportion_ci(0.9, "wilson")
        at, bar = x(line["stated"]), f"V{y(interval.high):.1f}"
        parts.append(f'<path d="M{at:.1f} {y(interval.low):.1f}{bar}" stroke="#2a6fb0" stroke-width="2"/>')
        parts.append(f'<circle cx="{at:.1f}" cy="{y(line["right"]):.1f}" r="4" fill="#2a6fb0"/>')
        height = y(line["right"]) + (14 if index % 2 else -6)  # neighbours must not cover each other
        parts.append(f'<text x="{at - 6:.1f}" y="{height:.1f}" text-anchor="end">{line["photos"]}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def table(rows: Sequence[Row], against: Sequence[Row] = ()) -> str:
    """Markdown, per set, count, choice and kind; the figures of `against` (the same cases) in brackets."""
    keys = {_key(row) for row in rows}
    before = [row for row in against if _key(row) in keys]
    lines = ["| | cases | photos | right | wrong | refused | placeable placed | rotation | direction | s |"]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    slices: list[tuple[str, str, Any]] = [("all", "", None)]
    for field in ("kind", "count", "choice", "set"):
        slices += [(str(value), field, value) for value in sorted({row[field] for row in rows})]
    for label, field, value in slices:
        now = tally([row for row in rows if not field or row[field] == value])
        old = tally([row for row in before if not field or row[field] == value]) if before else None
        cells = [
            _cell(now, old, name, form)
            for name, form in (
                ("cases", "{}"),
                ("photos", "{}"),
                ("right", "{}"),
                ("wrong", "{}"),
                ("refused", "{}"),
                ("placeable_placed", "{:.1%}"),
                ("rotation_deg", "{:.2f}"),
                ("direction_deg", "{:.2f}"),
                ("seconds", "{:.1f}"),
            )
        ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(now: Mapping[str, Any], old: Mapping[str, Any] | None, name: str, form: str) -> str:
    text = form.format(now[name])
    return text if old is None or name in ("cases", "photos") else f"{text} ({form.format(old[name])})"


def _key(row: Row) -> str:
    return "{set}/{count}/{choice}/{seed}".format(**row)


def make_deceiving(folder: Path) -> None:
    """Sets of which parts look alike, with seeds that the odds of ties were not fitted on."""
    for kind in DECEIVING:
        for seed in DECEIVING_SEEDS:
            name = f"{kind}_{seed}"
            if not (folder / name / "cameras.json").is_file():
                write_photoset(deceive(kind, seed, DECEIVING_VIEWS), name, folder / name)


def set_folders(data: Path, cache: Path) -> dict[str, Path]:
    """Where the photos and true cameras of each set are."""
    found = [path.parent for folder in (data, cache / "deceiving") for path in folder.glob("*/cameras.json")]
    return {folder.name: folder for folder in found}


def true_views(folder: Path, artifacts: Path) -> dict[str, View]:
    """The true cameras of those photos of a set that were matched."""
    matched = {photo.name for photo in load_photos(artifacts / "photos")}
    return {view.name: view for view in load_photoset(folder).views if view.name in matched}


def match_set(folder: Path, out: Path) -> None:
    """All pairs of a set, whatever their number."""
    import fewview.recon.matching.retrieval as retrieval

    retrieval.ALL_PAIRS = 1000
    for name in ("photos", "matches"):
        (out / name).mkdir(parents=True)
    fewview.recon.ingest.run({}, IngestConfig(photos=(folder / "images",)), out / "photos", LogProgress())
    fewview.recon.matching.run({"photos": out / "photos"}, MatchingConfig(), out / "matches", LogProgress())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of matched sets")
    parser.add_argument("--data", type=Path, default=data_root() / "views")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--against", type=Path, help="json of another run, to compare")
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--counts", nargs="*", type=int, default=COUNTS)
    parser.add_argument("--choices", nargs="*", default=CHOICES)
    parser.add_argument("--seeds", type=int, default=1, help="of random and clustered choices")
    parser.add_argument("--deceiving", action="store_true", help="make sets that deceive, and use them too")
    parser.add_argument("--match", action="store_true", help="match the sets that the cache lacks")
    parser.add_argument("--plot", type=Path, help="write an SVG of stated probabilities and what was right")
    parser.add_argument("--keep", type=Path, help="keep the artifact of each case here")
    options = parser.parse_args()
    if options.deceiving:
        make_deceiving(options.cache / "deceiving")
    folders = set_folders(options.data, options.cache)
    names = options.sets or sorted(folders)
    if options.match:
        for name in names:
            if not (options.cache / name / "matches" / "pairs.json").is_file():
                match_set(folders[name], options.cache / name)
    names = [name for name in names if (options.cache / name / "matches" / "pairs.json").is_file()]
    done: dict[str, Row] = {}
    if options.json.is_file():
        done = {_key(row): row for row in json.loads(options.json.read_text(encoding="utf-8"))["cases"]}
    truths = {name: true_views(folders[name], options.cache / name) for name in names}
    import fewview.recon.sfm.stage  # noqa: F401  the children need not import it again

    ties: dict[str, dict[tuple[str, str], tuple[int, float, int]]] = {}
    wanted = []
    for case in cases(names, options.counts, options.choices, options.seeds):
        truth = truths[case["set"]]
        if case["count"] > len(truth):
            continue
        wanted.append(_key(case))
        if _key(case) in done:
            continue
        if case["set"] not in ties:
            ties[case["set"]] = true_matches(options.cache / case["set"], truth)
        views = list(truth.values())
        chosen = [views[i].name for i in choose(views, case["count"], case["choice"], case["seed"])]
        kept = options.keep / _key(case).replace("/", "-") if options.keep else None
        row = case | {"kind": KINDS.get(case["set"], "deceiving")}
        row |= run_case(options.cache / case["set"], chosen, truth, kept)
        row["placeable"] = placeable(chosen, {k: v for k, v in ties[case["set"]].items() if set(k) <= set(chosen)})
        done[_key(case)] = row
        options.json.write_text(json.dumps({"cases": list(done.values())}, indent=1) + "\n", encoding="utf-8")
        counts = f"{len(row['right'])} right, {len(row['wrong'])} wrong of {len(chosen)}"
        able = f"{len(row['placeable'])} placeable, {row.get('seconds', math.nan):.1f} s"
        print(f"{_key(case)}: {counts}, {able}", row.get("crash", ""), flush=True)
    rows = [done[key] for key in wanted]
    against = json.loads(options.against.read_text(encoding="utf-8"))["cases"] if options.against else []
    print(table(rows, against))
    for line in reliability(rows):
        print("stated {stated:.3f} right {right:.3f} ({photos} photos)".format(**line))
    if options.plot:
        options.plot.write_text(reliability_plot(reliability(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
