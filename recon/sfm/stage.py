"""The stage's course: several starting focals, the best model, refinement, verdicts, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from fewview.recon.camera_source import parse_source
from fewview.recon.io.cameras import CameraSet, Verdict
from fewview.recon.io.colmap import write_camera_exports
from fewview.recon.marker import find_tags
from fewview.recon.photos import Photo, load_photos
from fewview.recon.progress import Progress
from fewview.recon.scale import Scale, normal
from fewview.recon.sfm import MappingConfig, MappingFacts
from fewview.recon.sfm.advice import bare_sides, overlaps, what_next
from fewview.recon.sfm.evidence import agreements
from fewview.recon.sfm.files import make_points, make_views
from fewview.recon.sfm.focals import (
    GUESS_DEG,
    focal_sources,
    focals_at,
    known_focals,
    lens_estimates,
    starts,
    uncertain,
)
from fewview.recon.sfm.frame import normalise, scaled
from fewview.recon.sfm.graph import MatchGraph, load_graph
from fewview.recon.sfm.kinds import from_one_spot
from fewview.recon.sfm.known import MIN_POSES, Known, join_known
from fewview.recon.sfm.lens import to_ideal
from fewview.recon.sfm.lenses import by_evidence, each_its_own
from fewview.recon.sfm.mapping import Candidate, Sensors, find_sensors
from fewview.recon.sfm.near import refine_near
from fewview.recon.sfm.placing import Placed, Placing, probabilities, settle
from fewview.recon.sfm.pointmaps import (
    Pointmaps,
    believed_pairs,
    hardly_matched,
    load_pointmaps,
    near_pointmaps,
    posed,
    with_points,
)
from fewview.recon.sfm.printed import from_one, from_page
from fewview.recon.sfm.reasons import UNSUPPORTED, no_model, why_left_out
from fewview.recon.sfm.refine import without_photo
from fewview.recon.sfm.scale import known_scale, parse_length


# The matrices are small: threads that wait for each other take longest, most of all beside other work.
@threadpool_limits.wrap(limits=1, user_api="blas")
def place_photos(
    photos_folder: Path,
    matches_folder: Path,
    pointmaps_folder: Path | None,
    config: MappingConfig,
    out: Path,
    progress: Progress,
) -> None:
    """See `fewview.recon.sfm.run`."""
    source = parse_source(config.source)
    graph = load_graph(photos_folder, matches_folder)
    known = join_known(graph.photos, source.path if source.kind == "known" else None, config.intrinsics)
    graph = _ideal_graph(graph, known)
    sensors = find_sensors(graph, config.working_px, known.cameras)
    fates: dict[int, str] = {}
    best, kind, why, seen = None, source.kind, source.reason(), None
    if pointmaps_folder is not None:
        seen = load_pointmaps(pointmaps_folder, graph)
        best, graph = _map_seen(graph, sensors, seen, known, config, fates, progress)
        if best is None:
            kind, why, seen = "matching", "what the photos share contradicts the poses of the pointmaps", None
            progress.fallback("the poses of the pointmaps", "matching", why)
    if best is None:
        placed = _map_matched(graph, sensors, known, config, progress)
        best, sensors, fates = placed.model, placed.sensors, placed.fates
    if len(best.photos) < 2:
        raise no_model(graph)
    _doubt_given(best, graph, sensors, config, progress)
    prior = Placing(graph, known, config).prior(best, sensors)
    found, judged = probabilities(best, prior, graph, sensors, config)
    # Where poses come from pointmaps or the user, matches are not all that speaks for them.
    probable = {i: found.get(i, 0.0) for i in best.photos if seen is None and i not in known.poses}
    best, scale = _in_frame(best, known, seen, sensors, graph, config)
    if config.scale is None and known.scale.units != "metre":
        best, scale = _by_page(best, scale, known, sensors, graph, photos_folder, progress)
    cameras = CameraSet(
        views=make_views(best, sensors, graph, known.cameras),
        units=scale.units,
        scale_source=scale.source,
        scale_interval=scale.interval,
        prior=kind,
        verdicts=_verdicts(load_photos(photos_folder, excluded=True), graph, best, sensors, fates, known, probable),
        given=tuple(graph.photos[i].name for i in best.photos if i in known.poses),
        advice=tuple(what_next(best, graph, sensors)),
        lenses=lens_estimates(best, prior, sensors, graph),
    )
    write_camera_exports(out, cameras, make_points(best, sensors, graph, known.cameras, photos_folder))
    progress.tell(MappingFacts(probability=round(judged.belief.whole, 4)))
    _say(graph, best, sensors, known, why, cameras, progress)


def _ideal_graph(graph: MatchGraph, known: Known) -> MatchGraph:
    """With the keypoints of photos whose intrinsics are given as an ideal pinhole would see them."""
    keypoints = [to_ideal(xy, known.cameras[i]) if i in known.cameras else xy for i, xy in enumerate(graph.keypoints)]
    return replace(graph, keypoints=keypoints)


def _map_matched(
    graph: MatchGraph, sensors: Sensors, known: Known, config: MappingConfig, progress: Progress
) -> Placed:
    turned = all(pair.model in ("none", "panoramic") for pair in graph.pairs)
    if not known.poses and (turned or from_one_spot(graph)):
        raise no_model(graph)  # mapping would make depth of the noise
    placing = Placing(graph, known, config)
    recorded = known_focals(graph, sensors, known)
    begin = starts(sensors, recorded, config.fields_of_view_deg)
    shared = placing.map(sensors, begin, progress)
    if shared is not None:
        return by_evidence(shared, placing, progress)
    own = each_its_own(sensors, begin, placing, progress)
    if own is None:
        raise no_model(graph)
    return own


def _map_seen(
    graph: MatchGraph,
    sensors: Sensors,
    seen: Pointmaps,
    known: Known,
    config: MappingConfig,
    fates: dict[int, str],
    progress: Progress,
) -> tuple[Candidate | None, MatchGraph]:
    """Settled around the poses of pointmaps, and with what pairs; what contradicts the matches is mapped from these.

    None where no two poses stand.
    """
    near = near_pointmaps(seen, sensors, known_focals(graph, sensors, known), focals_at(sensors, GUESS_DEG))
    while len(near.poses) >= MIN_POSES:
        maps = {i: seen.maps[i] for i in near.poses}
        used = believed_pairs(graph, sensors, near)
        alone = hardly_matched(used, maps)
        refined = refine_near(used, sensors, near, config.max_error_px, config.seed)
        if refined is None and len(alone) < len(maps):
            break  # what the photos share is beside every pose
        best = posed(near, sensors)
        if refined is not None:
            model, prior = refined
            # What hardly shares anything stays where it is: matches say nothing for or against it.
            held = np.isin(model.photos, alone)
            model = replace(model, bundle=replace(model.bundle, held=held))
            best = settle(model, prior, used, sensors, config, fates)
            best = replace(best, bundle=replace(best.bundle, held=np.zeros(len(best.photos), bool)))
        best = with_points(best, maps, alone, sensors, known.cameras)
        for i in alone:
            k = best.photos.index(i)
            if (best.bundle.image == k).sum() < config.min_observations:
                fates[i] = UNSUPPORTED
                best = without_photo(best, i)
        stays = {i: T for i, T in near.poses.items() if i in best.photos}
        if len(stays) == len(near.poses):
            return best, used
        for i in sorted(near.poses.keys() - stays):
            name = graph.photos[i].name
            progress.fallback(f"the pose that the pointmap of {name} has", "what the matches say of it", fates[i])
        near = replace(near, poses=stays)
    return None, graph


def _doubt_given(
    best: Candidate, graph: MatchGraph, sensors: Sensors, config: MappingConfig, progress: Progress
) -> None:
    """Say which given poses the matches contradict; they stay as they are."""
    against = [one.pair for one in agreements(best, graph, sensors, config.max_error_px) if one.contradicts]
    held = {i for i, is_held in zip(best.photos, best.bundle.held, strict=True) if is_held}
    doubted = [(graph.photos[p.a].name, graph.photos[p.b].name) for p in against if p.a in held and p.b in held]
    if doubted:
        progress.tell(MappingFacts(doubted_given=tuple(doubted)))
        listed = ", ".join(f"{a} and {b}" for a, b in doubted)
        progress.note(f"What these photos share contradicts their given poses, which were kept: {listed}.")


def _in_frame(
    best: Candidate,
    known: Known,
    seen: Pointmaps | None,
    sensors: Sensors,
    graph: MatchGraph,
    config: MappingConfig,
) -> tuple[Candidate, Scale]:
    """The model in its world frame, and what is known of its scale."""
    scale = known.scale
    if not known.poses:
        depth = float(np.median(best.bundle.in_camera()[:, 2]))
        best = replace(best, bundle=normalise(best.bundle))
        scale = Scale("unknown", "none: the median depth of the sparse points is set to 1")
        if seen is not None and seen.scale.units == "metre":
            best = replace(best, bundle=scaled(best.bundle, depth))
            scale = seen.scale
    if config.scale is None:
        return best, scale
    metres, deviation = known_scale(parse_length(config.scale), make_views(best, sensors, graph, known.cameras))
    bundle = scaled(best.bundle, metres)
    return replace(best, bundle=bundle), Scale("metre", f"given: {config.scale}", normal(deviation))


def _by_page(
    best: Candidate,
    scale: Scale,
    known: Known,
    sensors: Sensors,
    graph: MatchGraph,
    photos_folder: Path,
    progress: Progress,
) -> tuple[Candidate, Scale]:
    """In metres, where photos show the printed page that tells how long one is."""
    seen = {}
    for i in best.photos:
        image = graph.photos[i].load_image8(photos_folder)
        shrunk = np.array([graph.photos[i].width / image.shape[1], graph.photos[i].height / image.shape[0]])
        seen[graph.photos[i].name] = {tag: corners * shrunk for tag, corners in find_tags(image).items()}
    showing = [name for name, tags in seen.items() if tags]
    if not showing:
        return best, scale
    views = make_views(best, sensors, graph, known.cameras)
    printed = from_page(seen, views)
    for k, view in enumerate(views):
        if printed is None and view.name in showing:
            points = best.bundle.points[best.bundle.point[best.bundle.image == k]]
            printed = from_one(seen[view.name], view, points)
    if printed is None:
        why = "its corners do not fit one flat page, or only one photo shows it and little around it"
        progress.fallback(f"the scale of the printed page in {', '.join(showing)}", "none", why)
        return best, scale
    source = f"the printed page that {_few(printed.photos)}"
    bundle = scaled(best.bundle, printed.metres)
    return replace(best, bundle=bundle), Scale("metre", source, normal(printed.deviation))


def _few(names: Sequence[str]) -> str:
    """The photos that show something, or how many."""
    if len(names) > 3:
        return f"{len(names)} photos show"
    return f"{names[0]} shows" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} show"


def _verdicts(
    everything: list[Photo],
    graph: MatchGraph,
    best: Candidate,
    sensors: Sensors,
    fates: dict[int, str],
    known: Known,
    probable: Mapping[int, float],
) -> list[Verdict]:
    index = {photo.name: i for i, photo in enumerate(graph.photos)}
    errors, overlap = best.bundle.errors_px(), overlaps(best, graph, sensors)
    verdicts = []
    for photo in everything:
        if photo.name not in index:
            verdicts.append(Verdict(photo.name, False, photo.excluded))
            continue
        i = index[photo.name]
        if i not in best.photos:
            reason = known.misfits.get(i) or why_left_out(graph, i, best.photos, fates.get(i))
            verdicts.append(Verdict(photo.name, False, reason))
            continue
        seen = errors[best.bundle.image == best.photos.index(i)]
        error = round(float(seen.mean() / sensors.scale[i]), 4) if len(seen) else None
        probability = round(probable[i], 4) if i in probable else None
        verdicts.append(Verdict(photo.name, True, None, len(seen), error, overlap[i], probability))
    return verdicts


def _say(
    graph: MatchGraph,
    best: Candidate,
    sensors: Sensors,
    known: Known,
    why: str,
    cameras: CameraSet,
    progress: Progress,
) -> None:
    """The facts of the manifest."""
    progress.tell(
        MappingFacts(
            prior=cameras.prior,
            prior_reason=why,
            units=cameras.units,
            scale_source=cameras.scale_source,
            given_poses=len(cameras.given),
            advice=cameras.advice,
            bare_sides=tuple(bare_sides(best, graph, sensors)),
            registered=f"{len(best.photos)} of {len(graph.photos)}",
            observations=len(best.bundle.xy),
            points=len(best.bundle.points),
            reprojection_px=round(float(best.bundle.errors_px().mean()), 3),
            uncertain_focals=tuple(uncertain(cameras.lenses)),
        )
    )
    _say_lenses(graph, best, sensors, known, progress)
    for sentence in uncertain(cameras.lenses):
        progress.note(sentence)
    for i, misfit in known.misfits.items():
        progress.fallback(f"the given camera of {graph.photos[i].name}", "one found from the photos", misfit)
    left_out = [graph.photos[i].name for i in range(len(graph.photos)) if i not in best.photos]
    if left_out:
        progress.note(f"Not placed: {', '.join(left_out)}.")


def _say_lenses(graph: MatchGraph, best: Candidate, sensors: Sensors, known: Known, progress: Progress) -> None:
    lenses: dict[str, list[str]] = {}
    found: dict[int, float] = {}
    for k, i in enumerate(best.photos):
        lens = int(sensors.lens[i])
        lenses.setdefault(sensors.groups[lens], []).append(graph.photos[i].name)
        found[lens] = float(np.exp(best.bundle.log_focal[best.bundle.lens[k]]))
    sources = focal_sources(graph, sensors, known_focals(graph, sensors, known), found)
    progress.tell(MappingFacts(lenses={name: tuple(photos) for name, photos in lenses.items()}, focal_source=sources))
