"""Points for poses that are known, and photos added to them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Float

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.mapping import (
    Candidate,
    Sensors,
    mapping_options,
    read_candidate,
    working_cameras,
    write_database,
)

_MIN_ANGLE_DEG = 0.5
"""Given poses can be trusted with a smaller baseline than those that mapping still has to find."""


def map_around(
    graph: MatchGraph,
    sensors: Sensors,
    focals: Float[np.ndarray, " L"],
    poses: Mapping[int, Float[np.ndarray, "4 4"]],
    start: str,
    seed: int,
    tolerance_px: float | None = None,
) -> list[Candidate]:
    """At most one model, in the frame of the given poses, which stay.

    Args:
        focals: of each lens in working pixels.
        poses: camera to world, by photo; the lenses of these photos are `exact`.
        tolerance_px: the poses are only as good as this (working pixels) and may be moved later; None: they are exact.
    """
    options = mapping_options(seed, sensors)
    options.triangulation.min_angle = options.mapper.filter_min_tri_angle = _MIN_ANGLE_DEG
    if tolerance_px is not None:
        options.mapper.filter_max_reproj_error = tolerance_px
        options.triangulation.complete_max_reproj_error = options.triangulation.merge_max_reproj_error = tolerance_px
        angle = float(np.degrees(np.arctan(tolerance_px / focals.min())))
        options.triangulation.create_max_angle_error = options.triangulation.continue_max_angle_error = angle
    options.fix_existing_frames = options.mapper.fix_existing_frames = True
    with tempfile.TemporaryDirectory(prefix="fewview-") as folder:
        model = _triangulate(graph, sensors, focals, poses, options, Path(folder))
        if len(poses) < len(graph.photos) and model.num_points3D():
            before = Path(folder) / "before"
            model.write(before)
            extended = pycolmap.incremental_mapping(
                Path(folder) / "database.db", folder, folder, options, input_path=before
            )
            model = max(extended.values(), key=lambda found: found.num_reg_images(), default=model)
    candidate = read_candidate(model, sensors, start, held=poses.keys() if tolerance_px is None else ())
    return [] if candidate is None else [candidate]


def triangulate(
    graph: MatchGraph,
    sensors: Sensors,
    focals: Float[np.ndarray, " L"],
    poses: Mapping[int, Float[np.ndarray, "4 4"]],
    start: str,
    seed: int,
) -> Candidate | None:
    """The points of all matches between posed photos; None where there are none."""
    with tempfile.TemporaryDirectory(prefix="fewview-") as folder:
        model = _triangulate(graph, sensors, focals, poses, mapping_options(seed, sensors), Path(folder))
    return read_candidate(model, sensors, start)


def _triangulate(
    graph: MatchGraph,
    sensors: Sensors,
    focals: np.ndarray,
    poses: Mapping[int, np.ndarray],
    options: pycolmap.IncrementalPipelineOptions,
    folder: Path,
) -> pycolmap.Reconstruction:
    """Leaves the database of the matches in `folder`."""
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    (folder / "before").mkdir()
    write_database(folder / "database.db", graph, sensors, focals)
    model = pycolmap.Reconstruction()
    for camera in working_cameras(sensors, focals):
        model.add_camera_with_trivial_rig(camera)
    for i in sorted(poses):
        xy = graph.keypoints[i] * sensors.scale[i]
        image = pycolmap.Image(f"{i:06d}", xy, int(sensors.sensor[i]) + 1, i + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(invert_rigid(poses[i])[:3]))
    return pycolmap.triangulate_points(
        model, folder / "database.db", folder, folder / "before", options=options, refine_intrinsics=False
    )
