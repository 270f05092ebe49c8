"""Multi-view stereo for all views: coarse to fine, then rounds in which the views' estimates meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.patchmatch import PlaneMap, Schedule, half_size, match, warp_matrices
from fewview.recon.scene import PosedImage


@dataclass(frozen=True)
class StereoJob:
    """What one view is matched against."""

    sources: list[int]
    """Indices of views, best first; empty: nothing to match."""
    near: float
    """z-depth, scene units."""
    far: float


def estimate(
    views: Sequence[PosedImage],
    jobs: Sequence[StereoJob],
    *,
    geometric_rounds: int,
    seed: int,
    threads: int,
    progress: Callable[[int, int], None],
) -> list[PlaneMap | None]:
    """A plane per pixel of every view (None for a view without sources).

    Half resolution from a plane sweep, full resolution from its result, then `geometric_rounds` times two
    rounds in which the cost also asks that the sources' own estimates lead back to the pixel. Every view of
    one such round reads the previous round's estimates, so the order of the views does not matter.

    Args:
        progress: called with (done, total) units of work.
    """
    total = len(views) * (2 + geometric_rounds)
    small = [half_size(view) for view in views]
    maps: list[PlaneMap | None] = []
    for i, job in enumerate(jobs):
        maps.append(_photometric(views, small, i, job, seed, threads))
        progress(2 * i + 2, total)
    for k in range(geometric_rounds):
        before = list(maps)
        for i, job in enumerate(jobs):
            start = before[i]
            sources = [j for j in job.sources if before[j] is not None]
            if start is not None and sources:
                inverse = (1 / job.far, 1 / job.near)
                step = tol.STEP_PX / pixels_per_inverse_depth(views[i], [views[j] for j in sources], inverse)
                maps[i] = match(
                    views[i],
                    [views[j] for j in sources],
                    inverse,
                    Schedule(rounds=tol.FINE_ROUNDS, inverse_step=step, slope=tol.MEETING_SLOPE),
                    start=start,
                    source_inverse=[other.inverse for j in sources if (other := before[j]) is not None],
                    seed=_seed(seed, i, 2 + k),
                    threads=threads,
                )
            progress(2 * len(views) + k * len(views) + i + 1, total)
    return maps


def pixels_per_inverse_depth(view: PosedImage, sources: Sequence[PosedImage], inverse: tuple[float, float]) -> float:
    """How far (pixels per inverse scene unit) the image of the view's centre moves in the fastest source."""
    centre = np.array([view.camera.width / 2, view.camera.height / 2, 1.0])
    middle = 0.5 * (inverse[0] + inverse[1])
    fastest = 0.0
    for source in sources:
        m, t = warp_matrices(view, source)
        p = m @ centre + t * middle
        # A source beside or before the surface would give a meaningless speed; half the depth bounds it.
        q = max(p[2], 0.5)
        fastest = max(fastest, float(np.hypot(*(t[:2] - t[2] * p[:2] / q)) / q))
    # Views from one place show no parallax at all; any step is as good as another then.
    return max(fastest, 1.0 / (inverse[1] - inverse[0]))


def _photometric(
    views: Sequence[PosedImage], small: Sequence[PosedImage], i: int, job: StereoJob, seed: int, threads: int
) -> PlaneMap | None:
    if not job.sources:
        return None
    inverse = (1 / job.far, 1 / job.near)
    coarse_sources = [small[j] for j in job.sources]
    speed = pixels_per_inverse_depth(small[i], coarse_sources, inverse)
    planes = int(np.clip(np.ceil((inverse[1] - inverse[0]) * speed), tol.MIN_PLANES, tol.MAX_PLANES))
    coarse = match(
        small[i],
        coarse_sources,
        inverse,
        Schedule(
            rounds=tol.COARSE_ROUNDS,
            planes=planes,
            explore_rounds=tol.COARSE_ROUNDS // 2,
            inverse_step=(inverse[1] - inverse[0]) / planes,
        ),
        seed=_seed(seed, i, 0),
        threads=threads,
    )
    camera = views[i].camera
    return match(
        views[i],
        [views[j] for j in job.sources],
        inverse,
        Schedule(rounds=tol.FINE_ROUNDS, inverse_step=tol.STEP_PX / speed, slope=tol.FINE_SLOPE),
        start=coarse.upsampled(camera.width, camera.height),
        seed=_seed(seed, i, 1),
        threads=threads,
    )


def _seed(seed: int, view: int, phase: int) -> int:
    return (seed * 1_000_003 + view * 64 + phase) & 0xFFFFFFFFFFFFFFFF
