"""The files of a run that are worth taking away."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fewview.apps.results.model import ResultFile

_TITLES = {
    "splat/splat.ply": "Gaussian splats (3DGS PLY)",
    "renders/preview.splat": "Small splats for web viewers",
    "mesh/mesh.glb": "Mesh (GLB)",
    "mesh/mesh.ply": "Mesh (PLY)",
    "depth/points.ply": "Dense points (PLY)",
    "splat/transforms.json": "Refined cameras (nerfstudio)",
    "splat/sparse/0": "Refined cameras and points (COLMAP)",
    "cameras/transforms.json": "Cameras (nerfstudio)",
    "cameras/sparse/0": "Cameras and points (COLMAP)",
    "renders/path.mp4": "Film through the photos",
    "renders/orbit.mp4": "Film around the scene",
    "layout/floorplan.svg": "Floor plan (SVG)",
    "layout/floorplan.dxf": "Floor plan (DXF)",
    "layout/room.glb": "Room (GLB)",
    "layout/layout.json": "Layout (JSON)",
    "motion/cameras.json": "Calibrated cameras (JSON)",
    "motion/Calib.toml": "Calibrated cameras (Pose2Sim)",
    "motion/calibration.toml": "Calibrated cameras (anipose, FreeMoCap)",
    "motion/intri.yml": "Intrinsics (OpenCV, EasyMocap)",
    "motion/extri.yml": "Extrinsics (OpenCV, EasyMocap)",
    "motion/transforms.json": "Calibrated cameras (nerfstudio)",
    "motion/rig.json": "Offsets and scale of the rig (JSON)",
    "motion/report.html": "Calibration report",
}
_MOTION = {".c3d": "Motion (C3D)", ".trc": "Motion of one person (TRC)", ".npz": "Motion (NumPy)"}


def result_files(out: Path, done: Collection[str]) -> tuple[ResultFile, ...]:
    """Those that are there, of the stages `done`; cameras that were refined stand for those they come from."""
    found = [
        ResultFile(path, title, _bytes(out / path))
        for path, title in _TITLES.items()
        if path.split("/")[0] in done and (out / path).exists()
    ]
    if "motion" in done:
        files = sorted(path for path in (out / "motion").iterdir() if path.suffix in _MOTION)
        found += [ResultFile(f"motion/{path.name}", _MOTION[path.suffix], path.stat().st_size) for path in files]
    refined = {file.path for file in found if file.path.startswith("splat/")}
    return tuple(file for file in found if file.path.replace("cameras/", "splat/", 1) not in refined - {file.path})


def _bytes(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir())
    return path.stat().st_size
