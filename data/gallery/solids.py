"""What a room is made of: flat faces with a texture, grouped into instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from fewview.data.gallery.textures import Texture


@dataclass(frozen=True)
class Face:
    """A flat polygon. A point of it is `origin + s u + t v`, with s in [0, size[0]] and t in [0, size[1]],
    metres."""

    origin: Float[np.ndarray, " 3"]
    u: Float[np.ndarray, " 3"]
    v: Float[np.ndarray, " 3"]
    """u and v are unit and orthogonal; u x v is the normal, towards the side that is seen."""
    size: tuple[float, float]
    texture: Texture
    instance: int
    offset: tuple[float, float] = (0.0, 0.0)
    """Where the texture starts, metres; so that equal materials do not look the same."""
    emission: float = 0.0
    """Light the face gives off, as a multiple of its texture."""
    outline: Float[np.ndarray, "N 2"] | None = None
    """Corners in (s, t), counterclockwise, where the face is not the whole rectangle."""

    @property
    def normal(self) -> Float[np.ndarray, " 3"]:
        return np.cross(self.u, self.v)

    def mesh(self) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
        a, b = self.size
        corners = np.array([[0, 0], [a, 0], [a, b], [0, b]]) if self.outline is None else self.outline
        points = self.origin + corners[:, :1] * self.u + corners[:, 1:] * self.v
        return points, triangulate(corners)


@dataclass(frozen=True)
class Frame:
    """Where a piece of furniture stands: local x along its width, y from its back to its front, z up."""

    origin: Float[np.ndarray, " 2"]
    """Middle of its back edge on the floor, metres."""
    forward: Float[np.ndarray, " 2"]
    """Unit, where its front looks."""

    @property
    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Columns: the local axes in the world."""
        fx, fy = self.forward
        return np.array([[fy, fx, 0], [-fx, fy, 0], [0, 0, 1.0]])

    def world(self, local: Float[np.ndarray, "*B 3"]) -> Float[np.ndarray, "*B 3"]:
        return np.asarray(local, np.float64) @ self.rotation.T + np.array([*self.origin, 0.0])


@dataclass(frozen=True)
class Box:
    """An upright box in a piece's own frame, metres."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    texture: Texture
    sides: Mapping[str, Texture] = field(default_factory=dict)
    """Other textures for some of `front`, `back`, `left`, `right`, `top`, `bottom`."""
    emission: float = 0.0
    """Of the front."""


def faces(box: Box, frame: Frame, instance: int, rng: np.random.Generator) -> list[Face]:
    """The box's faces in the world; one that lies on the floor is left out, for nobody sees it."""
    low, high = np.array(box.low, np.float64), np.array(box.high, np.float64)
    (x0, y0, z0), (x1, y1, z1) = low, high
    ex, ey, ez = np.eye(3)
    local = {
        "front": ((x1, y1, z0), -ex, ez, (x1 - x0, z1 - z0)),
        "back": ((x0, y0, z0), ex, ez, (x1 - x0, z1 - z0)),
        "left": ((x0, y1, z0), -ey, ez, (y1 - y0, z1 - z0)),
        "right": ((x1, y0, z0), ey, ez, (y1 - y0, z1 - z0)),
        "top": ((x0, y0, z1), ex, ey, (x1 - x0, y1 - y0)),
        "bottom": ((x1, y0, z0), -ex, ey, (x1 - x0, y1 - y0)),
    }
    out = []
    for name, (origin, u, v, size) in local.items():
        if name == "bottom" and z0 == 0:
            continue
        out.append(
            Face(
                origin=frame.world(np.array(origin)),
                u=frame.rotation @ u,
                v=frame.rotation @ v,
                size=(float(size[0]), float(size[1])),
                texture=box.sides.get(name, box.texture),
                instance=instance,
                offset=(rng.uniform(0, 2), rng.uniform(0, 2)),
                emission=box.emission if name == "front" else 0.0,
            )
        )
    return out


def triangulate(polygon: Float[np.ndarray, "N 2"]) -> Int[np.ndarray, "N-2 3"]:
    """Ear clipping of a simple counterclockwise polygon."""
    left = list(range(len(polygon)))
    triangles = []
    while len(left) > 3:
        for k in range(len(left)):
            ear = (left[k - 1], left[k], left[(k + 1) % len(left)])
            a, b, c = polygon[list(ear)]
            others = [polygon[i] for i in left if i not in ear]
            if cross2(b - a, c - b) > 1e-12 and not any(_inside(p, a, b, c) for p in others):
                triangles.append(ear)
                left.pop(k)
                break
        else:
            raise ValueError("the polygon is not simple and counterclockwise")
    return np.array([*triangles, tuple(left)], np.int64)


def cross2(a: Float[np.ndarray, "*#B 2"], b: Float[np.ndarray, "*#B 2"]) -> Float[np.ndarray, "*B"]:
    """The z of the cross product of plane vectors."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _inside(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> bool:
    return bool(min(cross2(b - a, p - a), cross2(c - b, p - b), cross2(a - c, p - c)) >= 0)
