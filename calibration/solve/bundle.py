"""Bundle adjustment of a rig: poses, lenses, clocks and the joints of the sampled poses.

Levenberg-Marquardt with Geman-McClure weights. The joints of one pose are eliminated together (Schur complement),
because bone lengths tie them to each other but to no other pose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from fewview.calibration.solve.lens import Lenses, Projection, project, project_with_derivatives
from fewview.calibration.tracks.sample import Sample
from fewview.recon.geometry.least_squares import GemanMcClure, Groups, NormalEquations, levenberg_marquardt

POSE, FOCAL, DISTORTION, CLOCK = slice(0, 6), 6, slice(7, 12), 12
"""Columns of a camera: rotation (left, camera axes), translation, log focal, distortion, one clock per take."""
_ITERATIONS = 15
_CONVERGED = 1e-4
"""Relative decrease of the cost at which a round ends."""


@dataclass(frozen=True)
class State:
    """All that is adjusted. x_camera = R x_world + t."""

    lenses: Lenses
    R: Float[np.ndarray, "C 3 3"]
    t: Float[np.ndarray, "C 3"]
    offsets_s: Float[np.ndarray, "C T"]
    points: Float[np.ndarray, "K J 3"]
    """NaN where unknown."""

    @property
    def centers(self) -> Float[np.ndarray, "C 3"]:
        return -np.einsum("cji,cj->ci", self.R, self.t)


@dataclass(frozen=True)
class Bones:
    """Pairs of joints at a fixed distance; bones of one kind (left and right) are equally long."""

    joints: Int[np.ndarray, "B 2"]
    kind: Int[np.ndarray, " B"]
    weight: float
    deviation: float
    """Of the logarithm of the length: detectors place joints differently from pose to pose."""


@dataclass(frozen=True)
class Prior:
    """Gaussian beliefs about the cameras, and what stays as it is."""

    log_focal: Float[np.ndarray, " C"]
    focal_deviation: float
    """Of log focal from `log_focal`."""
    shared_deviation: float
    """Of log (focal / long side) from the mean of all cameras."""
    distortion_deviation: Float[np.ndarray, " 5"]
    clock_deviation_s: float
    fixed: np.ndarray
    """(C, 12 + T) bool: columns that keep their values."""


@dataclass(frozen=True)
class Robust:
    """One round: the scale of the Geman-McClure kernel in standard deviations, and the columns that are free."""

    scale: float
    free: tuple[bool, bool, bool, bool]
    """Pose, focal, distortion, clock."""


def in_cameras(state: State) -> Float[np.ndarray, "C K J 3"]:
    """Points in camera axes."""
    flat = state.points.reshape(-1, 3)
    X = np.einsum("cij,nj->cni", state.R, flat) + state.t[:, None]
    return X.reshape(len(state.R), *state.points.shape)


def residuals(state: State, sample: Sample) -> Float[np.ndarray, "C K J 2"]:
    """Reprojection minus observation (moved to the current clocks), in standard deviations; NaN where unseen."""
    camera = np.arange(len(state.R))[:, None, None]
    xy = project(state.lenses, camera, in_cameras(state))
    r = (xy - _observed(state, sample)) / sample.sigma[:, :, None, None]
    r[~sample.seen] = np.nan
    return r


def _observed(state: State, sample: Sample) -> np.ndarray:
    shift = (state.offsets_s - sample.offsets_s)[:, sample.take]
    return sample.xy - sample.velocity * shift[:, :, None, None]


class _Problem:
    def __init__(self, sample: Sample, prior: Prior, bones: Bones | None, robust: Robust) -> None:
        self.sample, self.prior, self.bones = sample, prior, bones
        self.kernel = GemanMcClure(robust.scale)
        cameras, takes = sample.offsets_s.shape
        self.D = CLOCK + takes
        free = np.zeros((cameras, self.D), bool)
        pose, focal, distortion, clock = robust.free
        free[:, POSE], free[:, FOCAL], free[:, DISTORTION], free[:, CLOCK:] = pose, focal, distortion, clock
        self.columns = np.flatnonzero(free.any(axis=0))
        # Distortion that the prior pins is not worth its columns.
        pinned = np.flatnonzero(prior.distortion_deviation < 1e-6) + DISTORTION.start
        self.columns = self.columns[~np.isin(self.columns, pinned)]
        self.free = (free & ~prior.fixed)[:, self.columns]

    def cost(self, state: State) -> float:
        r = residuals(state, self.sample)
        r2 = np.nan_to_num((r * r).sum(axis=-1), nan=0.0)
        total = float((self.sample.weight * self.kernel.cost(r2)).sum())
        if self.bones is not None:
            b, present, _, _ = self._bone_residuals(state)
            total += 0.5 * self.bones.weight * float((b[present] ** 2).sum())
        gradient = self._prior(state)
        return total + gradient[2]

    def _bone_residuals(self, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        assert self.bones is not None
        i, j = self.bones.joints.T
        d = state.points[:, j] - state.points[:, i]
        length = np.linalg.norm(d, axis=-1)
        present = np.isfinite(length) & (length > 0)
        log = np.log(np.where(present, length, 1.0))
        mean = np.zeros_like(log)
        # The mean length of a kind within a person (and take: a person's number means nothing beyond it).
        who = self.sample.take * (self.sample.person.max() + 1) + self.sample.person
        for person in np.unique(who):
            rows = np.flatnonzero(who == person)
            for kind in np.unique(self.bones.kind):
                block = np.ix_(rows, np.flatnonzero(self.bones.kind == kind))
                if present[block].any():
                    mean[block] = np.median(log[block][present[block]])
        b = np.clip((log - mean) / self.bones.deviation, -3, 3)
        present &= np.abs(b) < 3
        return b, present, d, length

    def _prior(self, state: State) -> tuple[np.ndarray, np.ndarray, float]:
        """Gradient (C, D), Hessian (C D, C D) and cost of the beliefs."""
        p = self.prior
        C = len(state.R)
        g = np.zeros((C, self.D))
        h = np.zeros((C, self.D))
        focal = (state.lenses.log_focal - p.log_focal) / p.focal_deviation
        g[:, FOCAL] = focal / p.focal_deviation
        h[:, FOCAL] = 1 / p.focal_deviation**2
        held = np.maximum(p.distortion_deviation, 1e-6)
        k = state.lenses.distortion / held
        k = np.where(p.fixed[:, DISTORTION], 0, k)
        g[:, DISTORTION], h[:, DISTORTION] = k / held, 1 / held**2
        clock = (state.offsets_s - self.sample.offsets_s) / p.clock_deviation_s
        g[:, CLOCK:], h[:, CLOCK:] = clock / p.clock_deviation_s, 1 / p.clock_deviation_s**2
        H = np.diag(h.ravel())
        relative = state.lenses.log_focal - np.log(state.lenses.size.max(axis=1))
        centred = np.eye(C) - 1 / C
        shared = centred @ relative
        g[:, FOCAL] += shared / p.shared_deviation**2
        at = np.arange(C) * self.D + FOCAL
        H[np.ix_(at, at)] += centred / p.shared_deviation**2
        cost = 0.5 * float(
            (focal**2).sum() + (k**2).sum() + (clock**2).sum() + (shared**2).sum() / p.shared_deviation**2
        )
        return g, H, cost

    def normal_equations(self, state: State) -> NormalEquations:
        """The free columns of all cameras; the joints of each pose are a group."""
        s = self.sample
        C, K, J = s.weight.shape
        known = np.isfinite(state.points[..., 0])
        X = np.nan_to_num(in_cameras(state), nan=1.0)
        P = project_with_derivatives(state.lenses, np.arange(C)[:, None, None], X)
        r = (P.xy - _observed(state, s)) / s.sigma[:, :, None, None]
        r2 = (r * r).sum(axis=-1)
        w = np.where(known, s.weight, 0) * self.kernel.weight(r2)
        root = (np.sqrt(w) / s.sigma[:, :, None])[..., None, None]
        r = r * np.sqrt(w)[..., None]
        A = root * self._camera_columns(state, P, X)
        B = root * np.einsum("ckjab,cbd->ckjad", P.by_point, state.R)
        D = A.shape[-1]
        flat = A.reshape(C, -1, D)
        U = np.zeros((C, D, C, D))
        U[np.arange(C), :, np.arange(C), :] = np.swapaxes(flat, 1, 2) @ flat
        g_camera = (np.swapaxes(flat, 1, 2) @ r.reshape(C, -1, 1))[..., 0]
        W = np.einsum("ckjax,ckjad->kjxcd", B, A, optimize=True).reshape(K, 3 * J, C * D)
        diagonal = np.einsum("ckjax,ckjay->kjxy", B, B, optimize=True)
        g_point = np.einsum("ckjax,ckja->kjx", B, r, optimize=True)
        V = np.zeros((K, J, 3, J, 3))
        joint = np.arange(J)
        V[:, joint, :, joint, :] = np.swapaxes(diagonal, 0, 1)
        if self.bones is not None:
            self._add_bones(state, V, g_point)
        g_prior, H, _ = self._prior(state)
        keep = (np.arange(C)[:, None] * self.D + self.columns).ravel()
        U = U.reshape(C * D, C * D) + H[np.ix_(keep, keep)]
        g_camera = g_camera.ravel() + g_prior[:, self.columns].ravel()
        free = np.flatnonzero(self.free.ravel())
        poses = Groups(np.arange(len(free)), V.reshape(K, 3 * J, 3 * J), W[:, :, free], g_point.reshape(K, 3 * J))
        return NormalEquations(U[np.ix_(free, free)], g_camera[free], [poses])

    def _camera_columns(self, state: State, P: Projection, X: np.ndarray) -> np.ndarray:
        s = self.sample
        all_columns = np.zeros((*X.shape[:-1], 2, self.D))
        # Rotation from the left: X -> (I + [w]) (R x) + t.
        RX = X - state.t[:, None, None]
        skew = np.zeros((*X.shape[:-1], 3, 3))
        skew[..., 0, 1], skew[..., 0, 2], skew[..., 1, 2] = RX[..., 2], -RX[..., 1], RX[..., 0]
        skew[..., 1, 0], skew[..., 2, 0], skew[..., 2, 1] = -RX[..., 2], RX[..., 1], -RX[..., 0]
        all_columns[..., 0:3] = P.by_point @ skew
        all_columns[..., 3:6] = P.by_point
        all_columns[..., FOCAL] = P.by_log_focal
        all_columns[..., DISTORTION] = P.by_distortion
        for take in range(self.D - CLOCK):
            all_columns[..., CLOCK + take] = s.velocity * (s.take == take)[:, None, None]
        return all_columns[..., self.columns]

    def _add_bones(self, state: State, V: np.ndarray, g: np.ndarray) -> None:
        assert self.bones is not None
        b, present, d, length = self._bone_residuals(state)
        n = np.where(present[..., None], d / np.where(present, length, 1)[..., None] ** 2, 0) / self.bones.deviation
        outer = self.bones.weight * n[..., :, None] * n[..., None, :]
        pull = self.bones.weight * np.where(present, b, 0)[..., None] * n
        for index, (i, j) in enumerate(self.bones.joints):
            for a, c, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
                V[:, a, :, c, :] += sign * outer[:, index]
            g[:, i] -= pull[:, index]
            g[:, j] += pull[:, index]

    def moved(self, state: State, kept: Float[np.ndarray, " N"], eliminated: list[Float[np.ndarray, "K _"]]) -> State:
        C, (dp,) = len(state.R), eliminated
        step = np.zeros(self.free.shape)
        step[self.free] = kept
        full = np.zeros((C, self.D))
        full[:, self.columns] = step
        lenses = replace(
            state.lenses,
            log_focal=state.lenses.log_focal + full[:, FOCAL],
            distortion=state.lenses.distortion + full[:, DISTORTION],
        )
        turn = Rotation.from_rotvec(full[:, :3]).as_matrix()
        return State(
            lenses,
            turn @ state.R,
            state.t + full[:, 3:6],
            state.offsets_s + full[:, CLOCK:],
            state.points + dp.reshape(state.points.shape),
        )


def adjust(state: State, sample: Sample, prior: Prior, bones: Bones | None, rounds: tuple[Robust, ...]) -> State:
    """Minimise the robust reprojection error, round after round."""
    for robust in rounds:
        problem = _Problem(sample, prior, bones, robust)
        state = levenberg_marquardt(problem, state, _ITERATIONS, _CONVERGED)
    return state
