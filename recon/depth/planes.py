"""The planes of a scene: by RANSAC on verified points, and along the room's three directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32
from shapely.geometry import MultiPoint, Polygon
from shapely.geometry.polygon import orient

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.artifact import VERIFIED, DepthMap
from fewview.recon.depth.covisibility import world_points
from fewview.recon.scene import PosedImage


@dataclass(frozen=True)
class ScenePlane:
    """normal . X = offset in the world frame."""

    normal: Float[np.ndarray, " 3"]
    """Unit."""
    offset: float
    encloses: bool = False
    """All cameras, and all that was verified but for strays, lie on the side that the normal points to."""
    evidence: Literal["surface", "border"] = "surface"
    """Verified points lie on it, or it meets another plane in an edge that photos show."""
    outline: Float[np.ndarray, "K 2"] = field(default_factory=lambda: np.zeros((0, 2)))
    """Within the convex hull of the verified points on it: corners in the coordinates `basis`, counterclockwise."""

    @property
    def basis(self) -> Float[np.ndarray, "2 3"]:
        """Unit directions in the plane."""
        u = np.cross(self.normal, np.eye(3)[int(np.abs(self.normal).argmin())])
        u /= np.linalg.norm(u)
        return np.stack([u, np.cross(self.normal, u)])

    def is_within(self, eye: Float[np.ndarray, " 3"], rays: Float[np.ndarray, "N 3"]) -> Bool[np.ndarray, " N"]:
        """Which rays from `eye` (world) meet the plane within its outline."""
        if len(self.outline) < 3:
            return np.zeros(len(rays), bool)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (self.offset - self.normal @ eye) / (rays @ self.normal)
            place = (eye + rays * z[:, None]) @ self.basis.T
        side = np.roll(self.outline, -1, 0) - self.outline
        off = place[:, None] - self.outline
        return (z > 0) & (side[:, 0] * off[..., 1] - side[:, 1] * off[..., 0] >= 0).all(1)

    def inverse_depth(self, view: PosedImage) -> Float32[np.ndarray, "H W"]:
        """1 / z of the plane at every pixel; 0 or less where it lies behind the camera."""
        in_camera = view.T_world_camera[:3, :3].T @ self.normal
        distance = self.offset - self.normal @ view.T_world_camera[:3, 3]
        if abs(distance) < 1e-9:
            return np.zeros(view.mask.shape, np.float32)
        return (view.camera.rays(np.float32) @ (in_camera / distance)).astype(np.float32)


@dataclass(frozen=True)
class PlaneSamples:
    """Verified points of all views, thinned."""

    xyz: Float[np.ndarray, "N 3"]
    """World."""
    normal: Float[np.ndarray, "N 3"]
    """World, unit."""
    reach: Float[np.ndarray, " N"]
    """Distance of an inlier from its plane, scene units."""
    confidence: Float[np.ndarray, " N"]

    @property
    def depth(self) -> Float[np.ndarray, " N"]:
        """In the view that saw the point, scene units."""
        return self.reach / tol.INLIER


def sample_verified(views: Sequence[PosedImage], maps: Sequence[DepthMap]) -> PlaneSamples:
    """About `SAMPLES_PER_VIEW` verified points of each view, row by row."""
    parts = []
    for view, depth_map in zip(views, maps, strict=True):
        rows, columns = np.nonzero(depth_map.source == VERIFIED)
        stride = max(1, len(rows) // tol.SAMPLES_PER_VIEW)
        rows, columns = rows[::stride], columns[::stride]
        normal = depth_map.normal[rows, columns].astype(np.float64) @ view.T_world_camera[:3, :3].T
        reach = tol.INLIER * depth_map.depth[rows, columns].astype(np.float64)
        confidence = depth_map.confidence[rows, columns].astype(np.float64)
        parts.append((world_points(view, depth_map.depth, rows, columns), normal, reach, confidence))
    return PlaneSamples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def largest_planes(samples: PlaneSamples, seed: int) -> tuple[list[ScenePlane], Float[np.ndarray, " P"]]:
    """Planes that verified points lie on, by sequential RANSAC, and the share of all points on each."""
    rng = np.random.default_rng(seed)
    left = np.arange(len(samples.xyz))
    planes: list[ScenePlane] = []
    shares: list[float] = []
    while len(planes) < tol.MOST_PLANES and len(left) > 50:
        plane = _best_candidate(samples, left, rng)
        for _ in range(3):
            inside = _inliers(plane, samples, left)
            if inside.sum() < 8:
                break
            plane = _fit(samples, left[inside])
        inside = _inliers(plane, samples, left)
        share = inside.sum() / len(samples.xyz)
        if share < tol.LEAST_SHARE:
            break
        planes.append(plane)
        shares.append(float(share))
        left = left[~inside]
    return planes, np.array(shares)


def _best_candidate(samples: PlaneSamples, left: np.ndarray, rng: np.random.Generator) -> ScenePlane:
    # Neighbours in the list are neighbours in a row of one view; a triple reaches over up to some rows.
    first = rng.integers(0, len(left), tol.PLANE_CANDIDATES)
    a, b, c = (
        samples.xyz[left[(first + rng.integers(0, reach, tol.PLANE_CANDIDATES)) % len(left)]] for reach in (1, 40, 1500)
    )
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    # Half of the candidates are single points with the normal that stereo gave them.
    from_point = (np.arange(tol.PLANE_CANDIDATES) % 2 == 0) | (length < 1e-12)
    normal = np.where(from_point[:, None], samples.normal[left[first]], normal / np.maximum(length, 1e-12)[:, None])
    offset = (normal * a).sum(1)
    pool = left[:: max(1, len(left) // 8000)]
    near = np.abs(samples.xyz[pool] @ normal.T - offset) < samples.reach[pool][:, None]
    near &= np.abs(samples.normal[pool] @ normal.T) > tol.NORMAL_COSINE
    best = int(np.argmax(near.sum(0)))
    return ScenePlane(normal[best], float(offset[best]))


def _inliers(plane: ScenePlane, samples: PlaneSamples, subset: np.ndarray) -> np.ndarray:
    near = np.abs(samples.xyz[subset] @ plane.normal - plane.offset) < samples.reach[subset]
    return near & (np.abs(samples.normal[subset] @ plane.normal) > tol.NORMAL_COSINE)


def _fit(samples: PlaneSamples, subset: np.ndarray) -> ScenePlane:
    xyz, weight = samples.xyz[subset], 1 / np.square(samples.reach[subset])
    mean = (xyz * weight[:, None]).sum(0) / weight.sum()
    centred = xyz - mean
    normal = np.linalg.eigh((centred * weight[:, None]).T @ centred)[1][:, 0]
    return ScenePlane(normal, float(normal @ mean))


def square_axes(planes: Sequence[ScenePlane], shares: Float[np.ndarray, " P"]) -> Float[np.ndarray, "3 3"] | None:
    """Rows: three orthogonal directions that most plane area follows; None if no two planes meet squarely."""
    normals = np.array([plane.normal for plane in planes])
    limit = np.sin(np.radians(tol.SQUARE_DEG))
    best, best_score = None, 0.0
    for i in range(len(planes)):
        for j in range(i + 1, len(planes)):
            if abs(normals[i] @ normals[j]) > limit:
                continue
            axes = _orthogonal(normals[i], normals[j], shares[i], shares[j])
            aligned = np.abs(normals @ axes.T).max(1) > np.cos(np.radians(tol.ALIGNED_DEG))
            score = float(shares[aligned].sum())
            if score > best_score:
                best, best_score = axes, score
    return best


def _orthogonal(a: np.ndarray, b: np.ndarray, weight_a: float, weight_b: float) -> Float[np.ndarray, "3 3"]:
    """The nearest orthogonal pair (the lighter one turns more), and their cross product."""
    error = (a @ b) / (weight_a + weight_b)
    a, b = a - b * error * weight_b, b - a * error * weight_a
    a = a / np.linalg.norm(a)
    b = b - a * (a @ b)
    b = b / np.linalg.norm(b)
    return np.stack([a, b, np.cross(a, b)])


def snapped(plane: ScenePlane, axes: Float[np.ndarray, "3 3"], samples: PlaneSamples) -> ScenePlane:
    """The plane turned to be square with the room, if about as many points lie on it then."""
    along = axes @ plane.normal
    k = int(np.abs(along).argmax())
    if abs(along[k]) < np.cos(np.radians(tol.SNAP_DEG)):
        return plane
    inside = on_plane(plane, samples)
    square = ScenePlane(axes[k], float(np.median(samples.xyz[inside] @ axes[k])))
    return square if on_plane(square, samples).sum() > tol.SNAP_KEEPS * inside.sum() else plane


def axis_planes(axes: Float[np.ndarray, "3 3"], samples: PlaneSamples, known: Sequence[ScenePlane]) -> list[ScenePlane]:
    """Planes along the room's directions, at the peaks of the points' offsets (Furukawa et al. 2009).

    Per direction the strongest ones, and the outermost (walls enclose): a wall of which only a picture or its upper
    edge could be matched still gets a plane of the right direction.
    """
    unit = same_offset(samples)
    found: list[ScenePlane] = []
    for axis in axes:
        offsets = samples.xyz @ axis
        low, high = np.percentile(offsets, [0.2, 99.8])
        bins = int(np.clip(np.ceil((high - low) / (0.5 * unit)), 8, 2000))
        weight = np.where(np.abs(samples.normal @ axis) > tol.NORMAL_COSINE, 1, tol.OBLIQUE_WEIGHT)
        histogram, edges = np.histogram(offsets, bins, (low, high), weights=weight)
        smooth = np.convolve(histogram, [0.25, 0.5, 0.25], mode="same")
        enough = smooth > tol.PEAK_SHARE * weight.sum()
        padded = np.concatenate([[0], smooth, [0]])
        peak = enough & (smooth >= padded[:-2]) & (smooth > padded[2:])
        at = np.nonzero(peak)[0]
        if not len(at):
            continue
        strongest = at[np.argsort(-smooth[at], kind="stable")][: tol.MOST_AXIS_PLANES]
        for i in sorted({*strongest.tolist(), int(at[0]), int(at[-1])}):
            centre = 0.5 * (edges[i] + edges[i + 1])
            near = np.abs(offsets - centre) < unit
            offset = float(np.median(offsets[near]))
            if not any(is_same(axis, offset, plane, unit) for plane in [*known, *found]):
                found.append(ScenePlane(axis, offset))
    return found


def same_offset(samples: PlaneSamples) -> float:
    """Parallel planes nearer to each other than this are one, scene units."""
    return tol.SAME_OFFSET * float(np.median(samples.depth))


def on_plane(plane: ScenePlane, samples: PlaneSamples) -> Bool[np.ndarray, " N"]:
    """Which points lie on the plane and face as it does."""
    return _inliers(plane, samples, np.arange(len(samples.xyz)))


def outlined(plane: ScenePlane, samples: PlaneSamples) -> ScenePlane:
    """The plane with the outline of what was verified on it, but for lone points and (if it is wide) a margin."""
    place = samples.xyz[on_plane(plane, samples)] @ plane.basis.T
    unit = same_offset(samples)
    cell, count = np.unique(np.floor(place / unit), axis=0, return_inverse=True, return_counts=True)[1:]
    hull = MultiPoint(place[count[cell.ravel()] >= tol.LEAST_DENSE]).convex_hull
    # Where a wall ends in a corner, the first points of the next wall lie on it, too.
    inner = hull.buffer(-2 * unit, join_style="mitre")
    outline = hull if inner.is_empty else inner
    if not isinstance(outline, Polygon):
        return plane
    return replace(plane, outline=np.array(orient(outline).exterior.coords)[:-1])


def is_same(normal: Float[np.ndarray, " 3"], offset: float, plane: ScenePlane, unit: float) -> bool:
    """Whether normal . X = offset is `plane`, `unit` apart at most."""
    cosine = float(normal @ plane.normal)
    return abs(cosine) > 0.9998 and abs(offset - np.sign(cosine) * plane.offset) < unit
