"""OpenCV YAML as EasyMocap has it: `intri.yml` with K_ and dist_, `extri.yml` with R_ (vector), Rot_ (matrix), T_."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from calibration.formats.frames import Z_UP, opencv_camera, opencv_matrix, turned, view_of
from recon.errors import InputError
from recon.io.documents import MALFORMED
from recon.io.inputs import Names
from recon.scene import Camera, View


def write_opencv_yaml(folder: Path, views: Sequence[View]) -> None:
    """Write `intri.yml` and `extri.yml`; the world has z up. Names keep what OpenCV allows in a key."""
    keys = Names()
    intrinsics, extrinsics, names = [], [], []
    for view in views:
        key = keys.claim(view.name)[1]
        names.append(f'   - "{key}"')
        distortion = np.array([*view.camera.distortion, 0.0, 0.0, 0.0, 0.0, 0.0][:5])
        intrinsics += [_matrix(f"K_{key}", opencv_matrix(view.camera)), _matrix(f"dist_{key}", distortion[None])]
        intrinsics += [f"H_{key}: {view.camera.height}", f"W_{key}: {view.camera.width}"]
        T = turned(view, Z_UP).T_camera_world
        rotation = Rotation.from_matrix(T[:3, :3]).as_rotvec()
        extrinsics += [_matrix(f"R_{key}", rotation[:, None]), _matrix(f"Rot_{key}", T[:3, :3])]
        extrinsics += [_matrix(f"T_{key}", T[:3, 3:])]
    for name, lines in (("intri.yml", intrinsics), ("extri.yml", extrinsics)):
        (folder / name).write_text("\n".join(["%YAML:1.0", "---", "names:", *names, *lines, ""]), encoding="utf-8")


def read_opencv_yaml(path: Path) -> dict[str, Camera | View]:
    """Read `intri.yml`, and `extri.yml` where it lies beside it; lenses alone otherwise.

    Args:
        path: either file, or their folder.

    Raises:
        InputError: not of this kind, or without image sizes (H_ and W_, which old EasyMocap did not write).
    """
    folder = path if path.is_dir() else path.parent
    intrinsics = _open(folder / "intri.yml")
    extrinsics = _open(folder / "extri.yml") if (folder / "extri.yml").is_file() else None
    out: dict[str, Camera | View] = {}
    try:
        names = intrinsics.getNode("names")
        for name in [names.at(i).string() for i in range(names.size())]:
            size = (round(intrinsics.getNode(f"W_{name}").real()), round(intrinsics.getNode(f"H_{name}").real()))
            if min(size) < 1:
                raise ValueError(f"it does not say the image size of {name} (W_{name}, H_{name})")
            K, distortion = _read(intrinsics, f"K_{name}"), _read(intrinsics, f"dist_{name}")
            camera = opencv_camera(name, size, K, distortion)
            out[name] = camera
            if extrinsics is not None:
                view = view_of(name, camera, _read(extrinsics, f"Rot_{name}"), _read(extrinsics, f"T_{name}"))
                out[name] = turned(view, Z_UP.T)
    except (cv2.error, SystemError, *MALFORMED) as error:
        raise InputError(
            f"{folder / 'intri.yml'} is not a readable calibration: {error}.", "Export it again."
        ) from error
    return out


def _matrix(name: str, values: np.ndarray) -> str:
    """As OpenCV writes it, but with every digit."""
    data = ", ".join(repr(float(value)) for value in values.ravel())
    rows, columns = values.shape
    return f"{name}: !!opencv-matrix\n   rows: {rows}\n   cols: {columns}\n   dt: d\n   data: [ {data} ]"


def _open(path: Path) -> cv2.FileStorage:
    try:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    except (cv2.error, SystemError) as error:
        raise InputError(f"{path} is not an OpenCV YAML file: {error}.", "Export it again.") from error
    if not storage.isOpened():
        raise InputError(f"There is no {path}.", "Name the folder with intri.yml and extri.yml.")
    return storage


def _read(storage: cv2.FileStorage, name: str) -> np.ndarray:
    values = storage.getNode(name).mat()
    if values is None:
        raise ValueError(f"it lacks {name}")
    return np.asarray(values, np.float64)
