"""The stage's course: read or predict, join to the photos, align, write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from fewview.recon.camera_source import CameraSource, parse_source
from fewview.recon.errors import InputError, ReconstructionError
from fewview.recon.io.cameras import CameraSet, Verdict, write_cameras
from fewview.recon.io.pointmaps import PairPoints, ViewPoints, check_pointmaps, read_pointmaps
from fewview.recon.matching.artifact import load_pairs
from fewview.recon.networks import NETWORKS
from fewview.recon.photos import Photo, load_photos, named_like
from fewview.recon.pointmaps import PointmapsFacts
from fewview.recon.pointmaps.alignment import align_pairs
from fewview.recon.pointmaps.artifact import StoredPointmap
from fewview.recon.pointmaps.maps import PlacedMap, Pointmap, make_pointmap, place_map
from fewview.recon.pointmaps.pairs import PointmapPair
from fewview.recon.progress import Progress
from fewview.recon.scene import Camera, View

K = TypeVar("K")
V = TypeVar("V")
_SCALE_INTERVAL = (0.84, 1.19)
"""Of a network's metres: a tenth is their standard deviation. (assumed, as what the user is told)"""
_LEAST = 2
"""Photos with pointmaps that can be placed to each other."""


def place_by_pointmaps(photos_folder: Path, matches: Path | None, source: str, out: Path, progress: Progress) -> None:
    """See `fewview.recon.pointmaps.run`."""
    photos, asked = load_photos(photos_folder), parse_source(source)
    views: dict[int, PlacedMap] = {}
    pairs: dict[tuple[int, int], PointmapPair] = {}
    units = set()
    for where, read in _read(asked, photos, photos_folder, matches, progress):
        if isinstance(read, ViewPoints):
            units.add(read.units)
            _add(views, _views(read, photos, photos_folder, where), where)
        else:
            _add(pairs, _pairs(read, photos, photos_folder, where), where)
    if views and pairs:
        raise InputError(
            f"{asked.path} holds both pointmaps in one world and pairwise ones.", "Give either the one or the other."
        )
    if len(units) > 1:
        raise InputError(f"The pointmaps in {asked.path} differ in their units.", "Give all the same.")
    if pairs:
        views = _aligned(pairs, photos, progress)
    if len(views) < _LEAST:
        named = f" in {asked.path}" if asked.path else ""
        raise InputError(
            f"The pointmaps{named} are of {len(views)} of the photos; {_LEAST} fix a frame and its scale.",
            f"Name them after the photos' files, such as {photos[0].name}.",
        )
    _write(out, photos, views, asked, units.pop() if units else "unknown")
    focals_px = {photos[i].name: round(views[i].focal_px, 1) for i in sorted(views)}
    progress.tell(PointmapsFacts(photos=f"{len(views)} of {len(photos)}", focal_px=focals_px))


def _read(
    asked: CameraSource, photos: Sequence[Photo], folder: Path, matches: Path | None, progress: Progress
) -> Iterator[tuple[str, ViewPoints | PairPoints]]:
    """Pointmaps and where they come from; no more than one file is in memory."""
    if asked.path is not None:
        files = asked.files()
        for done, file in enumerate(files):
            progress.step(done, len(files), "file")
            yield str(file), read_pointmaps(file)
        return
    network = NETWORKS[asked.kind]
    progress.note(network.notice())
    progress.tell(PointmapsFacts(licence=f"{network.licence}."))
    worth = _matched_pairs(matches, photos) if matches else []
    for done, arrays in enumerate(_predict(asked.kind, photos, folder, worth)):
        progress.step(done, 2 * len(worth) or 1, "prediction")
        yield network.title, check_pointmaps(arrays, network.title)


def _predict(
    name: str, photos: Sequence[Photo], folder: Path, pairs: Sequence[tuple[int, int]]
) -> Iterator[Mapping[str, np.ndarray]]:
    """Pointmaps as the files of docs/pointmaps.md hold them.

    Args:
        folder: of the `photos` artifact.
        pairs: of photos that are worth looking at together; a network that takes all at once leaves them alone.

    Raises:
        InputError: the package is not installed.
    """
    from fewview.recon.pointmaps import mapanything, mast3r  # torch takes seconds to import

    NETWORKS[name].require()
    adapters = {"mapanything": mapanything.predict, "mast3r": mast3r.predict}
    return adapters[name](NETWORKS[name].weights, photos, folder, pairs)


def _add(held: dict[K, V], more: dict[K, V], where: str) -> None:
    if held.keys() & more.keys():
        raise InputError(f"{where} holds what another file holds too.", "Leave one of the two out.")
    held |= more


def _matched_pairs(matches: Path, photos: Sequence[Photo]) -> list[tuple[int, int]]:
    """The pairs that matching looked at: all of few photos, the promising ones of many."""
    index = {photo.name: i for i, photo in enumerate(photos)}
    return [(index[pair.a], index[pair.b]) for pair in load_pairs(matches).pairs]


def _views(read: ViewPoints, photos: Sequence[Photo], folder: Path, where: str) -> dict[int, PlacedMap]:
    found = {}
    for i, k in _joined(photos, read.photos, [read.points.shape[1:3]] * len(read.photos), where).items():
        pointmap = _pointmap(read.points[k], read.confidence[k], photos[i], folder)
        try:
            found[i] = place_map(pointmap, read.Ts_world_camera[k])
        except ValueError as error:
            raise InputError(
                f"{where}, photo {photos[i].name}: {error}.",
                "Give points in the world and camera-to-world poses, OpenCV axes.",
            ) from error
    return found


def _pairs(read: PairPoints, photos: Sequence[Photo], folder: Path, where: str) -> dict[tuple[int, int], PointmapPair]:
    found: dict[tuple[int, int], PointmapPair] = {}
    shapes = {
        int(view): points.shape[1:3] for points, views in zip(read.points, read.pairs.T, strict=True) for view in views
    }
    index = {
        k: i for i, k in _joined(photos, read.photos, [shapes.get(k) for k in range(len(read.photos))], where).items()
    }
    for e, (a, b) in enumerate(read.pairs):
        if a in index and b in index:
            i, j = index[a], index[b]
            maps = [
                _pointmap(points[e], confidence[e], photos[k], folder)
                for points, confidence, k in zip(read.points, read.confidence, (i, j), strict=True)
            ]
            found[i, j] = PointmapPair(i, j, *maps)
    return found


def _pointmap(
    points: Float[np.ndarray, "H W 3"], confidence: Float[np.ndarray, "H W"], photo: Photo, folder: Path
) -> Pointmap:
    """Of what the user's mask leaves of the photo."""
    return make_pointmap(points, confidence, (photo.width, photo.height), photo.load_mask(folder))


def _joined(
    photos: Sequence[Photo], names: Sequence[str], shapes: Sequence[tuple[int, ...] | None], where: str
) -> dict[int, int]:
    """By photo, the place of its name."""
    found = {}
    for i, photo in enumerate(photos):
        fitting = named_like(photo.told, names)
        if len(fitting) != 1:
            continue
        k = fitting[0]
        height, width = shapes[k] or (1, 1)
        if (width - height) * (photo.width - photo.height) < 0:
            raise InputError(
                f"{where}: the pointmap of {photo.name} is {width}x{height}, but the upright photo "
                f"{photo.width}x{photo.height}.",
                "Make pointmaps of the upright photos.",
            )
        found[i] = k
    if not found:
        raise InputError(
            f"{where} is of other photos: it names {names[0]}, but no photo {photos[0].name}.",
            "Name the pointmaps after the photos' files.",
        )
    return found


def _aligned(
    pairs: dict[tuple[int, int], PointmapPair], photos: Sequence[Photo], progress: Progress
) -> dict[int, PlacedMap]:
    """Photos of the pairs, in one world."""
    sizes: dict[int, tuple[int, ...]] = {}
    for (i, j), pair in pairs.items():
        for view, pointmap in ((i, pair.map_i), (j, pair.map_j)):
            if sizes.setdefault(view, pointmap.weights.shape) != pointmap.weights.shape:
                raise InputError(
                    f"The pairwise pointmaps of {photos[view].name} differ in size.", "Make them all of one size."
                )
    there = sorted({view for pair in pairs for view in pair})
    place = {i: k for k, i in enumerate(there)}
    usable = [replace(pairs[i, j], i=place[i], j=place[j]) for i, j in sorted(pairs)]
    try:
        placed, left_out = align_pairs(usable, [photos[i].name for i in there])
    except ValueError as error:
        raise ReconstructionError(
            f"The pairwise pointmaps do not fit together: {error}.",
            "Give more pairs: they must tie all photos together, and each must be the first of one at least.",
        ) from error
    pairs_left_out = tuple((photos[there[i]].name, photos[there[j]].name) for i, j in left_out)
    progress.tell(PointmapsFacts(pairs=len(usable), pairs_left_out=pairs_left_out))
    return dict(zip(there, placed, strict=True))


def _write(out: Path, photos: Sequence[Photo], views: dict[int, PlacedMap], source: CameraSource, units: str) -> None:
    cameras, verdicts = [], []
    for i, photo in enumerate(photos):
        verdicts.append(Verdict(photo.name, i in views, None if i in views else "There is no pointmap of it."))
        if i not in views:
            continue
        view = views[i]
        camera = Camera(photo.width, photo.height, view.focal_px, view.focal_px, photo.width / 2, photo.height / 2)
        cameras.append(View(photo.name, camera, view.T_world_camera))
        known = view.weights > 0
        StoredPointmap(
            depth=np.where(known, view.depth, np.nan).astype(np.float32),
            confidence=np.exp(view.weights).astype(np.float32),
            x=(view.x + photo.width / 2).astype(np.float32),
            y=(view.y + photo.height / 2).astype(np.float32),
        ).save(out, photo.key)
    scale_source = f"estimated by {source.kind}, which may be wrong by a tenth" if units == "metre" else "none"
    interval = _SCALE_INTERVAL if units == "metre" else None
    write_cameras(out, CameraSet(cameras, units, scale_source, source.kind, verdicts, scale_interval=interval))
