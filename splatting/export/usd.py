"""Splats as OpenUSD's ParticleField3DGaussianSplat (usdVol, since USD 26.03), through Pixar's library (extra `usd`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fewview.recon.io.usd import Up, new_stage
from fewview.splatting.gaussians import Gaussians

_EXTENT_SIGMAS = 3.0
"""How far Gaussians reach for the stage's bounds, as the schema's kernel says."""


def write_splat_usd(path: Path, gaussians: Gaussians, up: Up, units: str) -> None:
    """Write `gaussians`, which are in the axes that `up` says.

    Args:
        path: ends in `.usdc` (or `.usda`: text).
        units: `metre` or `unknown`.

    Raises:
        InputError: usd-core is not installed.
    """
    gaussians = gaussians.detach().to("cpu").normalized()
    stage = new_stage(path, up, units)
    from pxr import UsdVol, Vt

    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, "/scene/splats")
    means, scales = gaussians.means.numpy(), gaussians.log_scales.exp().numpy()
    reach = _EXTENT_SIGMAS * scales.max(1, keepdims=True, initial=0)
    bounds = np.stack([(means - reach).min(0, initial=np.inf), (means + reach).max(0, initial=-np.inf)])
    field.CreatePositionsAttr(Vt.Vec3fArray.FromNumpy(means))
    # Quatf keeps its real part last in memory.
    field.CreateOrientationsAttr(
        Vt.QuatfArray.FromNumpy(np.ascontiguousarray(gaussians.quats.numpy()[:, [1, 2, 3, 0]]))
    )
    field.CreateScalesAttr(Vt.Vec3fArray.FromNumpy(scales))
    field.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(torch.sigmoid(gaussians.logit_opacities).numpy()))
    field.CreateRadianceSphericalHarmonicsDegreeAttr(gaussians.degree)
    harmonics = np.ascontiguousarray(gaussians.sh.numpy()).reshape(-1, 3)
    field.CreateRadianceSphericalHarmonicsCoefficientsAttr(Vt.Vec3fArray.FromNumpy(harmonics))
    field.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(bounds.astype(np.float32)))
    stage.GetRootLayer().Save()
