"""The stage's course: several starting focals, the best model, refinement, verdicts, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from recon.io.cameras import CameraSet, Verdict
from recon.io.colmap import SparsePoints, write_camera_exports
from recon.photos import Photo, load_photos
from recon.progress import Progress
from recon.scene import Camera, View, invert_rigid
from recon.sfm import MappingConfig
from recon.sfm.bundle import Bundle
from recon.sfm.frame import normalise
from recon.sfm.graph import MatchGraph, load_graph
from recon.sfm.mapping import Candidate, Sensors, find_sensors, map_photos
from recon.sfm.reasons import no_model, why_left_out
from recon.sfm.refine import make_prior, refine

_GUESS_DEG = 60.0
"""Field of view that the focal prior is centred on where photos record none."""


def place_photos(
    photos_folder: Path, matches_folder: Path, config: MappingConfig, out: Path, progress: Progress
) -> None:
    """See `recon.sfm.run`."""
    graph = load_graph(photos_folder, matches_folder)
    sensors = find_sensors(graph, config.working_px)
    known = _known_focals(graph, sensors)
    if all(pair.model in ("none", "panoramic") for pair in graph.pairs):
        raise no_model(graph)  # mapping would make depth of the noise
    best = _best_candidate(graph, sensors, known, config, progress)
    if best is None:
        raise no_model(graph)
    prior = make_prior(best, sensors, known, _focals_at(sensors, _GUESS_DEG))
    mapped = set(best.photos)
    best = refine(best, prior, config.max_error_px, config.min_observations)
    if len(best.photos) < 2:
        raise no_model(graph)
    bundle = normalise(best.bundle)
    errors = bundle.errors_px()
    cameras = CameraSet(
        views=_views(bundle, best.photos, sensors, graph),
        units="unknown",
        scale_source="none: the median depth of the sparse points is set to 1",
        prior="matching",
        verdicts=_verdicts(load_photos(photos_folder, excluded=True), graph, best, bundle, errors, sensors, mapped),
    )
    write_camera_exports(out, cameras, _sparse_points(bundle, best.photos, sensors, graph, photos_folder))
    progress.fact("prior", "matching")
    progress.fact("prior_reason", "the photos come without cameras, and no other prior was asked for")
    progress.fact("focal_source", _focal_sources(sensors, known, graph))
    progress.fact("registered", f"{len(best.photos)} of {len(graph.photos)}")
    progress.fact("observations", len(errors))
    progress.fact("points", len(bundle.points))
    progress.fact("reprojection_px", round(float(errors.mean()), 3))
    left_out = [graph.photos[i].name for i in range(len(graph.photos)) if i not in best.photos]
    if left_out:
        progress.note(f"Not placed: {', '.join(left_out)}.")


def _best_candidate(
    graph: MatchGraph, sensors: Sensors, known: dict[int, float], config: MappingConfig, progress: Progress
) -> Candidate | None:
    """Map from every start; the best model by score, whichever start it comes from."""
    starts = []
    if known:
        starts.append((_focals_at(sensors, _GUESS_DEG, known), "recorded focal length"))
    if len(known) < len(sensors.groups):
        starts += [(_focals_at(sensors, angle, known), f"{angle:g} degrees") for angle in config.fields_of_view_deg]
    candidates: list[Candidate] = []
    for done, (focals, start) in enumerate(starts):
        progress.step(done, len(starts), "starting focal length")
        candidates += map_photos(graph, sensors, focals, start, config.seed)
    progress.step(len(starts), len(starts), "starting focal length")
    scores = [candidate.score(config.max_error_px) for candidate in candidates]
    progress.fact(
        "models",
        [
            {"start": c.start, "registered": s[0], "observations": s[1], "median_error_px": round(-s[2], 3)}
            for c, s in zip(candidates, scores, strict=True)
        ],
    )
    if not candidates:
        return None
    best = max(range(len(candidates)), key=lambda k: scores[k])
    progress.fact("model_chosen", candidates[best].start)
    return candidates[best]


def _known_focals(graph: MatchGraph, sensors: Sensors) -> dict[int, float]:
    """Median recorded focal length of each lens's photos, in working pixels, where there is any."""
    known = {}
    for lens in range(len(sensors.groups)):
        focals = [
            photo.focal_px * sensors.scale[i]
            for i, photo in enumerate(graph.photos)
            if sensors.lens[i] == lens and photo.focal_px is not None
        ]
        if focals:
            known[lens] = float(np.median(focals))
    return known


def _focals_at(sensors: Sensors, angle_deg: float, known: dict[int, float] | None = None) -> np.ndarray:
    """Focal length of each lens in working pixels: recorded, or by the field of view of the long side."""
    focals = np.zeros(len(sensors.groups))
    long_side = sensors.size.max(axis=1)
    focals[sensors.lens_of_sensor] = long_side / 2 / np.tan(np.radians(angle_deg / 2))
    for lens, focal in (known or {}).items():
        focals[lens] = focal
    return focals


def _focal_sources(sensors: Sensors, known: dict[int, float], graph: MatchGraph) -> dict[str, str]:
    sources = {}
    for lens, group in enumerate(sensors.groups):
        members = [photo for i, photo in enumerate(graph.photos) if sensors.lens[i] == lens]
        recorded = sorted({photo.focal_source for photo in members if photo.focal_source})
        sources[group] = ", ".join(recorded) if lens in known else "estimated from the photos"
    return sources


def _views(bundle: Bundle, photos: list[int], sensors: Sensors, graph: MatchGraph) -> list[View]:
    views = []
    for k, i in enumerate(photos):
        photo, scale = graph.photos[i], sensors.scale[i]
        focal = float(np.exp(bundle.log_focal[bundle.lens[k]]) / scale)
        cx, cy = (float(value) for value in bundle.principal[bundle.sensor[k]] / scale)
        k1 = float(bundle.k1[bundle.lens[k]])
        camera = Camera(photo.width, photo.height, focal, focal, cx, cy, (k1, 0.0, 0.0, 0.0) if k1 else ())
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = bundle.R[k], bundle.t[k]
        views.append(View(photo.name, camera, invert_rigid(T)))
    return views


def _verdicts(
    everything: list[Photo],
    graph: MatchGraph,
    best: Candidate,
    bundle: Bundle,
    errors: np.ndarray,
    sensors: Sensors,
    mapped: set[int],
) -> list[Verdict]:
    index = {photo.name: i for i, photo in enumerate(graph.photos)}
    verdicts = []
    for photo in everything:
        if photo.name not in index:
            verdicts.append(Verdict(photo.name, False, photo.excluded))
            continue
        i = index[photo.name]
        if i not in best.photos:
            verdicts.append(Verdict(photo.name, False, why_left_out(graph, i, i in mapped)))
            continue
        seen = errors[bundle.image == best.photos.index(i)]
        verdicts.append(Verdict(photo.name, True, None, len(seen), round(float(seen.mean() / sensors.scale[i]), 4)))
    return verdicts


def _sparse_points(
    bundle: Bundle, photos: list[int], sensors: Sensors, graph: MatchGraph, folder: Path
) -> SparsePoints:
    scale = sensors.scale[photos][bundle.image]
    xy = bundle.xy / scale[:, None]
    errors = bundle.errors_px() / scale
    count = np.bincount(bundle.point, minlength=len(bundle.points))
    colors = np.zeros((len(xy), 3))
    for k, i in enumerate(photos):
        seen = bundle.image == k
        colors[seen] = _colors(graph.photos[i], folder, xy[seen])
    rgb = [np.bincount(bundle.point, colors[:, c], minlength=len(bundle.points)) / count for c in range(3)]
    tracks: list[list[tuple[int, np.ndarray]]] = [[] for _ in bundle.points]
    for k, point, position in zip(bundle.image, bundle.point, xy, strict=True):
        tracks[point].append((int(k), position))
    return SparsePoints(
        xyz=bundle.points,
        rgb=np.stack(rgb, axis=1).round().astype(np.uint8),
        error_px=np.bincount(bundle.point, errors, minlength=len(bundle.points)) / count,
        tracks=tracks,
    )


def _colors(photo: Photo, folder: Path, xy: np.ndarray) -> UInt8[np.ndarray, "N 3"]:
    """Colours of the working image at pixels of the original."""
    image = photo.load_image8(folder)
    height, width = image.shape[:2]
    x = np.clip((xy[:, 0] * width / photo.width).astype(int), 0, width - 1)
    y = np.clip((xy[:, 1] * height / photo.height).astype(int), 0, height - 1)
    return image[y, x]
