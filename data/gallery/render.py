"""Ray casting of textured faces with baked soft light, and the camera that takes the photo."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from fewview.data.gallery.solids import Face
from fewview.data.gallery.textures import Texture, srgb_from_linear
from fewview.recon.scene import View

EDGE_RAYS = 3
"""Rays per pixel and axis where a pixel may show several faces."""
LIGHTMAP_M = 0.1
"""Spacing of the points at which light is computed."""
_LIGHT_RAYS = 14
_AMBIENT_RAYS = 64


@dataclass(frozen=True)
class Light:
    """A small horizontal lamp that shines down."""

    center: Float[np.ndarray, " 3"]
    radius: float
    power: float


@dataclass(frozen=True)
class Truth:
    """What a view sees, exactly, at pixel centres."""

    depth: Float32[np.ndarray, "H W"]
    """z-depth, metres."""
    normal: Float32[np.ndarray, "H W 3"]
    """Unit, camera frame, towards the camera."""
    instance: Int[np.ndarray, "H W"]
    albedo: UInt8[np.ndarray, "H W 3"]
    """sRGB."""


class Renderer:
    """Faces, ready to be looked at."""

    def __init__(self, faces: list[Face], lights: list[Light]) -> None:
        import open3d as o3d

        self._faces = faces
        self._normals = np.stack([face.normal for face in faces])
        self._origins = np.stack([face.origin for face in faces])
        self._axes = np.stack([np.stack([face.u, face.v]) for face in faces])
        self._offsets = np.einsum("fi,fi->f", self._normals, self._origins)
        self._instances = np.array([face.instance for face in faces], np.int32)
        self._textures = list({id(face.texture): face.texture for face in faces}.values())
        number = {id(texture): index for index, texture in enumerate(self._textures)}
        # 16 bits, which numpy sorts in linear time.
        self._texture = np.array([number[id(face.texture)] for face in faces], np.int16)
        self._mapping = np.stack([_texel_mapping(face) for face in faces]).astype(np.float32)
        self._emission = np.array([face.emission for face in faces], np.float32)

        vertices, triangles, self._face_of_triangle = _mesh(faces)
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(_tensor(vertices, np.float32), _tensor(triangles, np.uint32))
        self._atlas, self._corners = self._bake(lights)

    def look(self, view: View) -> tuple[Float32[np.ndarray, "H W 3"], Truth]:
        """Linear light before exposure, anti-aliased, and the exact geometry at the pixel centres.

        Textures are filtered by their pyramids; pixels at the border of a face are averages of several rays.
        """
        camera = view.camera
        size = (camera.height, camera.width)
        pixels = np.indices(size, np.int32)[::-1].reshape(2, -1).T
        rays = self._world_rays(view, pixels + 0.5)
        face = self._first_face(view, rays)
        image, albedo = self._shade(view, rays, face)
        edges = np.flatnonzero(_on_border(face.reshape(size)))
        total = np.zeros((len(edges), 3), np.float32)
        steps = (np.arange(EDGE_RAYS) + 0.5) / EDGE_RAYS
        for dx in steps:
            for dy in steps:
                finer = self._world_rays(view, pixels[edges] + [dx, dy])
                total += self._shade(view, finer, self._first_face(view, finer))[0]
        image[edges] = total / EDGE_RAYS**2
        # The rays were cast in float32, but the depth is that of the face's plane in float64.
        depth = self._depth(view, rays, face).reshape(size).astype(np.float32)
        normal = (self._normals @ view.T_world_camera[:3, :3])[face].reshape(*size, 3).astype(np.float32)
        srgb = np.round(srgb_from_linear(np.clip(albedo, 0, 1)) * 255).astype(np.uint8)
        truth = Truth(depth, normal, self._instances[face].reshape(size), srgb.reshape(*size, 3))
        return image.reshape(*size, 3), truth

    def _world_rays(self, view: View, at: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 3"]:
        """Directions through places of the image (pixels), world frame, of unit z in the camera's."""
        R, (x, y, _) = view.T_world_camera[:3, :3], view.camera.rays_at(at).T
        return x[:, None] * R[:, 0] + y[:, None] * R[:, 1] + R[:, 2]

    def _first_face(self, view: View, rays: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, " N"]:
        """The face that each ray meets first, seen from its front."""
        face = self._cast(view, rays)
        # A ray into the very seam of two boxes may slip in and meet the back of a face: its neighbour does
        # not.
        for nudge in 1e-4 * np.concatenate([np.eye(3), -np.eye(3)]):
            slipped = np.flatnonzero(np.einsum("ni,ni->n", self._normals[face], rays) >= 0)
            if not len(slipped):
                return face
            face[slipped] = self._cast(view, rays[slipped] + nudge)
        raise ValueError("a view sees the back of a face: the room is not closed, or the camera is outside")

    def _cast(self, view: View, rays: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, " N"]:
        both = np.empty((len(rays), 6), np.float32)
        both[:, :3], both[:, 3:] = view.center, rays
        triangle = self._scene.cast_rays(_tensor(both))["primitive_ids"].numpy()
        if (triangle >= len(self._face_of_triangle)).any():
            raise ValueError("a ray leaves the room: the room is not closed, or the camera is outside")
        return self._face_of_triangle[triangle]

    def _depth(
        self, view: View, rays: Float[np.ndarray, "N 3"], face: Int[np.ndarray, " N"]
    ) -> Float[np.ndarray, " N"]:
        """Where the rays meet their faces' planes; rays are of unit z, so this is z-depth."""
        height = self._offsets - self._normals @ view.center
        return height[face] / np.einsum("ni,ni->n", self._normals[face], rays)

    def _shade(
        self, view: View, rays: Float[np.ndarray, "N 3"], face: Int[np.ndarray, " N"]
    ) -> tuple[Float32[np.ndarray, "N 3"], Float32[np.ndarray, "N 3"]]:
        """Light that the rays' first hits send to the camera, and their albedo."""
        depth = self._depth(view, rays, face)
        start = np.einsum("fij,fj->fi", self._axes, view.center - self._origins)
        st = (start[face] + depth[:, None] * np.einsum("nij,nj->ni", self._axes[face], rays)).astype(np.float32)
        slant = np.abs(np.einsum("ni,ni->n", self._normals[face], rays)) / np.linalg.norm(rays, axis=1)
        # A pixel's footprint is 1 / slant longer than wide: between the two, neither blurred nor aliased
        # much.
        footprint = depth / view.camera.fx * np.maximum(slant, 0.05) ** -0.6
        light = self._irradiance(face, st) + self._emission[face][:, None]
        albedo = self._albedo(face, st, footprint.astype(np.float32))
        return albedo * light, albedo

    def _albedo(
        self,
        face: Int[np.ndarray, " N"],
        st: Float32[np.ndarray, "N 2"],
        footprint: Float32[np.ndarray, " N"],
    ) -> Float32[np.ndarray, "N 3"]:
        """Trilinear texture lookup."""
        out = np.empty((len(face), 3), np.float32)
        mapping = self._mapping[face]
        texels = st * mapping[:, :2] + mapping[:, 2:]
        level = np.log2(np.maximum(footprint * np.sqrt(np.abs(mapping[:, 0] * mapping[:, 1])), 1.0))
        texture = self._texture[face]
        order = np.argsort(texture, kind="stable")
        bounds = np.searchsorted(texture[order], np.arange(len(self._textures) + 1))
        for index, (start, stop) in enumerate(itertools.pairwise(bounds)):
            if start < stop:
                which = order[start:stop]
                out[which] = _trilinear(self._textures[index], texels[which], level[which])
        return out

    def _irradiance(self, face: Int[np.ndarray, " N"], st: Float32[np.ndarray, "N 2"]) -> Float32[np.ndarray, "N 3"]:
        corner = self._corners[face]
        at = corner[:, :2] + st * corner[:, 2:4]
        at = np.clip(at, corner[:, :2], corner[:, :2] + corner[:, 4:6])
        return _remap(self._atlas, at[:, 0], at[:, 1])

    def _bake(self, lights: list[Light]) -> tuple[Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "F 6"]]:
        """Irradiance on a grid over every face, packed into one image.

        Returns:
            The image, and per face the place of its first sample (x, y), samples per metre along s and t, and
            its last sample relative to the first.
        """
        counts = np.array([[max(2, round(side / LIGHTMAP_M) + 1) for side in face.size] for face in self._faces])
        width = max(512, counts[:, 0].max())
        corners, x, y, shelf = np.empty((len(counts), 6), np.float32), 0, 0, 0
        for index in np.argsort(-counts[:, 1], kind="stable"):
            across, down = counts[index]
            if x + across > width:
                x, y, shelf = 0, y + shelf, 0
            size = self._faces[index].size
            corners[index] = (x, y, (across - 1) / size[0], (down - 1) / size[1], across - 1, down - 1)
            x, shelf = x + across, max(shelf, down)
        points, normals, places = [], [], []
        for index, face in enumerate(self._faces):
            across, down = counts[index]
            # Samples keep off the rim, where the neighbouring face would shade them wholly.
            s = np.clip(np.linspace(0, face.size[0], across), 0.02 * face.size[0], 0.98 * face.size[0])
            t = np.clip(np.linspace(0, face.size[1], down), 0.02 * face.size[1], 0.98 * face.size[1])
            grid = face.origin + t[:, None, None] * face.v + s[None, :, None] * face.u + 2e-3 * face.normal
            points.append(grid.reshape(-1, 3))
            normals.append(np.broadcast_to(face.normal, (across * down, 3)))
            column, row = np.meshgrid(np.arange(across), np.arange(down))
            places.append(np.stack([column.ravel() + corners[index, 0], row.ravel() + corners[index, 1]], 1))
        at = np.concatenate(places).astype(np.int64)
        light = self._light(np.concatenate(points), np.concatenate(normals), lights)
        atlas = np.zeros((y + shelf, width, 3), np.float32)
        atlas[at[:, 1], at[:, 0]] = light
        return atlas, corners

    def _light(
        self, points: Float[np.ndarray, "P 3"], normals: Float[np.ndarray, "P 3"], lights: list[Light],
    ) -> Float[np.ndarray, "P 3"]:  # fmt: skip
        """Direct light with soft shadows, and ambient light that is weaker where something is near."""
        total = np.zeros((len(points), 3))
        for light in lights:
            for k in range(_LIGHT_RAYS):
                radius, angle = light.radius * np.sqrt((k + 0.5) / _LIGHT_RAYS), k * 2.39996
                lamp = light.center + radius * np.array([np.cos(angle), np.sin(angle), 0])
                ray = lamp - points
                distance = np.linalg.norm(ray, axis=1)
                seen = ~self._blocked(points, ray)
                falls = np.maximum(np.einsum("pi,pi->p", normals, ray) / distance, 0)
                leaves = np.maximum(ray[:, 2] / distance, 0) * 0.7 + 0.3
                direct = light.power / _LIGHT_RAYS * seen * falls * leaves / np.maximum(distance, 0.3) ** 2
                total += direct[:, None] * np.array([1.0, 0.96, 0.9])
        for k in range(_AMBIENT_RAYS):
            # Cosine-weighted: a point on the unit sphere about the tip of the normal. The same points for
            # all, on a spiral, so that the error of so few rays is a smooth one and plain walls stay plain.
            z, angle = 1 - (2 * k + 1) / _AMBIENT_RAYS, k * 2.39996
            ball = np.array([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z])
            way = normals + 0.999 * ball
            distance = self._distance(points, way / np.linalg.norm(way, axis=1, keepdims=True))
            total += (0.5 / _AMBIENT_RAYS * np.minimum(0.25 + distance / 1.6, 1.0))[:, None] * np.array(
                [0.97, 0.99, 1.0]
            )
        return total

    def _blocked(self, points: Float[np.ndarray, "P 3"], rays: Float[np.ndarray, "P 3"]) -> Bool[np.ndarray, " P"]:
        """Whether something lies between a point and the end of its ray."""
        both = _tensor(np.concatenate([points, rays], 1), np.float32)
        return self._scene.test_occlusions(both, tnear=1e-4, tfar=0.999).numpy()

    def _distance(self, points: Float[np.ndarray, "P 3"], rays: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        """How far a ray goes, in multiples of its length, at most 100."""
        both = _tensor(np.concatenate([points, rays], 1), np.float32)
        return np.minimum(self._scene.cast_rays(both)["t_hit"].numpy(), 100.0).astype(np.float64)


def photograph(
    radiance: Float32[np.ndarray, "H W 3"], exposure: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Exposure and white balance that differ a little between photos, vignetting, sensor noise, sRGB."""
    height, width = radiance.shape[:2]
    gain = exposure * np.exp(rng.normal(0, 0.04)) * np.exp(rng.normal(0, 0.008, 3))
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height) * height / width)
    signal = radiance * gain * (1 - 0.05 * (x**2 + y**2))[..., None]
    # Shot and read noise; the blur is what interpolating the colour filter does to it.
    sigma = np.sqrt(1.5e-4 * np.maximum(signal, 0) + 4e-6)
    grain = cv2.GaussianBlur(rng.standard_normal(signal.shape), (0, 0), 0.6)
    srgb = srgb_from_linear(np.clip(signal + sigma * grain, 0, 1))
    return np.round(srgb * 255).astype(np.uint8)


def _on_border(face: Int[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels that show another face than one of their eight neighbours."""
    values = face.astype(np.int16)
    box = np.ones((3, 3), np.uint8)
    return cv2.dilate(values, box) != cv2.erode(values, box)


def _tensor(array: np.ndarray, dtype: type | None = None) -> Any:
    """An open3d tensor of the array."""
    import open3d as o3d

    return o3d.core.Tensor(np.ascontiguousarray(array, dtype))  # type: ignore[call-overload]


def _mesh(faces: list[Face]) -> tuple[np.ndarray, np.ndarray, Int[np.ndarray, " T"]]:
    vertices, triangles, owner, start = [], [], [], 0
    for index, face in enumerate(faces):
        points, corners = face.mesh()
        vertices.append(points)
        triangles.append(corners + start)
        owner += [index] * len(corners)
        start += len(points)
    return np.concatenate(vertices), np.concatenate(triangles), np.array(owner, np.int32)


def _texel_mapping(face: Face) -> Float[np.ndarray, " 4"]:
    """(scale of s, of t, offset of the column, of the row) from metres to texels of the finest level."""
    rows, cols = face.texture.levels[0].shape[:2]
    if face.texture.texels_per_m is None:
        return np.array([cols / face.size[0], -rows / face.size[1], 0, rows])
    scale = face.texture.texels_per_m
    return np.array([scale, -scale, face.offset[0] * scale, face.offset[1] * scale + rows])


def _trilinear(
    texture: Texture, texels: Float32[np.ndarray, "N 2"], level: Float32[np.ndarray, " N"]
) -> Float32[np.ndarray, "N 3"]:
    rows, cols = texture.levels[0].shape[:2]
    if texture.texels_per_m is None:
        size = np.array([cols, rows], np.float32)
        wrapped, border = np.clip(texels, 0, size), cv2.BORDER_REPLICATE
    else:
        wrapped, border = np.mod(texels, np.array([cols, rows], np.float32)), cv2.BORDER_WRAP
    level = np.minimum(level, len(texture.levels) - 1)
    low = np.minimum(level.astype(np.int32), len(texture.levels) - 2) if len(texture.levels) > 1 else level.astype(int)
    out = np.empty((len(texels), 3), np.float32)
    for step in np.unique(low):
        which = np.flatnonzero(low == step)
        share = (level[which] - step)[:, None]
        colours = [
            _lookup(texture.levels[min(step + k, len(texture.levels) - 1)], wrapped[which], (cols, rows), border)
            for k in (0, 1)
        ]
        out[which] = colours[0] * (1 - share) + colours[1] * share
    return out


def _lookup(
    image: Float32[np.ndarray, "h w 3"],
    texels: Float32[np.ndarray, "N 2"],
    finest: tuple[int, int],
    border: int,
) -> Float32[np.ndarray, "N 3"]:
    x = texels[:, 0] * (image.shape[1] / finest[0]) - 0.5
    y = texels[:, 1] * (image.shape[0] / finest[1]) - 0.5
    return _remap(image, x, y, border)


def _remap(image: np.ndarray, x: np.ndarray, y: np.ndarray, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    """Bilinear samples of `image` at N places. OpenCV limits the sides of a map, so the list is folded."""
    count, width = len(x), 4096
    if count == 0:  # a photo of a single face has no borders, and OpenCV takes no empty map
        return np.empty((0, *image.shape[2:]), image.dtype)
    rows = -(-count // width)
    columns, lines = (np.resize(np.asarray(part, np.float32), (rows, width)) for part in (x, y))
    return cv2.remap(image, columns, lines, cv2.INTER_LINEAR, borderMode=border).reshape(rows * width, -1)[:count]
