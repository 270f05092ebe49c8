"""Ray casting of textured faces with baked soft light, and the camera that takes the photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from data.gallery.solids import Face
from data.gallery.textures import Texture, srgb_from_linear
from recon.scene import Camera, View

if TYPE_CHECKING:
    pass

SUPERSAMPLING = 2
"""Rays per pixel and axis."""
LIGHTMAP_M = 0.1
"""Spacing of the points at which light is computed."""
_LIGHT_RAYS = 14
_AMBIENT_RAYS = 40


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


class Renderer:
    """Faces, ready to be looked at."""

    def __init__(self, faces: list[Face], lights: list[Light], seed: int) -> None:
        import open3d as o3d

        self._faces = faces
        self._normals = np.stack([face.normal for face in faces])
        self._origins = np.stack([face.origin for face in faces])
        self._axes = np.stack([np.stack([face.u, face.v]) for face in faces])
        self._offsets = np.einsum("fi,fi->f", self._normals, self._origins)
        self._instances = np.array([face.instance for face in faces], np.int32)
        textures: dict[int, int] = {}
        self._textures: list[Texture] = []
        for face in faces:
            if id(face.texture) not in textures:
                textures[id(face.texture)] = len(self._textures)
                self._textures.append(face.texture)
        self._texture = np.array([textures[id(face.texture)] for face in faces], np.int32)
        self._mapping = np.stack([_texel_mapping(face) for face in faces]).astype(np.float32)
        self._emission = np.array([face.emission for face in faces], np.float32)

        vertices, triangles, self._face_of_triangle = _mesh(faces)
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(triangles.astype(np.uint32))
        )
        self._atlas, self._corners = self._bake(lights, np.random.default_rng(seed))

    def truth(self, view: View) -> Truth:
        """Exact geometry. Rays are float32, but the depth is that of the face's plane in float64."""
        rays = _rays(view.camera)
        face = self._first_face(view, rays)
        R = view.T_world_camera[:3, :3]
        depth = self._depth(view, rays @ R.T, face)
        normal = (self._normals @ R)[face]
        return Truth(depth.astype(np.float32), normal.astype(np.float32), self._instances[face])

    def radiance(self, view: View) -> Float32[np.ndarray, "H W 3"]:
        """Linear light, anti-aliased, before exposure."""
        camera = view.camera
        fine = camera.resized(camera.width * SUPERSAMPLING, camera.height * SUPERSAMPLING)
        rays = _rays(fine)
        face = self._first_face(view, rays).ravel()
        world = (rays @ view.T_world_camera[:3, :3].T).reshape(-1, 3)
        depth = self._depth(view, world, face).astype(np.float32)
        from_origin = np.einsum("fij,fj->fi", self._axes, view.center - self._origins)
        axes = self._axes[face].astype(np.float32)
        st = from_origin[face].astype(np.float32) + depth[:, None] * np.einsum(
            "nij,nj->ni", axes, world.astype(np.float32)
        )
        slant = np.abs(np.einsum("ni,ni->n", self._normals[face], world)) / np.linalg.norm(world, axis=1)
        footprint = depth / fine.fx / np.sqrt(np.maximum(slant, 0.05))
        albedo = self._albedo(face, st, footprint.astype(np.float32))
        light = self._irradiance(face, st)
        glow = self._emission[face][:, None]
        image = (albedo * (light + glow)).reshape(fine.height, fine.width, 3)
        return cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)

    def _first_face(self, view: View, rays: Float[np.ndarray, "H W 3"]) -> Int[np.ndarray, "H W"]:
        import open3d as o3d

        world = rays @ view.T_world_camera[:3, :3].T
        both = np.concatenate([np.broadcast_to(view.center, world.shape), world], -1).astype(np.float32)
        triangle = self._scene.cast_rays(o3d.core.Tensor(both))["primitive_ids"].numpy()
        if (triangle == o3d.t.geometry.RaycastingScene.INVALID_ID).any():
            raise ValueError("a ray leaves the room: the room is not closed, or the camera is outside")
        return self._face_of_triangle[triangle]

    def _depth(
        self, view: View, world: Float[np.ndarray, "*B 3"], face: Int[np.ndarray, "*B"]
    ) -> Float[np.ndarray, "*B"]:
        """Ray parameter, which is z-depth for rays of unit z, of the face's plane."""
        height = self._offsets - self._normals @ view.center
        return height[face] / np.einsum("...i,...i->...", self._normals[face], world)

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
        for index, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
            if start < stop:
                which = order[start:stop]
                out[which] = _trilinear(self._textures[index], texels[which], level[which])
        return out

    def _irradiance(
        self, face: Int[np.ndarray, " N"], st: Float32[np.ndarray, "N 2"]
    ) -> Float32[np.ndarray, "N 3"]:
        corner = self._corners[face]
        at = corner[:, :2] + st * corner[:, 2:4]
        at = np.clip(at, corner[:, :2], corner[:, :2] + corner[:, 4:6])
        return _remap(self._atlas, at[:, 0], at[:, 1])

    def _bake(
        self, lights: list[Light], rng: np.random.Generator
    ) -> tuple[Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "F 6"]]:
        """Irradiance on a grid over every face, packed into one image.

        Returns:
            The image, and per face the place of its first sample (x, y), samples per metre along s and t, and its
            last sample relative to the first.
        """
        counts = np.array(
            [[max(2, round(side / LIGHTMAP_M) + 1) for side in face.size] for face in self._faces]
        )
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
        light = self._light(np.concatenate(points), np.concatenate(normals), lights, rng)
        atlas = np.zeros((y + shelf, width, 3), np.float32)
        atlas[at[:, 1], at[:, 0]] = light
        return atlas, corners

    def _light(
        self, points: Float[np.ndarray, "P 3"], normals: Float[np.ndarray, "P 3"], lights: list[Light],
        rng: np.random.Generator,
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
        for _ in range(_AMBIENT_RAYS):
            # Cosine-weighted: a point on the unit sphere about the tip of the normal.
            ball = rng.standard_normal((len(points), 3))
            way = normals + 0.999 * ball / np.linalg.norm(ball, axis=1, keepdims=True)
            distance = self._distance(points, way / np.linalg.norm(way, axis=1, keepdims=True))
            total += (0.5 / _AMBIENT_RAYS * np.minimum(0.25 + distance / 1.6, 1.0))[:, None] * np.array(
                [0.97, 0.99, 1.0]
            )
        return total

    def _blocked(self, points: np.ndarray, rays: np.ndarray) -> np.ndarray:
        import open3d as o3d

        both = o3d.core.Tensor(np.concatenate([points, rays], 1).astype(np.float32))
        return self._scene.test_occlusions(both, tnear=1e-4, tfar=0.999).numpy()

    def _distance(self, points: np.ndarray, rays: np.ndarray) -> np.ndarray:
        import open3d as o3d

        both = o3d.core.Tensor(np.concatenate([points, rays], 1).astype(np.float32))
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


def _rays(camera: Camera) -> Float[np.ndarray, "H W 3"]:
    """Directions through the pixel centres, camera frame, z = 1."""
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    grid = np.meshgrid(x, y)
    return np.stack([*grid, np.ones_like(grid[0])], -1)


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
    low = (
        np.minimum(level.astype(np.int32), len(texture.levels) - 2)
        if len(texture.levels) > 1
        else level.astype(int)
    )
    out = np.empty((len(texels), 3), np.float32)
    for step in np.unique(low):
        which = np.flatnonzero(low == step)
        share = (level[which] - step)[:, None]
        colours = [
            _lookup(
                texture.levels[min(step + k, len(texture.levels) - 1)], wrapped[which], (cols, rows), border
            )
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
    rows = -(-count // width)
    folded = [np.resize(np.asarray(part, np.float32), (rows, width)) for part in (x, y)]
    return cv2.remap(image, *folded, cv2.INTER_LINEAR, borderMode=border).reshape(rows * width, -1)[:count]
