"""Photos of a place to cameras, depth, Gaussian splats, a mesh and a room; videos of people to cameras and motion.

    import fewview

    run = fewview.reconstruct("photos/", "room", preset="fast")  # again: continues, or finds everything done
    for view in run.cameras.views:
        print(view.name, view.camera.fx, view.center)            # pixels of the original, world frame
    depth = run.depth(run.cameras.views[0].name)                 # z-depth (H, W), NaN = unknown
    view = run.refined_cameras.views[0]                          # the splat belongs to these
    T_camera_world = torch.tensor(view.T_camera_world, dtype=torch.float32)
    picture = fewview.rasterize(run.splat(), T_camera_world, view.camera.fitted(640)).image  # RGB (H, W, 3)
    run.mesh().show()

Conventions: OpenCV camera axes (x right, y down, z forward), `T_world_camera` maps camera to world, pixel centres at
half-integers, metres where `run.cameras.units` says so. Errors that you can mend are `FewviewError`s with a `remedy`.

Names load when they are first used: importing this loads neither torch nor NumPy.
"""

from __future__ import annotations

TYPE_CHECKING = False  # that of `typing` costs more to import than all of this; checkers know the name
if TYPE_CHECKING:
    from fewview.recon.dag.live import Step
    from fewview.recon.errors import FewviewError
    from fewview.recon.io.cameras import CameraSet
    from fewview.recon.scene import Camera, View
    from fewview.runs import DepthMap, Run, calibrate, open_run, reconstruct
    from fewview.splatting.gaussians import Gaussians
    from fewview.splatting.rasterize import Rendering, rasterize

    __version__: str

__all__ = [
    "Camera",
    "CameraSet",
    "DepthMap",
    "FewviewError",
    "Gaussians",
    "Rendering",
    "Run",
    "Step",
    "View",
    "__version__",
    "calibrate",
    "open_run",
    "rasterize",
    "reconstruct",
]

_HOMES = {
    "Camera": "fewview.recon.scene",
    "CameraSet": "fewview.recon.io.cameras",
    "DepthMap": "fewview.runs",
    "FewviewError": "fewview.recon.errors",
    "Gaussians": "fewview.splatting.gaussians",
    "Rendering": "fewview.splatting.rasterize",
    "Run": "fewview.runs",
    "Step": "fewview.recon.dag.live",
    "View": "fewview.recon.scene",
    "calibrate": "fewview.runs",
    "open_run": "fewview.runs",
    "rasterize": "fewview.splatting.rasterize",
    "reconstruct": "fewview.runs",
}
"""The module in which each name is defined."""


if not TYPE_CHECKING:  # else checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            value = version("fewview")
        elif name in _HOMES:
            from importlib import import_module

            value = getattr(import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module 'fewview' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
