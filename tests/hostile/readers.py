"""Every reader of users' files, with a small sound input for each: what the fuzz tests damage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as imageio
import numpy as np
import torch
from PIL import ExifTags, Image

from fewview.apps.batches import jobs_file, journal
from fewview.calibration.artifact import Take, load_takes, save_takes
from fewview.calibration.detect.videos import video_facts
from fewview.calibration.evaluate import read_truth_motion
from fewview.calibration.formats.calibration_toml import write_anipose, write_pose2sim
from fewview.calibration.formats.known import read_cameras_file
from fewview.calibration.formats.motion import read_motion, write_motion
from fewview.calibration.formats.opencv_yaml import write_opencv_yaml
from fewview.calibration.inputs.arrays import read_camera, read_rig
from fewview.calibration.inputs.coco import read_coco
from fewview.calibration.inputs.openpose import read_openpose
from fewview.calibration.inputs.recording import Recording
from fewview.calibration.inputs.sizes import read_sizes
from fewview.calibration.observations import Detections, Motion
from fewview.calibration.skeleton import JOINTS
from fewview.data.gallery import generate
from fewview.data.photosets import load_photoset
from fewview.data.structured3d import RoomFolder, find_rooms, write_room
from fewview.layout.document import read_layout
from fewview.recon.dag.artifact import read_record
from fewview.recon.io.cameras import CameraSet, Verdict, read_cameras, write_cameras
from fewview.recon.io.colmap import SparsePoints, read_model, write_model
from fewview.recon.io.exif import camera_group, focal_prior
from fewview.recon.io.images import UnusableImage, decode_image
from fewview.recon.io.transforms import read_transforms, write_transforms
from fewview.recon.io.video import sharpest_frames
from fewview.recon.photos import Photo, load_photos, save_photos
from fewview.recon.scene import Camera, View
from fewview.splatting.camera_path import read_camera_path
from fewview.splatting.export import read_ply, read_splat, read_spz, write_ply, write_splat, write_spz
from fewview.splatting.gaussians import Gaussians

SIZE = (96, 72)


@dataclass(frozen=True)
class Reader:
    """A reader and a sound input for it."""

    write: Callable[[Path], None]
    """Fills an empty folder."""
    read: Callable[[Path], Any]
    """Reads the folder, and asserts that what comes back can be used."""


def views() -> list[View]:
    """Two cameras side by side, the second distorted."""
    T = np.eye(4)
    T[0, 3] = 0.25
    plain = Camera(640, 480, 500.0, 505.0, 320.0, 240.0)
    bent = Camera(640, 480, 510.0, 505.0, 321.0, 239.0, (-0.1, 0.02, 0.001, -0.002))
    return [View("a.jpg", plain, np.eye(4)), View("b.jpg", bent, T)]


def picture(seed: int = 0) -> np.ndarray:
    """RGB, 8 bits, with texture."""
    noise = np.random.default_rng(seed).uniform(0, 255, (SIZE[1], SIZE[0], 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 1).astype(np.uint8)


def photo_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model], exif[ExifTags.Base.Orientation] = "Maker", "Model", 6
    detail = exif.get_ifd(ExifTags.IFD.Exif)
    detail[ExifTags.Base.FocalLength], detail[ExifTags.Base.FocalLengthIn35mmFilm] = 4.25, 26
    detail[ExifTags.Base.ISOSpeedRatings], detail[ExifTags.Base.ExposureTime] = 100, 0.01
    detail[ExifTags.Base.ExifImageWidth], detail[ExifTags.Base.ExifImageHeight] = SIZE
    detail[ExifTags.Base.FocalPlaneXResolution], detail[ExifTags.Base.FocalPlaneResolutionUnit] = 2000.0, 2
    return exif


def _image(suffix: str, **options: Any) -> Reader:
    def write(folder: Path) -> None:
        Image.fromarray(picture()).save(folder / f"photo.{suffix}", exif=photo_exif(), **options)

    return Reader(write, lambda folder: _photo(folder / f"photo.{suffix}"))


def _photo(path: Path) -> None:
    try:
        decoded = decode_image(path.read_bytes(), 64)
    except UnusableImage:
        return
    assert decoded.rgb.dtype == np.uint8
    assert max(decoded.rgb.shape[:2]) <= 64
    focal, _ = focal_prior(decoded.exif, decoded.width, decoded.height)
    assert focal is None or 0 < focal < math.inf
    assert camera_group(decoded.exif, decoded.width, decoded.height).isprintable()
    json.dumps(decoded.exif.summary(), allow_nan=False)


def _write_exif(folder: Path) -> None:
    (folder / "block.exif").write_bytes(photo_exif().tobytes())


def _read_exif(folder: Path) -> None:
    """The block inside a sound JPEG, so that all damage strikes EXIF."""
    data = BytesIO()
    Image.fromarray(picture()).save(data, "JPEG", exif=(folder / "block.exif").read_bytes()[:65_000])
    (folder / "photo.jpg").write_bytes(data.getvalue())
    decode_image(data.getvalue(), 64)
    _photo(folder / "photo.jpg")


def _write_video(folder: Path) -> None:
    frames = np.stack([picture(seed) for seed in range(8)])
    imageio.imwrite(folder / "clip.mp4", frames, fps=24, macro_block_size=8, ffmpeg_log_level="error")


def _read_video(folder: Path) -> None:
    try:
        frames = sharpest_frames(folder / "clip.mp4", 2, 64)
    except UnusableImage:
        frames = []
    assert all(max(frame.rgb.shape[:2]) <= 64 and math.isfinite(frame.sharpness) for frame in frames)
    facts = video_facts(folder / "clip.mp4")
    assert facts.width > 0
    assert facts.height > 0


def _usable(found: Iterable[View | Camera]) -> None:
    for each in found:
        camera = each if isinstance(each, Camera) else each.camera
        assert min(camera.width, camera.height, camera.fx, camera.fy) > 0
        assert np.isfinite([*camera.matrix.ravel(), *camera.distortion]).all()
        if isinstance(each, View):
            R = each.T_world_camera[:3, :3]
            assert np.isfinite(each.T_world_camera).all()
            assert np.allclose(R @ R.T, np.eye(3), atol=0.01)
            assert isinstance(each.name, str)


def _points() -> SparsePoints:
    tracks = [[(0, np.array([10.0 + i, 20.0])), (1, np.array([12.0, 21.0 + i]))] for i in range(3)]
    return SparsePoints(np.ones((3, 3)), np.full((3, 3), 9, np.uint8), np.ones(3), tracks)


def _read_model(folder: Path) -> None:
    found, points = read_model(folder)
    _usable(found)
    assert all(0 <= index < len(found) for track in points.tracks for index, _ in track)


def _gaussians() -> Gaussians:
    generator = torch.Generator().manual_seed(0)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(4, *shape, generator=generator)

    return Gaussians(some(3), some(4), some(3) - 3, some(), some(4, 3))


def _read_gaussians(gaussians: Gaussians) -> None:
    gaussians.check()
    assert all(bool(tensor.isfinite().all()) for tensor in vars(gaussians).values())


def _people(frames: int = 3) -> np.ndarray:
    """(F, P, K, 3) in COCO's order."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(10, 400, (frames, 2, 17, 2)), np.full((frames, 2, 17, 1), 0.8)], -1)


def _recorded(recording: Recording) -> None:
    seen = recording.confidence > 0
    assert recording.xy.ndim == 4
    assert recording.xy.shape[2:] == (len(JOINTS), 2)
    assert np.isfinite(recording.xy[seen]).all()
    assert np.isnan(recording.xy[~seen]).all()
    assert np.isfinite(recording.confidence).all()
    assert (recording.confidence >= 0).all()
    assert recording.size is None or min(recording.size) > 0
    assert recording.fps is None or 0 < recording.fps < math.inf


def _write_openpose(folder: Path) -> None:
    for frame, people in enumerate(_people()):
        entries = [{"pose_keypoints_2d": person.ravel().tolist()} for person in people]
        (folder / f"cam_{frame:06d}_keypoints.json").write_text(json.dumps({"people": entries}))


def _write_coco(folder: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(3)]
    found = [
        {"image_id": frame, "keypoints": person.ravel().tolist()}
        for frame, people in enumerate(_people())
        for person in people
    ]
    (folder / "cam.json").write_text(json.dumps({"images": images, "annotations": found}))


def _detections() -> Detections:
    xy = np.random.default_rng(0).uniform(10, 400, (3, 1, len(JOINTS), 2)).astype(np.float32)
    return Detections("cam1", (640, 480), 30.0, xy, np.full(xy.shape[:3], 0.9, np.float32))


def _motion() -> Motion:
    xyz = np.random.default_rng(0).normal(size=(4, 1, len(JOINTS), 3))
    return Motion(30.0, 0.0, xyz, np.ones(xyz.shape[:3]), np.full(xyz.shape[:3], 2))


def _read_motion(motion: Motion) -> None:
    assert motion.xyz.ndim == 4
    assert motion.xyz.shape[-1] == 3
    assert motion.score.shape == motion.support.shape == motion.xyz.shape[:3]
    assert 0 < motion.fps < math.inf
    assert math.isfinite(motion.start_s)


def _read_truth(folder: Path) -> None:
    xyz = read_truth_motion(folder / "motion.npz", _motion())
    assert xyz.ndim == 4
    assert xyz.shape[-1] == 3


def _write_opencv_json(folder: Path) -> None:
    entries = [
        {"name": v.name, "size": [640, 480], "K": v.camera.matrix.tolist(), "dist": [0.0] * 5}
        | {"R": v.T_camera_world[:3, :3].tolist(), "t": v.T_camera_world[:3, 3].tolist()}
        for v in views()
    ]
    (folder / "cameras.json").write_text(json.dumps(entries))


_QUALISYS = """<calibration><cameras><camera serial="{}" viewrotation="0">
<fov_video left="0" top="0" right="639" bottom="479"/>
<transform x="{}" y="0" z="0" r11="1" r12="0" r13="0" r21="0" r22="1" r23="0" r31="0" r32="0" r33="1"/>
<intrinsic focalLengthU="32000" focalLengthV="32000" centerPointU="20480" centerPointV="15360"
radialDistortion1="0.1" radialDistortion2="0" radialDistortion3="0" tangentalDistortion1="0" tangentalDistortion2="0"/>
</camera></cameras></calibration>"""


def _write_camera_path(folder: Path) -> None:
    frames = [{"world_from_camera": view.T_world_camera.tolist(), "fov_deg": 50} for view in views()]
    (folder / "path.json").write_text(json.dumps({"width": 64, "height": 48, "fps": 12, "frames": frames}))


def _write_nerfstudio_path(folder: Path) -> None:
    frames = [{"camera_to_world": np.eye(4).ravel().tolist(), "fov": 50, "aspect": 1.3}]
    document = {"camera_type": "perspective", "render_width": 64, "render_height": 48, "fps": 12}
    (folder / "path.json").write_text(json.dumps(document | {"camera_path": frames}))


def _read_camera_path(folder: Path) -> None:
    path = read_camera_path(folder / "path.json")
    assert len(path.Ts_world_camera) == len(path.fov_deg) > 0
    assert np.isfinite(path.Ts_world_camera).all()


def _write_structured3d(folder: Path) -> None:
    write_room(generate(seed=3, shape="l", views=1, size=(24, 18), walk="around"), folder, scene=3)


def _read_structured3d(folder: Path) -> None:
    for room in find_rooms(folder):
        _read_room(room)


def _read_room(room: RoomFolder) -> None:
    found = room.views()
    _usable(found)
    for layout in room.layouts():
        layout.labels((24, 18), (24, 18))
    room.seen_planes()
    assert np.isfinite(room.floor()).all()
    assert math.isfinite(room.height())


def _write_photoset(folder: Path) -> None:
    (folder / "a.jpg").touch()
    frame = {"file": "a.jpg", "width": 64, "height": 48, "fx": 50.0, "fy": 50.0, "cx": 32.0, "cy": 24.0}
    frame |= {"world_from_camera": np.eye(4).tolist(), "distortion": {"k1": 0.1}}
    (folder / "cameras.json").write_text(json.dumps({"name": "set", "units": "metre", "frames": [frame]}))


def _write_layout(folder: Path) -> None:
    corners = np.array([[0.0, 0], [4, 0], [4, 3], [0, 3]])
    walls = [
        {"ax": a[0], "ay": a[1], "bx": b[0], "by": b[1], "observed": True, "confidence": 1.0, "openings": []}
        for a, b in zip(corners.tolist(), np.roll(corners, -1, 0).tolist(), strict=True)
    ]
    slabs = {name: {"height": h, "observed": True, "confidence": 1.0} for name, h in (("floor", 0.0), ("ceiling", 2.5))}
    document = {"room": True, "R_room_world": np.eye(3).tolist(), "walls": walls, **slabs}
    (folder / "layout.json").write_text(json.dumps(document))


def _read_layout(folder: Path) -> None:
    layout = read_layout(folder / "layout.json")
    assert layout is None or (np.isfinite(layout.R_room_world).all() and np.isfinite(layout.polygon).all())


def _write_photos(folder: Path) -> None:
    (folder / "images").mkdir()
    Image.fromarray(picture()).save(folder / "images" / "a.png")
    save_photos(folder, [Photo("a.jpg", "a", "a.jpg", "0" * 64, *SIZE, "images/a.png", mask="images/a.png")])


def _read_photos(folder: Path) -> None:
    for photo in load_photos(folder, excluded=True):
        assert photo.load_image8(folder).ndim == 3
        photo.load_mask(folder)


def _write_record(folder: Path) -> None:
    record = {
        "name": "photos", "key": "k", "ingredients": {}, "files": {"a": {"sha256": "0", "bytes": 1}}, "digest": "d",
        "seconds": 1.0, "peak_mib": None, "attempts": 1, "facts": {}, "fallbacks": [], "schema": 1,
    }  # fmt: skip
    (folder / ".stage.json").write_text(json.dumps(record))


def _write_sizes(folder: Path) -> None:
    (folder / "sizes.json").write_text(json.dumps([{"name": "a", "size": [640, 480]}, {"name": "b", "size": [1, 2]}]))


def _toml(write: Callable[[Path, list[View]], None]) -> Reader:
    return Reader(
        lambda folder: write(folder / "Calib.toml", views()),
        lambda folder: _usable(read_cameras_file(folder / "Calib.toml").values()),
    )


def _put(path: Path, text: str) -> None:
    path.write_text(text)


def _jobs(name: str, text: str) -> Reader:
    def read(folder: Path) -> None:
        for entry in jobs_file.read(folder / name):
            assert entry.photos
            assert all(isinstance(word, str) for word in entry.options)

    return Reader(lambda folder: _put(folder / name, text), read)


def _splats(name: str, write: Callable[[Path, Gaussians], None], read: Callable[[Path], Gaussians]) -> Reader:
    return Reader(
        lambda folder: write(folder / name, _gaussians()), lambda folder: _read_gaussians(read(folder / name))
    )


READERS: dict[str, Reader] = {
    "jpeg": _image("jpg"),
    "png": _image("png"),
    "tiff": _image("tif", compression="tiff_lzw"),
    "tiff-jpeg": _image("tiff", compression="jpeg"),
    "webp": _image("webp"),
    "heic": _image("heic"),
    "exif": Reader(_write_exif, _read_exif),
    "video": Reader(_write_video, _read_video),
    "cameras-json": Reader(
        lambda folder: write_cameras(folder, CameraSet(views(), verdicts=[Verdict("a.jpg", True)], given=("a.jpg",))),
        lambda folder: _usable(read_cameras(folder).views),
    ),
    "transforms": Reader(
        lambda folder: write_transforms(folder / "transforms.json", views()),
        lambda folder: _usable(read_transforms(folder / "transforms.json")),
    ),
    "colmap-binary": Reader(lambda folder: write_model(folder, views(), _points()), _read_model),
    "colmap-text": Reader(lambda folder: write_model(folder, views(), _points(), "text"), _read_model),
    "ply": _splats("splat.ply", write_ply, read_ply),
    "splat": _splats("splat.splat", write_splat, read_splat),
    "spz": _splats("splat.spz", write_spz, read_spz),
    "npz-rig": Reader(
        lambda folder: np.savez(folder / "rig.npz", persons=np.stack([_people()] * 2), fps=30.0),
        lambda folder: [_recorded(each) for each in read_rig(folder / "rig.npz", None)],
    ),
    "npz-camera": Reader(
        lambda folder: np.savez(folder / "cam.npz", **vars(_detections())),
        lambda folder: _recorded(read_camera(folder / "cam.npz", "cam")),
    ),
    "takes": Reader(lambda folder: save_takes(folder, [Take("take", [_detections()])]), load_takes),
    "motion": Reader(
        lambda folder: write_motion(folder / "motion.npz", _motion()),
        lambda folder: _read_motion(read_motion(folder / "motion.npz")),
    ),
    "true-motion": Reader(lambda folder: write_motion(folder / "motion.npz", _motion()), _read_truth),
    "openpose": Reader(_write_openpose, lambda folder: _recorded(read_openpose(folder, "cam", None))),
    "coco": Reader(_write_coco, lambda folder: _recorded(read_coco(folder / "cam.json", "cam", None))),
    "sizes": Reader(_write_sizes, lambda folder: read_sizes(folder / "sizes.json")),
    "pose2sim": _toml(write_pose2sim),
    "anipose": _toml(write_anipose),
    "opencv-yaml": Reader(
        lambda folder: write_opencv_yaml(folder, views()),
        lambda folder: _usable(read_cameras_file(folder / "intri.yml").values()),
    ),
    "opencv-json": Reader(
        _write_opencv_json, lambda folder: _usable(read_cameras_file(folder / "cameras.json").values())
    ),
    "qualisys": Reader(
        lambda folder: _put(folder / "rig.qca.txt", _QUALISYS.format(1, 10)),
        lambda folder: _usable(read_cameras_file(folder / "rig.qca.txt").values()),
    ),
    "camera-path": Reader(_write_camera_path, _read_camera_path),
    "nerfstudio-path": Reader(_write_nerfstudio_path, _read_camera_path),
    "structured3d": Reader(_write_structured3d, _read_structured3d),
    "photoset": Reader(_write_photoset, lambda folder: _usable(load_photoset(folder).views)),
    "layout": Reader(_write_layout, _read_layout),
    "photos": Reader(_write_photos, _read_photos),
    "record": Reader(_write_record, read_record),
    "jobs-toml": _jobs(
        "jobs.toml",
        '[[scene]]\nphotos = ["a", "b.jpg"]\nname = "one"\npreset = "fast"\n\n'
        '[[scene]]\nphotos = "c"\noptions = {splat = {steps = 50}, layout = false}\n',
    ),
    "jobs-lines": _jobs("jobs.jsonl", '{"photos": "a", "options": {"splat": {"steps": 50}}}\n{"photos": ["b", "c"]}\n'),
    "jobs-csv": _jobs("jobs.csv", 'photos,name,options\na;b,one,"--splat.steps 50"\nc,,\n'),
    "batch-journal": Reader(
        lambda folder: _put(folder / "batch.jsonl", '{"event": "started", "scene": "a"}\n{"event": "done"}\n'),
        lambda folder: journal.read(folder),
    ),
}
