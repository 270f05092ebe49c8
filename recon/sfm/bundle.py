"""Bundle adjustment with priors on intrinsics and poses: maximum a posteriori by Levenberg-Marquardt.

Few photos do not tell focal length, principal point and distortion apart, and a free parameter that nothing
supports bends the whole scene. With priors, a parameter moves as far as the photos support it and no further.
Points are eliminated by the Schur complement (Triggs et al., "Bundle Adjustment: A Modern Synthesis", 1999,
section 6.1); outliers are held down by the Cauchy kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from fewview.recon.geometry.pose import skew

_KERNEL = 2.0
"""Scale of the Cauchy kernel in standard deviations of the noise."""
_MIN_DEPTH = 1e-9
_SAME_NOISE = 0.9
"""Ratio to the estimate of the round before from which the noise counts as settled."""
_CHUNK = 4096
"""Points that are eliminated at once, to bound the memory."""
_UNDISTORT = 8
"""Fixed-point steps to undo the distortion."""
_FREE = 1e-11
"""Eigenvalue of the scaled normal equations, relative to the largest, below which a direction is free."""
_SETTLED = 1e-5
"""Relative decrease of the cost that ends the iteration."""


@dataclass(frozen=True)
class Prior:
    """Expected intrinsics and their standard deviations; the radial coefficient k1 is expected to be 0."""

    log_focal: Float[np.ndarray, " L"]
    """Logarithm of the focal length in pixels."""
    log_focal_deviation: Float[np.ndarray, " L"]
    k1_deviation: Float[np.ndarray, " L"]
    principal: Float[np.ndarray, "S 2"]
    """Pixels."""
    principal_deviation: Float[np.ndarray, " S"]
    """Pixels."""
    poses: PosePrior | None = None


@dataclass(frozen=True)
class PosePrior:
    """Expected poses of all images, where there are any."""

    R: Float[np.ndarray, "I 3 3"]
    """World to camera."""
    center: Float[np.ndarray, "I 3"]
    rotation_deviation: Float[np.ndarray, " I"]
    """Radians, about any axis."""
    center_deviation: Float[np.ndarray, " I"]
    """Scene units, along any axis."""

    def terms(self, bundle: Bundle) -> tuple[Float[np.ndarray, "I 6"], Float[np.ndarray, "I 6 6"]]:
        """Whitened residuals of each pose, and their derivatives by its six parameters (see `jacobians`).

        The shift of the centre is measured in the camera's axes. The derivative of the rotation's logarithm is taken
        at zero, which is good to the square of the angle.
        """
        turned = np.einsum("nij,nj->ni", bundle.R, self.center)
        rotation = Rotation.from_matrix(bundle.R @ np.swapaxes(self.R, 1, 2)).as_rotvec()
        by_pose = np.zeros((len(turned), 6, 6))
        by_pose[:, :3, :3] = by_pose[:, 3:, 3:] = np.eye(3)
        by_pose[:, 3:, :3] = np.cross(turned[:, None], np.eye(3))
        deviation = np.repeat(np.stack([self.rotation_deviation, self.center_deviation], axis=1), 3, axis=1)
        residual = np.concatenate([rotation, turned + bundle.t], axis=1) / deviation
        return residual, by_pose / deviation[:, :, None]


@dataclass(frozen=True)
class Bundle:
    """I images, P points, N observations.

    Images of one camera share its lens, and its sensor (principal point) where they are of one orientation.
    """

    R: Float[np.ndarray, "I 3 3"]
    """World to camera."""
    t: Float[np.ndarray, "I 3"]
    """World to camera."""
    log_focal: Float[np.ndarray, " L"]
    k1: Float[np.ndarray, " L"]
    """Radial distortion: the image point at radius r from the principal point, in focal lengths, moves to
    r (1 + k1 r^2)."""
    fisheye: Bool[np.ndarray, " L"]
    """Lenses for which r is the angle from the axis in radians (equidistant projection; with k1 the first terms of
    OpenCV's fisheye model), not its tangent."""
    principal: Float[np.ndarray, "S 2"]
    """Pixels."""
    points: Float[np.ndarray, "P 3"]
    lens: Int[np.ndarray, " I"]
    sensor: Int[np.ndarray, " I"]
    image: Int[np.ndarray, " N"]
    point: Int[np.ndarray, " N"]
    """Ascending."""
    xy: Float[np.ndarray, "N 2"]
    """Observed, in pixels of the distorted photo."""
    held: Bool[np.ndarray, " I"]
    """Images whose pose is given and stays."""

    def only(self, keep: Bool[np.ndarray, " N"]) -> Bundle:
        """Without the other observations, and without the points that fewer than two images then see."""
        seen = np.bincount(self.point[keep], minlength=len(self.points))
        keep = keep & (seen[self.point] >= 2)
        used, point = np.unique(self.point[keep], return_inverse=True)
        return replace(self, points=self.points[used], image=self.image[keep], point=point, xy=self.xy[keep])

    def in_camera(self) -> Float[np.ndarray, "N 3"]:
        """Each observation's point in the camera's frame."""
        return np.einsum("nij,nj->ni", self.R[self.image], self.points[self.point]) + self.t[self.image]

    def rays(self, image: int, xy: Float[np.ndarray, "M 2"]) -> Float[np.ndarray, "M 3"]:
        """Viewing rays of pixels of one image, in its camera's frame: z = 1, or of unit length for a fisheye."""
        lens = self.lens[image]
        distorted = (xy - self.principal[self.sensor[image]]) / np.exp(self.log_focal[lens])
        uv = distorted
        for _ in range(_UNDISTORT if self.k1[lens] else 0):
            uv = distorted / (1 + self.k1[lens] * (uv**2).sum(axis=1, keepdims=True))
        if not self.fisheye[lens]:
            return np.column_stack([uv, np.ones(len(uv))])
        angle = np.linalg.norm(uv, axis=1)
        return np.column_stack([uv * np.sinc(angle / np.pi)[:, None], np.cos(angle)])

    def project(self, image: Int[np.ndarray, " M"], points: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "M 2"]:
        """Where images see world points that they can see, in pixels."""
        X = np.einsum("nij,nj->ni", self.R[image], points) + self.t[image]
        lens = self.lens[image]
        uv = _onto_plane(X, self.fisheye[lens])
        radial = 1 + self.k1[lens] * (uv**2).sum(axis=1)
        scale = np.exp(self.log_focal[lens]) * radial
        return uv * scale[:, None] + self.principal[self.sensor[image]]

    def in_frame(self, image: int) -> Bool[np.ndarray, " P"]:
        """Which points an image would see if nothing stood before them; its frame is about its principal point."""
        X, lens = self.points @ self.R[image].T + self.t[image], self.lens[image]
        uv = _onto_plane(X, np.broadcast_to(self.fisheye[lens], len(X))) * np.exp(self.log_focal[lens])
        before = self.fisheye[lens] | (X[:, 2] > 0)
        return before & (np.abs(uv) < self.principal[self.sensor[image]]).all(axis=1)

    def residuals(self) -> Float[np.ndarray, "N 2"]:
        """Projected minus observed, in pixels."""
        return self.project(self.image, self.points[self.point]) - self.xy

    def errors_px(self) -> Float[np.ndarray, " N"]:
        """Distance between projection and observation; infinite where the lens cannot see the point."""
        distance = np.linalg.norm(self.residuals(), axis=1)
        seen = self.fisheye[self.lens[self.image]] | (self.in_camera()[:, 2] > _MIN_DEPTH)
        return np.where(seen, distance, np.inf)

    def noise_px(self) -> float:
        """Standard deviation per axis of the observations, robustly.

        The median length of a two-dimensional normal vector is 1.177; the fit has taken up a part of the
        noise, most of it where only two images see a point.
        """
        numbers, fitted = 2 * len(self.xy), 3 * len(self.points) + 6 * len(self.R)
        share = max(1 - fitted / numbers, 0.1)
        median = float(np.median(np.linalg.norm(self.residuals(), axis=1)))
        return max(median / 1.1774 / np.sqrt(share), 1e-3)


def adjust(bundle: Bundle, prior: Prior, rounds: int = 6, iterations: int = 50) -> Bundle:
    """The most probable bundle under pixel noise and the prior.

    The noise is estimated anew in each round, until it settles: outliers spoil the first estimates.
    """
    previous = np.inf
    for _ in range(rounds):
        noise = bundle.noise_px()
        if noise > _SAME_NOISE * previous:
            break
        previous = noise
        damping, value = 1e-4, cost(bundle, prior, noise)
        for _ in range(iterations):
            step = _step(bundle, prior, noise, damping)
            candidate = bundle if step is None else _apply(bundle, step)
            new_value = cost(candidate, prior, noise)
            if new_value < value:
                settled = value - new_value < _SETTLED * value
                bundle, value, damping = candidate, new_value, max(damping / 5, 1e-12)
                if settled:
                    break
            else:
                damping *= 10
                if damping > 1e8:
                    break
    return bundle


def cost(bundle: Bundle, prior: Prior, noise: float) -> float:
    """Negative logarithm of the probability, up to a constant, for pixel noise of this deviation."""
    squared = (bundle.residuals() ** 2).sum(axis=1) / (noise * _KERNEL) ** 2
    residual, _ = _prior_terms(bundle, prior)
    pose = prior.poses.terms(bundle)[0] if prior.poses is not None else np.zeros(0)
    return float(_KERNEL**2 / 2 * np.log1p(squared).sum() + (residual**2).sum() / 2 + (pose**2).sum() / 2)


def support(bundle: Bundle, prior: Prior, noise: float, max_error_px: float) -> float:
    """Logarithm of how much more probable the observations are than if the bundle had just missed each of them.

    It compares models of the same matches that keep different ones of them.
    """
    missed = _KERNEL**2 / 2 * np.log1p((max_error_px / (noise * _KERNEL)) ** 2)
    return float(len(bundle.xy) * missed - cost(bundle, prior, noise))


def _prior_terms(bundle: Bundle, prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Whitened residuals of the intrinsics, and their inverse deviations, in the order of `_columns`."""
    principal_deviation = np.repeat(prior.principal_deviation, 2)
    deviation = np.concatenate([prior.log_focal_deviation, prior.k1_deviation, principal_deviation])
    off = [bundle.log_focal - prior.log_focal, bundle.k1, (bundle.principal - prior.principal).ravel()]
    return np.concatenate(off) / deviation, 1 / deviation


def _columns(bundle: Bundle) -> Int[np.ndarray, "N 10"]:
    """Columns of the camera parameters that each observation depends on.

    All poses come first (rotation, translation: 6 each), then log focal lengths, k1s and principal points.
    """
    images, lenses = len(bundle.R), len(bundle.log_focal)
    lens, sensor = bundle.lens[bundle.image], bundle.sensor[bundle.image]
    pose = 6 * bundle.image[:, None] + np.arange(6)
    base = 6 * images
    focal, k1 = base + lens, base + lenses + lens
    principal = base + 2 * lenses + 2 * sensor[:, None] + np.arange(2)
    return np.concatenate([pose, focal[:, None], k1[:, None], principal], axis=1)


def jacobians(bundle: Bundle) -> tuple[Float[np.ndarray, "N 2 10"], Float[np.ndarray, "N 2 3"]]:
    """Derivatives of `residuals`.

    Returns:
        By rotation (left increment), translation, log focal length, k1 and principal point; and by the point.
    """
    X = bundle.in_camera()
    lens = bundle.lens[bundle.image]
    uv, uv_by_X = _onto_plane(X, bundle.fisheye[lens]), _plane_jacobians(X, bundle.fisheye[lens])
    u, v = uv[:, 0], uv[:, 1]
    focal, k1 = np.exp(bundle.log_focal[lens]), bundle.k1[lens]
    r2 = u * u + v * v
    radial = 1 + k1 * r2
    count = len(X)
    by_uv = np.empty((count, 2, 2))
    by_uv[:, 0, 0] = focal * (radial + 2 * k1 * u * u)
    by_uv[:, 1, 1] = focal * (radial + 2 * k1 * v * v)
    by_uv[:, 0, 1] = by_uv[:, 1, 0] = focal * 2 * k1 * u * v
    by_X = by_uv @ uv_by_X
    R = bundle.R[bundle.image]
    turned = X - bundle.t[bundle.image]
    by_camera = np.empty((count, 2, 10))
    # d(exp(w) y)/dw = -[y]x, and row a of A [y]x is a x y.
    by_camera[:, :, :3] = -np.cross(by_X, turned[:, None, :])
    by_camera[:, :, 3:6] = by_X
    by_camera[:, :, 6] = uv * (focal * radial)[:, None]
    by_camera[:, :, 7] = uv * (focal * r2)[:, None]
    by_camera[:, :, 8:] = np.eye(2)
    return by_camera, by_X @ R


def _onto_plane(X: Float[np.ndarray, "N 3"], fisheye: Bool[np.ndarray, " N"]) -> Float[np.ndarray, "N 2"]:
    """Points of camera frames to the image plane at focal length 1, before k1: by tangent or by angle."""
    uv = X[:, :2] / np.maximum(X[:, 2:], _MIN_DEPTH)
    if fisheye.any():
        radius = np.hypot(X[fisheye, 0], X[fisheye, 1])
        angle = np.arctan2(radius, X[fisheye, 2])
        uv[fisheye] = X[fisheye, :2] * (angle / np.maximum(radius, _MIN_DEPTH))[:, None]
    return uv


def _plane_jacobians(X: Float[np.ndarray, "N 3"], fisheye: Bool[np.ndarray, " N"]) -> Float[np.ndarray, "N 2 3"]:
    """Derivatives of `_onto_plane`."""
    z = np.maximum(X[:, 2], _MIN_DEPTH)
    by_X = np.zeros((len(X), 2, 3))
    by_X[:, 0, 0] = by_X[:, 1, 1] = 1 / z
    by_X[:, :, 2] = -X[:, :2] / z[:, None] ** 2
    if fisheye.any():
        xy, z = X[fisheye, :2], X[fisheye, 2]
        radius = np.maximum(np.linalg.norm(xy, axis=1), _MIN_DEPTH)
        squared = radius**2 + z**2
        share = np.arctan2(radius, z) / radius
        outer = xy[:, :, None] * xy[:, None, :] / (radius**2)[:, None, None]
        by_X[fisheye, :, :2] = share[:, None, None] * np.eye(2) + outer * (z / squared - share)[:, None, None]
        by_X[fisheye, :, 2] = -xy / squared[:, None]
    return by_X


def epipolar_px(
    bundle: Bundle,
    images: tuple[int, int],
    rays: tuple[Float[np.ndarray, "M 3"], Float[np.ndarray, "M 3"]],
) -> Float[np.ndarray, " M"]:
    """Sampson's distance of matches to the epipolar lines of two images of a bundle, in pixels.

    Args:
        rays: as `Bundle.rays` gives them. On a fisheye's sphere, distances are angles times the focal length.
    """
    (k, m), (x, y) = images, rays
    R = bundle.R[m] @ bundle.R[k].T
    E = np.cross(np.eye(3), bundle.t[m] - R @ bundle.t[k]) @ R
    lines, back = y @ E, x @ E.T
    flat = [slice(3) if bundle.fisheye[bundle.lens[image]] else slice(2) for image in images]
    squared = (lines[:, flat[0]] ** 2).sum(axis=1) + (back[:, flat[1]] ** 2).sum(axis=1)
    focal = np.exp(bundle.log_focal[bundle.lens[[k, m]]].mean())
    return np.abs((lines * x).sum(axis=1)) * focal / np.sqrt(np.maximum(squared, 1e-24))


def focal_deviations(bundle: Bundle, prior: Prior, noise_px: float) -> Float[np.ndarray, " L"]:
    """Standard deviation of each logarithm of a focal length, whatever all else may be (Laplace's approximation).

    Args:
        noise_px: of observations that err independently.
    """
    focal = 6 * len(bundle.R) + np.arange(len(bundle.log_focal))
    deviations: np.ndarray = np.sqrt(_covariance(bundle, prior, noise_px).diagonal()[focal])
    return deviations


def pose_deviations(
    bundle: Bundle, prior: Prior, noise_px: float
) -> tuple[Float[np.ndarray, "I I"], Float[np.ndarray, "I I"]]:
    """Standard deviations in radians (Laplace's approximation) of each image's rotation relative to each other, and of
    the direction to each other in the image's own axes: the root of the sum over the axes' variances.

    Args:
        noise_px: of observations that err independently.
    """
    count = len(bundle.R)
    C = _covariance(bundle, prior, noise_px)[: 6 * count, : 6 * count]
    centers = -np.einsum("nji,nj->ni", bundle.R, bundle.t)
    rotation, direction = np.zeros((count, count)), np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            if i == j:
                continue
            # Rotations are increments from the left: R becomes exp(w) R, so the centre moves by R' (w x t - dt).
            own, there = slice(6 * i, 6 * i + 6), slice(6 * j, 6 * j + 6)
            turn = np.zeros((3, 6 * count))
            turn[:, own][:, :3], turn[:, there][:, :3] = -bundle.R[j] @ bundle.R[i].T, np.eye(3)
            rotation[i, j] = np.sqrt(max(np.trace(turn @ C @ turn.T), 0.0))
            seen = bundle.R[i] @ centers[j]
            towards = seen + bundle.t[i]
            length = max(float(np.linalg.norm(towards)), _MIN_DEPTH)
            move = np.zeros((3, 6 * count))
            move[:, own] = np.hstack([-skew(seen), np.eye(3)])
            move[:, there] = bundle.R[i] @ bundle.R[j].T @ np.hstack([-skew(bundle.t[j]), -np.eye(3)])
            across = (np.eye(3) - np.outer(towards, towards) / length**2) / length @ move
            direction[i, j] = np.sqrt(max(np.trace(across @ C @ across.T), 0.0))
    return rotation, direction


def _covariance(bundle: Bundle, prior: Prior, noise_px: float) -> Float[np.ndarray, "C C"]:
    """Of the camera parameters, whatever the points may be."""
    H = _reduced(bundle, prior, noise_px, 0.0).H
    diagonal = H.diagonal()
    # What nothing holds, the pose of a photo without points, is left by rounding with next to nothing. Lenses have
    # priors.
    poses = np.arange(len(H)) < 6 * len(bundle.R)
    held = ~poses | (diagonal > _FREE * diagonal[poses].max())
    scale = np.where(held, 1 / np.sqrt(np.where(held, diagonal, 1.0)), 0.0)
    # The world's position, orientation and scale may be free; nothing that is asked for depends on them.
    covariance: np.ndarray = np.linalg.pinv(H * scale[:, None] * scale, rcond=_FREE, hermitian=True)
    return covariance * scale[:, None] * scale


@dataclass(frozen=True)
class _Reduced:
    """Normal equations of the camera parameters, points eliminated; and what gives the points back."""

    H: Float[np.ndarray, "C C"]
    g: Float[np.ndarray, " C"]
    inverse: Float[np.ndarray, "P 3 3"]
    mixed: Float[np.ndarray, "N 10 3"]
    columns: Int[np.ndarray, "N 10"]
    gp: Float[np.ndarray, "P 3"]


def _step(bundle: Bundle, prior: Prior, noise: float, damping: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The damped Gauss-Newton step: (camera parameters, points (P, 3)); None where it needs more damping to exist."""
    reduced, points = _reduced(bundle, prior, noise, damping), len(bundle.points)
    try:
        camera_step = np.linalg.solve(reduced.H, -reduced.g)
    except np.linalg.LinAlgError:
        return None
    axes = 3 * bundle.point[:, None] + np.arange(3)
    moved = np.einsum("nci,nc->ni", reduced.mixed, camera_step[reduced.columns])
    toward = reduced.gp + _sum_into(axes, moved, 3 * points).reshape(points, 3)
    return camera_step, -(reduced.inverse @ toward[:, :, None])[:, :, 0]


def _reduced(bundle: Bundle, prior: Prior, noise: float, damping: float) -> _Reduced:
    """See `_Reduced`; images whose pose is held do not move."""
    by_camera, by_point = jacobians(bundle)
    residual = bundle.residuals() / noise
    root_weight = 1 / np.sqrt(1 + (residual**2).sum(axis=1) / _KERNEL**2)
    residual *= root_weight[:, None]
    by_camera *= (root_weight / noise)[:, None, None]
    by_point *= (root_weight / noise)[:, None, None]

    points = len(bundle.points)
    prior_residual, prior_weight = _prior_terms(bundle, prior)
    poses, parameters = 6 * len(bundle.R), 6 * len(bundle.R) + len(prior_residual)
    columns = _columns(bundle)
    camera_T = by_camera.transpose(0, 2, 1)
    cells = columns[:, :, None] * parameters + columns[:, None, :]
    H = _sum_into(cells, camera_T @ by_camera, parameters**2).reshape(parameters, parameters)
    g = _sum_into(columns, (camera_T @ residual[:, :, None])[:, :, 0], parameters)
    intrinsics = np.arange(poses, parameters)
    H[intrinsics, intrinsics] += prior_weight**2
    g[poses:] += prior_weight * prior_residual
    if prior.poses is not None:
        pose_residual, by_pose = prior.poses.terms(bundle)
        own = np.arange(poses).reshape(-1, 6)
        H[own[:, :, None], own[:, None, :]] += np.swapaxes(by_pose, 1, 2) @ by_pose
        g[own] += np.einsum("nij,ni->nj", by_pose, pose_residual)
    H[np.diag_indices(parameters)] *= 1 + damping
    # Position, orientation and scale of the world may be free: a trace of damping keeps the system regular.
    pose = np.arange(poses)
    H[pose, pose] *= 1 + 1e-9

    axes = 3 * bundle.point[:, None] + np.arange(3)
    point_T = by_point.transpose(0, 2, 1)
    blocks = _sum_into(
        9 * bundle.point[:, None, None] + np.arange(9).reshape(3, 3), point_T @ by_point, 9 * points
    ).reshape(points, 3, 3)
    gp = _sum_into(axes, (point_T @ residual[:, :, None])[:, :, 0], 3 * points).reshape(points, 3)
    diagonal = np.arange(3)
    blocks[:, diagonal, diagonal] *= 1 + damping
    blocks[:, diagonal, diagonal] += 1e-12 * np.trace(blocks, axis1=1, axis2=2)[:, None] + 1e-30
    inverse = np.linalg.inv(blocks)

    mixed = camera_T @ by_point
    for start in range(0, points, _CHUNK):
        # Observations are in the order of the points.
        first, last = np.searchsorted(bundle.point, [start, start + _CHUNK])
        size = min(_CHUNK, points - start)
        rows = (bundle.point[first:last, None] - start) * parameters + columns[first:last]
        cells = 3 * rows[:, :, None] + diagonal
        W = _sum_into(cells, mixed[first:last], 3 * size * parameters).reshape(size, parameters, 3)
        eliminated = W @ inverse[start : start + size]
        g -= np.einsum("pci,pi->c", eliminated, gp[start : start + size])
        H -= np.tensordot(eliminated, W, axes=([0, 2], [0, 2]))
    held = pose[np.repeat(bundle.held, 6)]
    H[held], H[:, held], g[held] = 0, 0, 0
    H[held, held] = 1
    return _Reduced(H, g, inverse, mixed, columns, gp)


def _sum_into(cells: np.ndarray, values: np.ndarray, size: int) -> Float[np.ndarray, " size"]:
    """Sums of the values that belong to each cell."""
    return np.bincount(cells.ravel(), values.ravel(), minlength=size)


def _apply(bundle: Bundle, step: tuple[np.ndarray, np.ndarray]) -> Bundle:
    camera, points = step
    images, lenses = len(bundle.R), len(bundle.log_focal)
    pose = camera[: 6 * images].reshape(images, 6)
    rest = camera[6 * images :]
    return replace(
        bundle,
        R=Rotation.from_rotvec(pose[:, :3]).as_matrix() @ bundle.R,
        t=bundle.t + pose[:, 3:],
        log_focal=bundle.log_focal + rest[:lenses],
        k1=bundle.k1 + rest[lenses : 2 * lenses],
        principal=bundle.principal + rest[2 * lenses :].reshape(-1, 2),
        points=bundle.points + points,
    )
