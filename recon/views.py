"""Joins `photos/` and `cameras/`: undistorted images with their pinhole cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.ndimage import map_coordinates

from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.photos import load_photos
from fewview.recon.scene import Camera, PosedImage


def load_posed(photos: Path, cameras: Path, long_side: int) -> list[PosedImage]:
    """The registered views of a run, undistorted, with pinhole cameras at the asked size.

    Args:
        photos: folder of a `photos` artifact.
        cameras: folder with a `cameras.json` (a `cameras` or `splat` artifact).
        long_side: of the images in pixels; images are shrunk by area averaging and never enlarged beyond the
            working size of `photos`.

    Returns:
        One `PosedImage` per view of `cameras.json`, in its order. `mask` is True where the user's mask is and
        where the undistorted image shows the original photo.

    Raises:
        InputError: `cameras.json` is unreadable or names a photo that `photos` does not hold.
    """
    known = {photo.name: photo for photo in load_photos(photos)}
    posed = []
    for view in read_cameras(cameras).views:
        photo = known.get(view.name)
        if photo is None:
            raise InputError(
                f"{cameras / 'cameras.json'} names the photo {view.name}, which {photos} does not hold.",
                "Use cameras and photos of one run.",
            )
        image = photo.load_image(photos)
        height, width = image.shape[:2]
        mask = photo.load_mask(photos)
        if mask is None:
            mask = np.ones((height, width), bool)
        camera = view.camera.resized(width, height)
        image, mask = undistort(image, mask, camera)
        small = camera.pinhole().fitted(long_side)
        image, mask = shrink(image, small.width, small.height), shrink_mask(mask, small.width, small.height)
        posed.append(PosedImage(view.name, small, view.T_world_camera, image, mask))
    return posed


def undistort(
    image: Float32[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], camera: Camera
) -> tuple[Float32[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]:
    """Resample a photo to `camera.pinhole()`.

    By cubic splines: OpenCV's bicubic kernel shifts edges by up to .07 px and its bilinear one blurs.

    Returns:
        The image in [0, 1], and a mask that is True where the ray falls on an unmasked pixel inside the
        photo. What lies outside mirrors the photo, so that filters near the edge see no false step.
    """
    if camera.is_pinhole:
        return image, mask
    u, v = _source_pixels(camera)
    channels = [map_coordinates(image[..., k], (v, u), order=3, mode="mirror") for k in range(3)]
    weight = cv2.remap(mask.astype(np.float32), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (u >= -0.5) & (u <= camera.width - 0.5) & (v >= -0.5) & (v <= camera.height - 0.5)
    # A pixel that is only partly unmasked shows some of what the user wants ignored.
    return np.clip(np.stack(channels, 2), 0, 1), (weight > 0.999) & inside & ~_folded(camera)


def shrink(image: Float[np.ndarray, "H W ..."], width: int, height: int) -> Float[np.ndarray, "h w ..."]:
    """Area-averaged copy at a smaller (or the same) size; pixel edges, not centres, coincide."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def shrink_mask(mask: Bool[np.ndarray, "H W"], width: int, height: int) -> Bool[np.ndarray, "h w"]:
    """True where every covered pixel is True."""
    return shrink(mask.astype(np.float32), width, height) > 0.999


def _source_pixels(camera: Camera) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """Where each pixel of the undistorted image lies in the photo, in OpenCV's integer-centre coordinates."""
    # OpenCV puts centres at integers: its coordinate u is our u + 0.5, so only the principal point moves.
    K = camera.matrix
    K[:2, 2] -= 0.5
    size = (camera.width, camera.height)
    if camera.fisheye:
        terms = np.array((*camera.distortion, 0.0, 0.0, 0.0, 0.0)[:4])
        return cv2.fisheye.initUndistortRectifyMap(K, terms, np.eye(3), K, size, cv2.CV_32FC1)
    return cv2.initUndistortRectifyMap(K, np.array(camera.distortion), None, K, size, cv2.CV_32FC1)


def _folded(camera: Camera) -> Bool[np.ndarray, "H W"]:
    """True where the polynomial has turned back inwards: such rays never reached the lens's image."""
    x, y = camera.slopes()
    radius = np.hypot(x[None, :], y[:, None])
    samples = np.linspace(0, radius.max(), 1024)
    radial = np.array(camera.distortion)
    if not camera.fisheye:
        radial[2:4] = 0  # The tangential terms bend, but do not fold.
    lens = replace(camera, fx=1.0, fy=1.0, cx=0.0, cy=0.0, distortion=tuple(radial.tolist()))
    image = lens.distorted(np.stack([samples, np.zeros_like(samples)], axis=1))[:, 0]
    falling = np.flatnonzero(np.diff(image) <= 0)
    return radius > samples[falling[0]] if falling.size else np.zeros(radius.shape, bool)
