"""Global mapping by pycolmap: all rotations at once, then all positions.

Pan et al., "Global Structure-from-Motion Revisited", ECCV 2024.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Float

from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.mapping import Candidate, Sensors, read_candidate, write_database


def map_globally(
    graph: MatchGraph, sensors: Sensors, focals: Float[np.ndarray, " L"], start: str, seed: int
) -> list[Candidate]:
    """All models that global mapping finds from one choice of focal lengths (working pixels).

    It joins photos that incremental mapping cannot: those whose points no two placed photos see.
    """
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    with tempfile.TemporaryDirectory(prefix="fewview-") as folder:
        database = Path(folder) / "database.db"
        write_database(database, graph, sensors, focals)
        models = pycolmap.global_mapping(database, folder, folder, _options(seed))
    candidates = [read_candidate(models[key], sensors, start) for key in sorted(models)]
    return [candidate for candidate in candidates if candidate is not None]


def _options(seed: int) -> pycolmap.GlobalPipelineOptions:
    options = pycolmap.GlobalPipelineOptions()
    options.min_model_size = 2
    mapper = options.mapper
    # At 3 photos, two thirds of all points are seen by two of them only.
    mapper.track_min_num_views_per_track = 2
    mapper.global_positioning.min_num_view_per_track = 2
    mapper.bundle_adjustment.min_track_length = 2
    mapper.retriangulation.ignore_two_view_tracks = False
    options.random_seed = mapper.random_seed = seed
    mapper.rotation_averaging.random_seed = mapper.global_positioning.random_seed = seed
    mapper.retriangulation.random_seed = seed
    # Sums over threads come in no fixed order.
    options.num_threads = mapper.num_threads = mapper.bundle_adjustment.ceres.solver_options.num_threads = 1
    mapper.global_positioning.use_gpu = mapper.bundle_adjustment.ceres.use_gpu = False
    return options
