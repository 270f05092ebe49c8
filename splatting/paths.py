"""Camera paths that stay where the photos looked: through the views, and around what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

# A ring of cameras counts as closed, and as surrounding its subject, when no gap in it is wider than this.
_WIDEST_GAP_DEG = 120.0


def interpolated(
    Ts_world_camera: Float[np.ndarray, "V 4 4"], depths: Float[np.ndarray, " V"], frames: int
) -> Float[np.ndarray, "F 4 4"]:
    """A smooth path through the views and back to its start, at an even pace.

    The views are put in the order of the shortest way through them. A path whose ends lie next to each other closes
    into a loop; any other is walked to its end and back, slowing down at the turns. Centres and unit quaternions follow
    monotone cubics (Fritsch and Carlson 1980), which never swing beyond the views.

    Args:
        Ts_world_camera: camera to world, OpenCV axes, scene units; at least one view.
        depths: median depth seen by each view: says how far a turn of one radian moves the picture.
        frames: length of the path; the last frame is followed by the first when played in a loop.
    """
    poses = np.asarray(Ts_world_camera, np.float64)
    if len(poses) == 1:
        return np.repeat(poses, frames, axis=0)
    steps = _pairwise_steps(poses, float(np.median(depths)))
    order = _shortest_way(steps)
    hops = steps[order[:-1], order[1:]]
    closing = steps[order[-1], order[0]]
    if len(order) > 3 and closing < 1.5 * hops.max():
        knots = np.concatenate([order[-2:], order, order[:3]])
        start, length = 2, hops.sum() + closing
        phase = np.arange(frames) / frames
    else:
        knots, start, length = order, 0, hops.sum()
        phase = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / frames)
    times = np.concatenate([[0.0], np.cumsum(np.maximum(steps[knots[:-1], knots[1:]], 1e-9 * (length + 1e-9)))])
    return _along(poses[knots], times, times[start] + phase * length)


def orbit(
    Ts_world_camera: Float[np.ndarray, "V 4 4"], depths: Float[np.ndarray, " V"], frames: int
) -> Float[np.ndarray, "F 4 4"]:
    """A closed path that looks at one point of the scene.

    Photos taken around a subject give a full circle about it. Any other give a small ellipse about the most central
    view, in that view's image plane, as wide as the photos' own spread allows: beyond it nothing was seen.

    Args:
        Ts_world_camera: camera to world, OpenCV axes, scene units; at least one view.
        depths: median depth seen by each view, scene units.
        frames: length of the path; the last frame is followed by the first when played in a loop.
    """
    poses = np.asarray(Ts_world_camera, np.float64)
    depths = np.asarray(depths, np.float64)
    phase = 2 * np.pi * np.arange(frames) / frames
    ring = _ring(poses, depths)
    if ring is not None:
        return np.stack([ring.camera(angle, float(np.median(ring.heights))) for angle in phase])
    T, reach, focus = _before_the_scene(poses, depths)
    sway = np.stack([np.sin(phase), 0.5 * np.cos(phase)], -1) * reach
    return np.stack([looking_at(T[:3, 3] + T[:3, :2] @ offset, focus, -T[:3, 1]) for offset in sway])


def spiral(
    Ts_world_camera: Float[np.ndarray, "V 4 4"], depths: Float[np.ndarray, " V"], frames: int
) -> Float[np.ndarray, "F 4 4"]:
    """A closed path of two turns that also moves along the third axis, looking at one point of the scene.

    Before a scene it is that of LLFF (Mildenhall et al. 2019): two ellipses in the image plane of the most central
    view, the one nearer to the scene and the other farther away. About a subject, one turn climbs and the other comes
    down again, between the heights of the lowest and the highest photos.

    Args:
        Ts_world_camera: camera to world, OpenCV axes, scene units; at least one view.
        depths: median depth seen by each view, scene units.
        frames: length of the path; the last frame is followed by the first when played in a loop.
    """
    poses = np.asarray(Ts_world_camera, np.float64)
    depths = np.asarray(depths, np.float64)
    phase = 4 * np.pi * np.arange(frames) / frames
    ring = _ring(poses, depths)
    if ring is not None:
        low, high = np.quantile(ring.heights, [0.1, 0.9])
        rise = 0.5 * max(high - low, 0.3 * ring.radius)
        return np.stack([ring.camera(angle, 0.5 * (low + high) - rise * np.cos(angle / 2)) for angle in phase])
    T, reach, focus = _before_the_scene(poses, depths)
    offsets = np.stack([np.sin(phase), np.cos(phase), np.sin(phase / 2)], -1) * [*reach, reach.mean()]
    return np.stack([looking_at(T[:3, 3] + T[:3, :3] @ offset, focus, -T[:3, 1]) for offset in offsets])


@dataclass(frozen=True)
class _Ring:
    """The circle about the subject on which the photos were taken."""

    focus: Float[np.ndarray, " 3"]
    up: Float[np.ndarray, " 3"]
    first: Float[np.ndarray, " 3"]
    """Level, from the axis to the first view."""
    radius: float
    heights: Float[np.ndarray, " V"]
    """Of the views above the focus."""

    def camera(self, angle_rad: float, height: float) -> Float[np.ndarray, "4 4"]:
        side = np.cross(self.up, self.first)
        level = self.radius * (np.cos(angle_rad) * self.first + np.sin(angle_rad) * side)
        return looking_at(self.focus + self.up * height + level, self.focus, self.up)


def _ring(poses: Float[np.ndarray, "V 4 4"], depths: Float[np.ndarray, " V"]) -> _Ring | None:
    """The photos' ring, or None where they do not surround anything."""
    up = -poses[:, :3, 1].mean(0)
    up /= np.linalg.norm(up)
    focus = focus_point(poses, depths)
    if not surrounds(poses, focus, up):
        return None
    offsets = poses[:, :3, 3] - focus
    heights = offsets @ up
    flat = offsets - heights[:, None] * up
    return _Ring(focus, up, flat[0] / np.linalg.norm(flat[0]), float(np.median(np.linalg.norm(flat, axis=1))), heights)


def _before_the_scene(
    poses: Float[np.ndarray, "V 4 4"], depths: Float[np.ndarray, " V"]
) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, " 2"], Float[np.ndarray, " 3"]]:
    """The most central view, how far to sway about it along its x and y, and the point in its middle."""
    steps = _pairwise_steps(poses, float(np.median(depths)))
    central = int(np.argmin(steps.sum(0)))
    T, depth = poses[central], float(depths[central])
    # Half the reach of the photos; one photo, or photos on one line, still get a visible sway.
    reach = np.clip(0.5 * np.abs((poses[:, :3, 3] - T[:3, 3]) @ T[:3, :2]).max(0), 0.03 * depth, 0.2 * depth)
    return T, reach, T[:3, 3] + depth * T[:3, 2]


def focus_point(
    Ts_world_camera: Float[np.ndarray, "V 4 4"], depths: Float[np.ndarray, " V"]
) -> Float[np.ndarray, " 3"]:
    """The point nearest to all viewing axes; where they are near parallel, the points at `depths` decide."""
    poses = np.asarray(Ts_world_camera, np.float64)
    centers, axes = poses[:, :3, 3], poses[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    weight = 0.05
    seen = centers + np.asarray(depths)[:, None] * axes
    A = across.sum(0) + weight * len(poses) * np.eye(3)
    b = np.einsum("vij,vj->i", across, centers) + weight * seen.sum(0)
    return np.linalg.solve(A, b)


def surrounds(
    Ts_world_camera: Float[np.ndarray, "V 4 4"], focus: Float[np.ndarray, " 3"], up: Float[np.ndarray, " 3"]
) -> bool:
    """Whether the views look at `focus` from all sides, leaving no wide gap in the circle about `up`."""
    offsets = np.asarray(Ts_world_camera)[:, :3, 3] - focus
    distances = np.linalg.norm(offsets, axis=1)
    towards = -np.einsum("vi,vi->v", offsets, np.asarray(Ts_world_camera)[:, :3, 2]) / np.maximum(distances, 1e-12)
    if len(offsets) < 4 or towards.min() < np.cos(np.pi / 4):
        return False
    side = np.cross(up, [1.0, 0.0, 0.0] if abs(up[0]) < 0.9 else [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    azimuths = np.sort(np.degrees(np.arctan2(offsets @ np.cross(up, side), offsets @ side)))
    gaps = np.diff(np.append(azimuths, azimuths[0] + 360))
    return bool(gaps.max() <= _WIDEST_GAP_DEG)


def looking_at(
    center: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"], up: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "4 4"]:
    """Camera to world of an upright camera at `center` that looks at `target` (OpenCV axes, y down)."""
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = center
    return T


def _pairwise_steps(poses: Float[np.ndarray, "V 4 4"], depth: float) -> Float[np.ndarray, "V V"]:
    """How far apart two views are: centre distance plus the arc that a turn sweeps at `depth`."""
    moves = np.linalg.norm(poses[:, None, :3, 3] - poses[None, :, :3, 3], axis=-1)
    traces = np.einsum("aij,bij->ab", poses[:, :3, :3], poses[:, :3, :3])
    return moves + depth * np.arccos(np.clip((traces - 1) / 2, -1, 1))


def _shortest_way(steps: Float[np.ndarray, "V V"]) -> np.ndarray:
    """An order of the views that is short to walk: nearest neighbour (from every start if few), then 2-opt."""
    count = len(steps)

    def length(order: Sequence[int]) -> float:
        return float(steps[order[:-1], order[1:]].sum())

    best: list[int] = []
    for start in range(count if count <= 16 else 1):
        order, left = [start], sorted(set(range(count)) - {start})
        while left:
            order.append(min(left, key=lambda view: steps[order[-1], view]))
            left.remove(order[-1])
        improved = True
        while improved:
            improved = False
            for a in range(count - 1):
                for b in range(a + 2, count + 1):
                    turned = order[:a] + order[a:b][::-1] + order[b:]
                    if length(turned) < length(order) - 1e-9:
                        order, improved = turned, True
        if not best or length(order) < length(best) - 1e-9:
            best = order
    return np.array(best)


def _along(
    poses: Float[np.ndarray, "K 4 4"], times: Float[np.ndarray, " K"], at: Float[np.ndarray, " F"]
) -> Float[np.ndarray, "F 4 4"]:
    """Poses at the times `at` on the curve through `poses` at `times`."""
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    for k in range(1, len(quaternions)):
        if quaternions[k] @ quaternions[k - 1] < 0:
            quaternions[k] *= -1
    out = np.tile(np.eye(4), (len(at), 1, 1))
    out[:, :3, :3] = Rotation.from_quat(PchipInterpolator(times, quaternions)(at)).as_matrix()
    out[:, :3, 3] = PchipInterpolator(times, poses[:, :3, 3])(at)
    return out
