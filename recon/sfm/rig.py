"""Cameras calibrated from people, made exact to the pixel by what their photos share.

People are large and soft targets: the poses are good to a degree, which is many pixels. The photos' matches say more
of the angles and nothing of the scale, so both enter one adjustment, the calibration as its prior.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from fewview.recon.camera_source import parse_source
from fewview.recon.io.cameras import CameraSet, Verdict
from fewview.recon.io.colmap import write_camera_exports
from fewview.recon.photos import load_photos
from fewview.recon.progress import Progress
from fewview.recon.scene import Camera
from fewview.recon.sfm import MappingConfig, MappingFacts
from fewview.recon.sfm.files import make_points, make_views
from fewview.recon.sfm.graph import MatchGraph, load_graph
from fewview.recon.sfm.known import Known, join_known
from fewview.recon.sfm.lens import ideal, to_ideal
from fewview.recon.sfm.mapping import Candidate, Sensors, find_sensors
from fewview.recon.sfm.near import Deviations, Near, refine_near
from fewview.recon.sfm.reasons import no_model

# Rigs found from people are better in shape than their single centres are: on a real one, deviations of .05 for centres
# let a few matches on one plane move cameras by twice their error, .01 halved the error that is left of rotations.
DEVIATIONS = Deviations(rotation_deg=0.5, center=0.01, log_focal=0.02)
TOLERANCES_PX = (30.0, 8.0)
"""Reprojection errors (working pixels) up to which matches are believed: at first, and once poses were moved."""


def place_rig(
    photos_folder: Path, matches_folder: Path, motion_folder: Path, config: MappingConfig, out: Path, progress: Progress
) -> None:
    """See `fewview.recon.sfm.run`: the photos are pictures of a rig's cameras, and named like them."""
    graph = load_graph(photos_folder, matches_folder)
    known = join_known(graph.photos, motion_folder, None)
    keypoints = [to_ideal(xy, known.cameras[i]) if i in known.cameras else xy for i, xy in enumerate(graph.keypoints)]
    graph = replace(graph, keypoints=keypoints)
    sensors = find_sensors(graph, config.working_px, known.cameras)
    found = refine_rig(graph, sensors, known, config.max_error_px, config.seed)
    if found is None:
        raise no_model(graph)
    focals = {i: float(np.exp(found.bundle.log_focal[found.bundle.lens[k]])) for k, i in enumerate(found.photos)}
    lenses = {i: refocused(camera, focals[i] / sensors.scale[i]) for i, camera in known.cameras.items() if i in focals}
    views = make_views(found, sensors, graph, lenses)
    errors = found.bundle.errors_px()
    verdicts = []
    for photo in load_photos(photos_folder, excluded=True):
        k = next((k for k, i in enumerate(found.photos) if graph.photos[i].name == photo.name), None)
        if k is None:
            verdicts.append(Verdict(photo.name, False, photo.excluded or "Neither people nor matches place it."))
            continue
        seen = errors[found.bundle.image == k] / sensors.scale[found.photos[k]]
        error = round(float(seen.mean()), 4) if len(seen) else None
        verdicts.append(Verdict(photo.name, True, None, len(seen), error))
    cameras = CameraSet(
        views, known.scale.units, known.scale.source, "keypoints", verdicts, scale_interval=known.scale.interval
    )
    write_camera_exports(out, cameras, make_points(found, sensors, graph, lenses, photos_folder))
    moved = [
        float(np.linalg.norm(view.center - known.poses[i][:3, 3]))
        for i, view in zip(found.photos, views, strict=True)
        if i in known.poses
    ]
    progress.tell(
        MappingFacts(
            prior="keypoints",
            prior_reason=parse_source(config.source).reason(),
            units=known.scale.units,
            scale_source=known.scale.source,
            registered=f"{len(views)} of {len(graph.photos)}",
            observations=len(errors),
            points=len(found.bundle.points),
            reprojection_px=round(float(errors.mean()), 3),
            moved_from_keypoints=round(float(np.mean(moved)), 4),
        )
    )


def refine_rig(graph: MatchGraph, sensors: Sensors, known: Known, max_error_px: float, seed: int) -> Candidate | None:
    """All photos with a known pose, adjusted together, and others added; None where matches make no points at all.

    Photos that share nothing with others stay where they were.
    """
    focals = {int(sensors.lens[i]): ideal(camera).fx * sensors.scale[i] for i, camera in known.cameras.items()}
    wide = sensors.size.max()  # a guess for cameras that were not calibrated: 53 degrees
    guess = np.array([focals.get(lens, wide) for lens in range(len(sensors.groups))])
    near = Near("the rig", known.poses, focals, guess, TOLERANCES_PX, DEVIATIONS)
    refined = refine_near(graph, sensors, near, max_error_px, seed)
    return None if refined is None else refined[0]


def refocused(camera: Camera, focal_px: float) -> Camera:
    """The camera with another focal length, whose distortion bends the picture as before."""
    ratio = focal_px / ideal(camera).fx
    k1, k2, p1, p2, k3 = (*camera.distortion, 0.0, 0.0, 0.0, 0.0, 0.0)[:5]
    bent = (k1 * ratio**2, k2 * ratio**4, p1 * ratio, p2 * ratio, k3 * ratio**6)
    return replace(camera, fx=camera.fx * ratio, fy=camera.fy * ratio, distortion=bent[: len(camera.distortion)])
