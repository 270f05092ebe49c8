"""Incremental mapping by pycolmap, with settings that suit few photos.

Schoenberger and Frahm, "Structure-from-Motion Revisited", CVPR 2016.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Bool, Float, Int

from fewview.recon.scene import Camera
from fewview.recon.sfm.bundle import Bundle
from fewview.recon.sfm.graph import MatchGraph

_MODELS = {
    "general": pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED,
    "planar": pycolmap.TwoViewGeometryConfiguration.PLANAR,
    "panoramic": pycolmap.TwoViewGeometryConfiguration.PANORAMIC,
}


@dataclass(frozen=True)
class Sensors:
    """Which photos share what, at the working size.

    Photos of one camera share the lens; where they are of one orientation too, they share the sensor.
    """

    groups: list[str]
    """Name of each lens's camera group."""
    lens: Int[np.ndarray, " I"]
    """Per photo."""
    sensor: Int[np.ndarray, " I"]
    """Per photo."""
    lens_of_sensor: Int[np.ndarray, " S"]
    size: Float[np.ndarray, "S 2"]
    """Width and height of each sensor in working pixels."""
    scale: Float[np.ndarray, " I"]
    """Working pixels per original pixel."""
    exact: Bool[np.ndarray, " L"]
    """Lenses whose intrinsics are given; the keypoints of their photos are those of `fewview.recon.sfm.lens.ideal`."""
    fisheye_px: Float[np.ndarray, " L"]
    """Focal length in working pixels at which matching took the lens for a fisheye; NaN for others."""

    @property
    def is_fisheye(self) -> Bool[np.ndarray, " L"]:
        return np.isfinite(self.fisheye_px)


@dataclass(frozen=True)
class Candidate:
    """One model that mapping came to."""

    start: str
    """The starting focal lengths, in words."""
    photos: list[int]
    """Indices of the registered photos, ascending: image i of the bundle is photo `photos[i]`."""
    bundle: Bundle
    """In working pixels."""


def find_sensors(graph: MatchGraph, working_px: int, given: dict[int, Camera]) -> Sensors:
    """What the photos share.

    Args:
        given: known intrinsics, by photo.
    """
    groups: list[str] = []
    exact: list[bool] = []
    fisheye: list[float] = []
    names: dict[Camera, str] = {}
    kinds: list[tuple[str, float, float]] = []
    lens, sensor, scale = [], [], []
    for i, photo in enumerate(graph.photos):
        shrink = min(1.0, working_px / max(photo.width, photo.height))
        group = names.setdefault(given[i], f"given for {photo.name}") if i in given else photo.camera_group
        kind = group, photo.width * shrink, photo.height * shrink
        if group not in groups:
            groups.append(group)
            exact.append(i in given)
            fisheye.append(graph.fisheyes.get(group, np.nan) * max(photo.width, photo.height) * shrink)
        if kind not in kinds:
            kinds.append(kind)
        lens.append(groups.index(group))
        sensor.append(kinds.index(kind))
        scale.append(shrink)
    return Sensors(
        groups=groups,
        lens=np.array(lens),
        sensor=np.array(sensor),
        lens_of_sensor=np.array([groups.index(group) for group, _, _ in kinds]),
        size=np.array([[width, height] for _, width, height in kinds]),
        scale=np.array(scale),
        exact=np.array(exact),
        fisheye_px=np.array(fisheye),
    )


def divided(sensors: Sensors, part: Int[np.ndarray, " I"]) -> Sensors:
    """With a lens for each part of a lens's photos. The largest part keeps the name of the group."""
    lenses, lens = np.unique(np.stack([sensors.lens, part], axis=1), axis=0, return_inverse=True)
    kinds, sensor = np.unique(np.stack([sensors.sensor, lens], axis=1), axis=0, return_inverse=True)
    groups, members = [], np.bincount(lens)
    for k, old in enumerate(lenses[:, 0]):
        same = np.flatnonzero(lenses[:, 0] == old)
        larger = (members[same] > members[k]) | ((members[same] == members[k]) & (same < k))
        groups.append(f"{sensors.groups[old]}, lens {1 + larger.sum()}" if larger.any() else sensors.groups[old])
    return Sensors(
        groups=groups,
        lens=lens,
        sensor=sensor,
        lens_of_sensor=kinds[:, 1],
        size=sensors.size[kinds[:, 0]],
        scale=sensors.scale,
        exact=sensors.exact[lenses[:, 0]],
        fisheye_px=sensors.fisheye_px[lenses[:, 0]],
    )


def map_photos(
    graph: MatchGraph, sensors: Sensors, focals: Float[np.ndarray, " L"], start: str, seed: int
) -> list[Candidate]:
    """All models that incremental mapping finds from one choice of focal lengths (working pixels)."""
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    with tempfile.TemporaryDirectory(prefix="fewview-") as folder:
        database = Path(folder) / "database.db"
        write_database(database, graph, sensors, focals)
        models = pycolmap.incremental_mapping(database, folder, folder, mapping_options(seed, sensors))
    candidates = [read_candidate(models[key], sensors, start) for key in sorted(models)]
    return [candidate for candidate in candidates if candidate is not None]


def write_database(path: Path, graph: MatchGraph, sensors: Sensors, focals: np.ndarray) -> None:
    """The matches as COLMAP keeps them: image ids are photos + 1, camera ids sensors + 1."""
    database = pycolmap.Database.open(path)
    for camera in working_cameras(sensors, focals):
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig()
        rig.rig_id = camera.camera_id
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
    for i, keypoints in enumerate(graph.keypoints):
        image = pycolmap.Image(name=f"{i:06d}", camera_id=int(sensors.sensor[i]) + 1)
        image.image_id = i + 1
        database.write_image(image, use_image_id=True)
        frame = pycolmap.Frame()
        frame.frame_id = i + 1
        frame.rig_id = image.camera_id
        frame.add_data_id(image.data_id)
        database.write_frame(frame, use_frame_id=True)
        database.write_keypoints(i + 1, (keypoints * sensors.scale[i]).astype(np.float32))
    for pair in graph.pairs:
        if pair.model not in _MODELS:
            continue
        matches = pair.matches.astype(np.uint32)
        database.write_matches(pair.a + 1, pair.b + 1, matches)
        geometry = pycolmap.TwoViewGeometry()
        geometry.config = _MODELS[pair.model]
        geometry.inlier_matches = matches
        database.write_two_view_geometry(pair.a + 1, pair.b + 1, geometry)
    database.close()


def working_cameras(sensors: Sensors, focals: Float[np.ndarray, " L"]) -> list[pycolmap.Camera]:
    """One per sensor."""
    cameras = []
    for k, (width, height) in enumerate(sensors.size):
        lens = sensors.lens_of_sensor[k]
        camera = pycolmap.Camera(
            camera_id=k + 1,
            model="SIMPLE_RADIAL_FISHEYE" if sensors.is_fisheye[lens] else "SIMPLE_PINHOLE",
            width=round(width),
            height=round(height),
            params=[focals[lens], width / 2, height / 2, 0.0][: 4 if sensors.is_fisheye[lens] else 3],
        )
        camera.has_prior_focal_length = bool(sensors.exact[lens])
        cameras.append(camera)
    return cameras


def mapping_options(seed: int, sensors: Sensors) -> pycolmap.IncrementalPipelineOptions:
    """Settings that suit few photos; given intrinsics stay."""
    options = pycolmap.IncrementalPipelineOptions()
    constant = {int(k) + 1 for k in np.flatnonzero(sensors.exact[sensors.lens_of_sensor])}
    options.constant_cameras = options.mapper.constant_cameras = constant
    options.min_model_size = 2
    options.mapper.init_min_num_inliers = 30
    options.mapper.init_min_tri_angle = 2.0
    options.mapper.init_max_forward_motion = 0.99
    options.mapper.abs_pose_min_num_inliers = 12
    options.mapper.abs_pose_min_inlier_ratio = 0.1
    # At 3 photos, two thirds of all points are seen by two of them only.
    options.triangulation.ignore_two_view_tracks = False
    options.extract_colors = False
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = seed
    # Sums over threads come in no fixed order; so few photos gain nothing from them anyway.
    options.num_threads = options.mapper.num_threads = 1
    return options


def read_candidate(
    model: pycolmap.Reconstruction, sensors: Sensors, start: str, held: Collection[int] = ()
) -> Candidate | None:
    """A model of pycolmap in our terms; None where it has fewer than two photos, no points or senseless lenses.

    Args:
        held: photos whose pose is given.
    """
    image_ids = sorted(model.reg_image_ids())
    point_ids = sorted(model.point3D_ids())
    if len(image_ids) < 2 or not point_ids:
        return None
    if min(model.camera(model.image(i).camera_id).focal_length for i in image_ids) <= 0:
        return None
    place = {image_id: k for k, image_id in enumerate(image_ids)}
    poses = [model.image(image_id).cam_from_world() for image_id in image_ids]
    image, point, xy = [], [], []
    for k, point_id in enumerate(point_ids):
        elements = model.point3D(point_id).track.elements
        for element in sorted(elements, key=lambda e: (e.image_id, e.point2D_idx)):
            image.append(place[element.image_id])
            point.append(k)
            xy.append(model.image(element.image_id).point2D(element.point2D_idx).xy)
    photos = [image_id - 1 for image_id in image_ids]
    used, lens = np.unique(sensors.lens[photos], return_inverse=True)
    used_sensors, sensor = np.unique(sensors.sensor[photos], return_inverse=True)
    # A lens that two sensors share (portrait and landscape) has two focal lengths here: take their mean.
    found = [model.camera(model.image(i).camera_id) for i in image_ids]
    log_focal, k1 = np.zeros(len(used)), np.zeros(len(used))
    for k in range(len(used)):
        cameras = [camera for camera, m in zip(found, lens, strict=True) if m == k]
        log_focal[k] = np.mean([np.log(camera.focal_length) for camera in cameras])
        if sensors.is_fisheye[used[k]]:
            k1[k] = np.mean([camera.params[3] for camera in cameras])
    bundle = Bundle(
        R=np.array([pose.rotation.matrix() for pose in poses]),
        t=np.array([pose.translation for pose in poses]),
        log_focal=log_focal,
        k1=k1,
        fisheye=sensors.is_fisheye[used],
        principal=sensors.size[used_sensors] / 2,
        points=np.array([model.point3D(point_id).xyz for point_id in point_ids]),
        lens=lens,
        sensor=sensor,
        image=np.array(image),
        point=np.array(point),
        xy=np.array(xy),
        held=np.isin(photos, list(held)),
    )
    return Candidate(start, photos, bundle)
