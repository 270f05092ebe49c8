"""Scenes of the corpus: photos with their matches, kept on disk, and the truth of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from fewview.data.gallery import Deceit, deceive
from fewview.data.photosets import PhotoSet, evenly_spaced, load_photoset
from fewview.recon.matching.features import Features, Matcher, Matches, turn_features, turn_image
from fewview.recon.matching.turns import Pair, Turned, find_turns
from fewview.recon.matching.verification import verify
from fewview.recon.photos import Photo
from fewview.recon.progress import LogProgress
from fewview.recon.scene import View

LONG_SIDE = 1024
MAX_ERROR_PX = 4.0
MIN_MATCHES = 15
"""As `MatchingConfig` has them."""
TOLERANCE = 1.5
"""A match agrees with the truth within so many times the tolerance of verification: the truth has errors, too."""
_PARALLAX_DEG = 0.3
"""Rays that differ by less tell nothing of the side on which they meet."""

_SITE = {"strecha_fountain_p11": "strecha_castle_p19"}
"""Sets that show the same place as another: the fountain stands in the castle's court, and their photos do match."""

Image = UInt8[np.ndarray, "H W 3"]


@dataclass
class Scene:
    """Photos, their keypoints, each way up that was asked for, and their matches before verification."""

    name: str
    kind: str
    """`views`, `across`, `degraded` or the kind of deceit."""
    views: list[View]
    """The true cameras; names are unique."""
    depths: list[Float32[np.ndarray, "H W"]] | None = None
    """Exact z-depth, where there is one."""
    places: list[str] = field(default_factory=list)
    """Where each photo was taken, if not all in one place."""
    features: dict[Turned, Features] = field(default_factory=dict)
    raw: dict[tuple[Turned, Turned], Matches] = field(default_factory=dict)

    @property
    def photos(self) -> list[Photo]:
        return [
            Photo(v.name, str(i), v.name, "", v.camera.width, v.camera.height, v.name) for i, v in enumerate(self.views)
        ]

    def keypoints(self, turned: Turned) -> Float32[np.ndarray, "N 2"]:
        """Pixels of the upright original."""
        upright, camera = turn_features(self.features[turned], -turned[1]), self.views[turned[0]].camera
        scale = np.array([camera.width / upright.width, camera.height / upright.height])
        return (upright.keypoints * scale).astype(np.float32)

    def max_error_px(self, a: int, b: int) -> float:
        """As the stage has it: that of the images that keypoints were found in; the larger photo decides."""
        sides = [max(self.views[i].camera.width, self.views[i].camera.height) for i in (a, b)]
        return MAX_ERROR_PX * max(side / min(side, LONG_SIDE) for side in sides)

    def agree(
        self, a: int, b: int, xy: tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]]
    ) -> Bool[np.ndarray, " M"]:
        """Which matches are true."""
        if self.places and self.places[a] != self.places[b]:
            return np.zeros(len(xy[0]), bool)
        tolerance = TOLERANCE * self.max_error_px(a, b)
        if self.depths is not None:
            return _on_surface(self.views[a], self.views[b], self.depths[a], xy, tolerance) | _on_surface(
                self.views[b], self.views[a], self.depths[b], (xy[1], xy[0]), tolerance
            )
        return _on_rays(self.views[a], self.views[b], xy, tolerance)


def load_or_make(path: Path, make: Callable[[], Scene]) -> Scene:
    """From the cache, where it is there."""
    if not path.exists():
        scene = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(scene))
    scene = pickle.loads(path.read_bytes())
    assert isinstance(scene, Scene)
    return scene


def from_views(folder: Path, matcher: Matcher, most: int | None = None) -> Scene:
    """All pairs of a photo set (of at most so many of its photos), turned as the stage would turn them."""
    photos = load_photoset(folder)
    if most is not None:
        chosen = evenly_spaced(len(photos.views), min(most, len(photos.views)))
        views, files = [photos.views[i] for i in chosen], [photos.images[i] for i in chosen]
        photos = replace(photos, views=views, images=files)
    images = _read(photos)
    scene = Scene(photos.name, "views", photos.views, _depths(folder, photos))
    match(scene, images, matcher, combinations(range(len(images)), 2))

    def affinity(one: Turned, other: Turned) -> int:
        return matcher.affinity(*(_features(scene, images, matcher, turned) for turned in (one, other)))

    def match_turned(one: Turned, other: Turned) -> Pair:
        return _pair(scene, _match(scene, images, matcher, one, other))

    if matcher.turns:
        upright = {(a[0], b[0]): _pair(scene, (a, b)) for a, b in scene.raw}
        quarters = find_turns(len(images), upright, affinity, match_turned, LogProgress())
        if any(quarters):
            for a, b in combinations(range(len(images)), 2):
                _match(scene, images, matcher, (a, quarters[a]), (b, quarters[b]))
    return scene


def from_gallery(kind: Deceit, seed: int, matcher: Matcher, views: int = 6) -> Scene:
    """A rendered place."""
    shots = deceive(kind, seed, views)
    scene = Scene(f"{kind}_{seed}", kind, [shot.view for shot in shots], [shot.depth for shot in shots])
    match(scene, [shot.image for shot in shots], matcher, combinations(range(views), 2))
    return scene


def degraded(folder: Path, matcher: Matcher, seed: int, count: int = 6) -> Scene:
    """Copies of some photos of a set as bad cameras would have taken them."""
    photos, rng = load_photoset(folder), np.random.default_rng(seed)
    start = int(rng.integers(len(photos.views) - count + 1))  # neighbours: far ones match badly anyway
    chosen = [start + k for k in range(count)]
    images, views = [], []
    for i in chosen:
        image = _spoil(_read_image(photos.images[i]), rng)
        images.append(image)
        camera = photos.views[i].camera.resized(image.shape[1], image.shape[0])
        views.append(View(photos.views[i].name, camera, photos.views[i].T_world_camera))
    scene = Scene(f"{photos.name}_bad{seed}", "degraded", views)
    match(scene, images, matcher, combinations(range(count), 2))
    return scene


def across(sets: Sequence[Scene], matcher: Matcher, per_set: int = 6, per_pair: int = 3) -> Scene:
    """Of every two sets, the pairs of photos that are most alike; keypoints are those of the sets."""
    scene = Scene("across", "across", [])
    for one in sets:
        for i in evenly_spaced(len(one.views), min(per_set, len(one.views))):
            view = one.views[i]
            scene.features[len(scene.views), 0] = one.features[i, 0]
            scene.views.append(View(f"{one.name}/{view.name}", view.camera, view.T_world_camera))
            scene.places.append(_SITE.get(one.name, one.name))
    alike: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for a, b in combinations(range(len(scene.views)), 2):
        if scene.places[a] != scene.places[b]:
            likeness = matcher.affinity(scene.features[a, 0], scene.features[b, 0])
            alike.setdefault((scene.places[a], scene.places[b]), []).append((likeness, a, b))
    match(scene, [], matcher, [(a, b) for most in alike.values() for _, a, b in sorted(most)[-per_pair:]])
    return scene


def match(scene: Scene, images: Sequence[Image], matcher: Matcher, pairs: Iterable[tuple[int, int]]) -> None:
    """Upright."""
    for a, b in pairs:
        _match(scene, images, matcher, (a, 0), (b, 0))


def _match(
    scene: Scene, images: Sequence[Image], matcher: Matcher, one: Turned, other: Turned
) -> tuple[Turned, Turned]:
    if (one, other) not in scene.raw:
        features = [_features(scene, images, matcher, turned) for turned in (one, other)]
        scene.raw[one, other] = matcher.match(*features)
    return one, other


def _features(scene: Scene, images: Sequence[Image], matcher: Matcher, turned: Turned) -> Features:
    if turned not in scene.features:
        image = images[turned[0]]
        shrink = LONG_SIDE / max(image.shape[:2])
        if shrink < 1:
            size = round(image.shape[1] * shrink), round(image.shape[0] * shrink)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        scene.features[turned] = matcher.detect(turn_image(image, turned[1]), None)
    return scene.features[turned]


def _pair(scene: Scene, key: tuple[Turned, Turned]) -> Pair:
    (a, _), (b, _) = key
    photos, raw = scene.photos, scene.raw[key]
    keypoints = scene.keypoints(key[0]), scene.keypoints(key[1])
    verified = verify((photos[a], photos[b]), keypoints, raw, scene.max_error_px(a, b), MIN_MATCHES, 0)
    return Pair(len(raw), verified)


def _read(photos: PhotoSet) -> list[Image]:
    return [_read_image(path) for path in photos.images]


def _read_image(path: Path) -> Image:
    coded = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if coded is None:
        raise ValueError(f"{path} is no image")
    return cv2.cvtColor(coded, cv2.COLOR_BGR2RGB)


def _depths(folder: Path, photos: PhotoSet) -> list[np.ndarray] | None:
    files = [folder / "depth" / f"{image.stem}.npz" for image in photos.images]
    if not all(file.exists() for file in files):
        return None
    out = []
    for file in files:
        with np.load(file) as arrays:
            out.append(arrays[arrays.files[0]].astype(np.float32))
    return out


def _spoil(image: Image, rng: np.random.Generator) -> Image:
    """Small, and blurred, dark, noisy or compressed."""
    long_side = rng.choice([320, 480, 640])
    scale = long_side / max(image.shape[:2])
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    kind = rng.choice(["small", "blurred", "dark", "noisy", "compressed"])
    if kind == "blurred":
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 2.5))
    if kind == "dark":
        return np.clip(image * rng.uniform(0.1, 0.3) + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
    if kind == "noisy":
        return np.clip(image + rng.normal(0, rng.uniform(10, 30), image.shape), 0, 255).astype(np.uint8)
    if kind == "compressed":
        coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(5, 20))])[1]
        return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return image


def _on_surface(
    view: View,
    other: View,
    depth: Float32[np.ndarray, "H W"],
    xy: tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]],
    tolerance: float,
) -> Bool[np.ndarray, " M"]:
    """Whether the point that the first photo shows lies where the second was matched."""
    rows, cols = depth.shape
    at = xy[0] * [cols / view.camera.width, rows / view.camera.height]
    z = depth[np.clip(at[:, 1], 0, rows - 1).astype(int), np.clip(at[:, 0], 0, cols - 1).astype(int)]
    X = np.column_stack([_normalised(view, xy[0]), np.ones(len(z))]) * z[:, None]
    T = other.T_camera_world @ view.T_world_camera
    X = X @ T[:3, :3].T + T[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.linalg.norm((X[:, :2] / X[:, 2:] - _normalised(other, xy[1])) * other.camera.fx, axis=1)
    return (X[:, 2] > 0) & (np.nan_to_num(error, nan=np.inf) < tolerance)


def _on_rays(
    view: View,
    other: View,
    xy: tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "M 2"]],
    tolerance: float,
) -> Bool[np.ndarray, " M"]:
    """Near the true epipolar lines (Sampson), and in front of both cameras."""
    x, y = (np.column_stack([_normalised(v, at), np.ones(len(at))]) for v, at in zip((view, other), xy, strict=True))
    T = other.T_camera_world @ view.T_world_camera
    R, t = T[:3, :3], T[:3, 3] / np.linalg.norm(T[:3, 3])
    E = np.cross(np.eye(3), t) @ R
    lines, back = x @ E.T, y @ E
    norm = np.sqrt((lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1))
    focal = np.sqrt(view.camera.fx * other.camera.fx)
    near = np.abs((lines * y).sum(axis=1)) * focal < tolerance * np.maximum(norm, 1e-12)
    turned = x @ R.T
    a, b, c = (turned**2).sum(axis=1), (turned * y).sum(axis=1), (y**2).sum(axis=1)
    front = (b * (y @ t) - c * (turned @ t) > 0) & (a * (y @ t) - b * (turned @ t) > 0)
    parallax = np.degrees(np.arccos(np.clip(b / np.sqrt(a * c), -1, 1))) > _PARALLAX_DEG
    return near & (front | ~parallax)


def _normalised(view: View, xy: Float[np.ndarray, "M 2"]) -> Float[np.ndarray, "M 2"]:
    camera = view.camera
    if camera.is_pinhole:
        return (xy - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    distortion = np.array(camera.distortion)
    return cv2.undistortPoints(xy.astype(np.float64)[:, None], camera.matrix, distortion)[:, 0]
