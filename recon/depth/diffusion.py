"""Edge-aware diffusion of inverse depth: fills what no plane explains."""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float32

from fewview.recon.depth import tolerances as tol


def diffuse(
    image: Float32[np.ndarray, "H W 3"],
    inverse: Float32[np.ndarray, "H W"],
    weight: Float32[np.ndarray, "H W"],
) -> Float32[np.ndarray, "H W"]:
    """Inverse depth everywhere: minimises sum weight (w - inverse)^2 + sum over neighbours hold (w - w')^2.

    `hold` falls with the colour difference of the neighbours, so that values spread within surfaces of one
    colour and break at colour edges (Levin et al. 2004's colourisation energy, on depth).

    Args:
        weight: 0 where `inverse` is unknown; must be positive somewhere.
    """
    height, width = inverse.shape
    scale = min(1.0, tol.WORKING_SIDE / max(height, width))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    mass = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    value = cv2.resize(inverse * weight, size, interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-9)
    filled = _solve(small, value, mass * tol.DATA_WEIGHT)
    return cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)


def _solve(image: np.ndarray, value: np.ndarray, data: np.ndarray) -> Float32[np.ndarray, "h w"]:
    height, width = value.shape
    index = np.arange(height * width).reshape(height, width)
    rows, columns, holds = [], [], []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        distance = np.linalg.norm(image[a] - image[b], axis=-1)
        hold = np.exp(-distance / tol.HOLD_COLOUR) + tol.LEAST_HOLD
        rows.append(index[a].ravel())
        columns.append(index[b].ravel())
        holds.append(hold.ravel())
    i, j, hold = np.concatenate(rows), np.concatenate(columns), np.concatenate(holds).astype(np.float64)
    n = height * width
    diagonal = data.ravel() + np.bincount(i, hold, n) + np.bincount(j, hold, n)
    matrix = sparse.csc_matrix(
        (
            np.concatenate([diagonal, -hold, -hold]),
            (np.concatenate([np.arange(n), i, j]), np.concatenate([np.arange(n), j, i])),
        ),
        (n, n),
    )
    solver = scipy.sparse.linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return solver.solve((data * value).ravel().astype(np.float64)).reshape(height, width).astype(np.float32)


def distance_to(known: Bool[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    """Distance in pixels to the nearest known pixel (large where there is none at all)."""
    if not known.any():
        return np.full(known.shape, float(sum(known.shape)), np.float32)
    return cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5)
