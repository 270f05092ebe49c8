"""The shell of a room: planes that enclose all that was verified, also those that only their borders betray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.artifact import DepthMap
from fewview.recon.depth.consistency import pixel_index
from fewview.recon.depth.planes import PlaneSamples, ScenePlane, is_same, on_plane, same_offset
from fewview.recon.directions import drawn, interpretation_normals
from fewview.recon.geometry.pose import transform
from fewview.recon.scene import PosedImage, mean_up


def mark_enclosing(
    planes: Sequence[ScenePlane], samples: PlaneSamples, centers: Float[np.ndarray, "V 3"]
) -> list[ScenePlane]:
    """The planes, those marked that have all cameras and all but stray points on one side; these face that side.

    Points of the plane's own normal must lie on it: the upper edges of pictures and shelves line up, too. Of planes
    that are almost parallel, the one with most points encloses.
    """
    out, points = [], []
    for plane in planes:
        side = centers @ plane.normal - plane.offset
        if (side < 0).all():
            plane = replace(plane, normal=-plane.normal, offset=-plane.offset)
        one_side = (side < 0).all() or (side > 0).all()
        points.append(int(on_plane(plane, samples).sum()))
        supported = points[-1] > tol.LEAST_SHARE * len(samples.xyz)
        out.append(replace(plane, encloses=bool(one_side and supported and _encloses(plane, samples))))
    for k in np.argsort(-np.array(points, int), kind="stable"):
        better = (j for j in range(len(out)) if out[j].encloses and points[j] > points[k])
        if any(out[j].normal @ out[k].normal > np.cos(np.radians(tol.PARALLEL_DEG)) for j in better):
            out[k] = replace(out[k], encloses=False)
    return out


def border_planes(
    views: Sequence[PosedImage],
    maps: Sequence[DepthMap],
    segments: Sequence[Float32[np.ndarray, "_ 4"]],
    planes: Sequence[ScenePlane],
    axes: Float[np.ndarray, "3 3"],
    samples: PlaneSamples,
) -> list[ScenePlane]:
    """Enclosing planes that nothing verified lies on, from the straight edges in which they meet enclosing planes.

    A blank ceiling cannot be matched, but the edge where it meets a wall can be seen: an image line that, lifted
    onto the wall, runs along the wall's border with a plane of the room's directions proposes that plane. On each
    side that no plane encloses yet, the proposal is taken whose borders with the known planes, as far as photos
    should show them, are edges in most places, unlike those of planes a little off: the upper edge of a window is too
    short. What is known to be in front of a border hides it; furniture that stereo is silent about mostly stands on
    the floor, so that a wall's foot may speak for the wall, but not against it.
    """
    unit = same_offset(samples)
    farthest = tol.BORDER_FARTHEST * float(np.median(samples.depth))
    centers = np.array([view.T_world_camera[:3, 3] for view in views])
    up = mean_up([view.T_world_camera for view in views])
    found: list[ScenePlane] = []
    for normal in np.concatenate([axes, -axes]):
        known = [plane for plane in [*planes, *found] if plane.encloses]
        if any(plane.normal @ normal > np.cos(np.radians(tol.PARALLEL_DEG)) for plane in known):
            continue
        each = [
            _Border.of(normal, known, k, views, segments, farthest, up)
            for k, plane in enumerate(known)
            if abs(plane.normal @ normal) < np.sin(np.radians(tol.PARALLEL_DEG))
        ]
        borders = _Borders(each, views, maps, farthest)
        offsets = _distinct(np.concatenate([[], *(border.offsets for border in each)]), unit)
        proposed = [ScenePlane(normal, offset, encloses=True, evidence="border") for offset in offsets]
        proposed = [p for p in proposed if (centers @ normal > p.offset).all() and _encloses(p, samples)]
        if not proposed:
            continue
        best, *_ = borders.best(proposed)
        near = _moved(best, np.linspace(-0.5, 0.5, tol.SHIFTS + 1) * unit)
        plane, covered, excess = borders.best(near)
        around = _moved(plane, np.outer([-unit, unit], tol.AROUND).ravel())
        clutter = np.mean([borders.covered(other)[0] for other in around])
        if covered - clutter > tol.LEAST_COVERED and excess > tol.LEAST_EXCESS:
            found.append(borders.sharpest(plane, unit))
    return found


def without_doubles(planes: Sequence[ScenePlane], borders: Sequence[ScenePlane], unit: float) -> list[ScenePlane]:
    """All of them, less the planes that a border plane repeats."""
    kept = [p for p in planes if not any(is_same(p.normal, p.offset, border, unit) for border in borders)]
    return [*kept, *borders]


def _moved(plane: ScenePlane, shifts: Float[np.ndarray, " S"]) -> list[ScenePlane]:
    return [replace(plane, offset=plane.offset + float(shift)) for shift in shifts]


def _encloses(plane: ScenePlane, samples: PlaneSamples) -> bool:
    behind = samples.xyz @ plane.normal - plane.offset < -tol.STRAY_REACH * samples.reach
    return bool(samples.confidence @ behind < tol.STRAY_SHARE * samples.confidence.sum())


@dataclass(frozen=True)
class _Border:
    """Where planes of one normal would meet a known plane."""

    plane: ScenePlane
    others: list[ScenePlane]
    """The rest of the known shell, inside which the border lies."""
    direction: Float[np.ndarray, " 3"]
    edges: list[Bool[np.ndarray, "_ _"]]
    """Per photo: where it shows an edge of this direction."""
    offsets: Float[np.ndarray, " N"]
    """Of the planes that such edges, lifted onto the known plane, propose."""
    foot: bool
    """The known plane is the floor."""

    @classmethod
    def of(
        cls,
        normal: Float[np.ndarray, " 3"],
        known: Sequence[ScenePlane],
        k: int,
        views: Sequence[PosedImage],
        segments: Sequence[Float32[np.ndarray, "_ 4"]],
        farthest: float,
        up: Float[np.ndarray, " 3"],
    ) -> _Border:
        direction = np.cross(normal, known[k].normal)
        direction /= np.linalg.norm(direction)
        edges, offsets = [], []
        for view, lines in zip(views, segments, strict=True):
            sine = np.abs(interpretation_normals(view, lines) @ direction)
            along = lines[sine < np.sin(np.radians(tol.EDGE_ALONG_DEG))]
            step = along[:, 2:] - along[:, :2]
            step *= tol.BORDER_BRIDGE * max(view.mask.shape) / np.linalg.norm(step, axis=1, keepdims=True)
            edges.append(drawn(along, step, view.mask.shape))
            middle = _lift(view, known[k], 0.5 * (along[:, :2] + along[:, 2:]), farthest) @ normal
            offsets.append(middle[np.isfinite(middle)])
        foot = bool(known[k].normal @ up > np.cos(np.radians(tol.UPRIGHT_DEG)) * np.linalg.norm(up))
        return cls(known[k], [*known[:k], *known[k + 1 :]], direction, edges, np.concatenate(offsets), foot)


def _distinct(offsets: Float[np.ndarray, " N"], unit: float) -> list[float]:
    """Values such that every offset has one nearby, in ascending order."""
    if not len(offsets):
        return []
    ordered = np.sort(offsets)
    groups = np.split(ordered, np.nonzero(np.diff(ordered) > 0.25 * unit)[0] + 1)
    return [float(np.median(x)) for g in groups for x in np.array_split(g, max(1, round(np.ptp(g) / (0.5 * unit))))]


@dataclass(frozen=True)
class _Shown:
    """The part of a border that one photo should show: M points along it."""

    border: _Border
    view: int
    points: Float[np.ndarray, "M 3"]
    """World."""
    length: Float[np.ndarray, " M"]
    """Of image that each point stands for, as a share of the long side."""
    is_edge: Bool[np.ndarray, " M"]
    """Where the photo shows an edge that divides two colours."""


@dataclass(frozen=True)
class _Borders:
    """Where planes of one normal would meet the known ones, and what the photos say of it."""

    each: Sequence[_Border]
    views: Sequence[PosedImage]
    maps: Sequence[DepthMap]
    farthest: float

    def best(self, planes: Sequence[ScenePlane]) -> tuple[ScenePlane, float, float]:
        """Of the planes with enough edges on their borders the one with the largest share, and its `covered`."""
        seen = [(plane, *self.covered(plane)) for plane in planes]
        return max(seen, key=lambda row: (min(row[2], tol.LEAST_EXCESS), row[1]))

    def covered(self, plane: ScenePlane) -> tuple[float, float]:
        """The share of the plane's borders with the known planes that photos show as edges, and by how much these are
        longer than the others, as `LEAST_EXCESS` counts; 0 and -inf where fewer than two photos show enough edges."""
        shown, hits = np.zeros(len(self.views)), np.zeros(len(self.views))
        for part in self.shown(plane):
            hit = part.length[part.is_edge].sum()
            shown[part.view] += hit if part.border.foot else part.length.sum()
            hits[part.view] += hit
        photos = int((hits > tol.LEAST_BORDER).sum())
        if photos < 2:
            return 0.0, -np.inf
        return float(hits.sum() / shown.sum()), photos * float(2 * hits.sum() - shown.sum())

    def sharpest(self, plane: ScenePlane, unit: float) -> ScenePlane:
        """The plane moved to where colour, averaged along its borders, bends most as one goes across them.

        Corners of rooms are in soft shadow, in whose slope edge detectors find an edge that is pixels off.
        """
        shifts = np.linspace(-2, 2, 4 * tol.SHIFTS + 1) * unit
        bends = np.zeros(len(shifts) - 2)
        for part in self.shown(plane):
            weight = part.length * part.is_edge
            if not weight.any():
                continue
            view, wall = self.views[part.view], part.border.plane.normal
            # Along the known plane, at right angles to the border: shifts the offset by one.
            move = (plane.normal - (plane.normal @ wall) * wall) / (1 - (plane.normal @ wall) ** 2)
            profile = []
            for shift in shifts:
                at = view.camera.project(transform(view.T_camera_world, part.points + shift * move))
                pixels = at.astype(np.float32)[None] - np.float32(0.5)
                colours = cv2.remap(
                    view.image, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
                )
                profile.append(weight @ colours[0])
            bends += np.linalg.norm(np.diff(profile, 2, axis=0), axis=1)
        return replace(plane, offset=plane.offset + float(shifts[1 + int(bends.argmax())]))

    def shown(self, plane: ScenePlane) -> Iterator[_Shown]:
        """Where the plane meets the known ones, inside the shell, and no nearer surface hides it."""
        along = np.linspace(-self.farthest, self.farthest, 600)[:, None]
        for border in self.each:
            sides = np.stack([plane.normal, border.plane.normal, border.direction])
            here = border.direction @ self.views[0].T_world_camera[:3, 3]
            line = np.linalg.solve(sides, [plane.offset, border.plane.offset, here]) + along * border.direction
            inside = np.ones(len(line), bool)
            for other in border.others:
                inside &= line @ other.normal > other.offset
            for i, (view, depth_map) in enumerate(zip(self.views, self.maps, strict=True)):
                local = transform(view.T_camera_world, np.where(inside[:, None], line, np.nan))
                u, v = view.camera.project(local).T
                within, iy, ix = pixel_index(u, v, view.camera.width, view.camera.height)
                du, dv = np.gradient(u), np.gradient(v)
                step = np.hypot(du, dv)
                hidden = depth_map.depth[iy, ix] < (1 - tol.BORDER_HIDDEN) * local[:, 2]
                visible = within & ~hidden & (step > 0)  # False where NaN
                across = np.stack([-dv, du], 1)[visible] / step[visible, None]
                pixels = np.stack([u, v], 1)[visible]
                is_edge = _divides(view.image, pixels, across, border.edges[i][iy[visible], ix[visible]])
                yield _Shown(border, i, line[visible], step[visible] / max(view.mask.shape), is_edge)


def _divides(
    image: Float32[np.ndarray, "H W 3"],
    pixels: Float[np.ndarray, "N 2"],
    across: Float[np.ndarray, "N 2"],
    is_edge: Bool[np.ndarray, " N"],
) -> Bool[np.ndarray, " N"]:
    """Where along a line the colour changes across it as it mostly does at the edges on it.

    Where a wall meets the ceiling it does everywhere, however faintly; beside a window, whose upper edge is as
    straight, the wall goes on.
    """
    if not is_edge.any():
        return is_edge
    height, width = image.shape[:2]
    ends = [np.floor(pixels + side * tol.ACROSS_PX * across).astype(int) for side in (-1, 1)]
    below, above = (image[np.clip(e[:, 1], 0, height - 1), np.clip(e[:, 0], 0, width - 1)] for e in ends)
    change = above - below
    typical = np.median(change[is_edge], axis=0)
    return change @ typical > tol.DIVIDES * (typical @ typical)


def _lift(view: PosedImage, plane: ScenePlane, pixels: np.ndarray, farthest: float) -> Float[np.ndarray, "N 3"]:
    """World points on the plane at image points; NaN where it is behind the camera or beyond `farthest`."""
    T = view.T_world_camera
    rays = view.camera.rays_at(pixels) @ T[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (plane.offset - plane.normal @ T[:3, 3]) / (rays @ plane.normal)
    return T[:3, 3] + rays * np.where((z > 0) & (z < farthest), z, np.nan)[:, None]
