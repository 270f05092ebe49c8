"""Makes the pictures of README and docs from synthetic rooms and people: `python scripts/pictures.py FOLDER`.

FOLDER keeps the runs, so a second call is quick. Nothing that a camera took goes into the documents.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from playwright.sync_api import sync_playwright
from scipy.spatial.transform import Rotation, Slerp

import fewview
from fewview.apps.cli import main
from fewview.calibration.skeleton import BONES
from fewview.data.gallery import deceive, generate
from fewview.data.people import CaptureConfig, Walker, capture, ring

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
HEIGHT = 300
WHITE, GREY, BLUE, RED, GREEN = "#ffffff", "#8a8f98", "#2f6fde", "#c62f2f", "#2c8a4b"


def strip(pictures: Sequence[Image.Image], words: Sequence[str], height: int = HEIGHT) -> Image.Image:
    """Pictures side by side with a line of text below each."""
    scaled = [picture.resize((round(picture.width * height / picture.height), height)) for picture in pictures]
    whole = Image.new("RGB", (sum(picture.width for picture in scaled) + 8 * (len(scaled) - 1), height + 30), WHITE)
    draw, left = ImageDraw.Draw(whole), 0
    for picture, said in zip(scaled, words, strict=True):
        whole.paste(picture, (left, 0))
        draw.text((left + 4, height + 5), said, fill="#333333", font=ImageFont.load_default(17))
        left += picture.width + 8
    return whole


def save(name: str, picture: Image.Image) -> None:
    PICTURES.mkdir(exist_ok=True)
    picture.convert("RGB").save(PICTURES / name, quality=82, optimize=True)
    print(f"{PICTURES / name}: {(PICTURES / name).stat().st_size / 1000:.0f} kB")


def between(run: fewview.Run, first: int, share: float, width: int = 640) -> Image.Image:
    """The splat from a place that no photo was taken from: on the way from one photo to the next."""
    a, b = run.refined_cameras.views[first : first + 2]
    T_world_camera = np.eye(4)
    turns = Rotation.from_matrix([a.T_world_camera[:3, :3], b.T_world_camera[:3, :3]])
    T_world_camera[:3, :3] = Slerp([0, 1], turns)(share).as_matrix()
    T_world_camera[:3, 3] = (1 - share) * a.center + share * b.center
    T_camera_world = torch.tensor(np.linalg.inv(T_world_camera), dtype=torch.float32)
    seen = fewview.rasterize(run.splat(), T_camera_world, a.camera.pinhole().fitted(width), antialiased=True)
    return Image.fromarray((seen.image.clamp(0, 1).numpy() * 255).round().astype(np.uint8))


def people(folder: Path) -> Image.Image:
    """Two walkers before four cameras: keypoints to cameras and motion, drawn as they came out."""
    if not (folder / "run" / "manifest.json").exists():
        (folder / "rig").mkdir(parents=True, exist_ok=True)
        walkers = [Walker(1.8, 3, (-0.7, 0.0)), Walker(1.8, 4, (0.8, 0.2))]
        for seen in capture(ring(4, seed=2), walkers, CaptureConfig(), seed=2).detections:
            arrays = {"xy": seen.xy, "confidence": seen.confidence, "size": seen.size, "fps": seen.fps}
            np.savez(folder / "rig" / f"{seen.camera}.npz", **arrays)
        fewview.calibrate(folder / "rig", folder / "run", height_m=1.8)
    run = fewview.open_run(folder / "run")
    motion = run.motion()
    whole = next(frame for frame in range(60, len(motion.xyz)) if np.isfinite(motion.xyz[frame]).all())
    eye = np.array([4.2, -3.4, -6.6])
    forward = np.array([0, -0.6, 0]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, -1, 0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    centre = np.mean([view.center * [1, 0, 1] for view in run.cameras.views], axis=0)
    picture = Image.new("RGB", (1200, 900), WHITE)
    draw = ImageDraw.Draw(picture)

    def at(X: np.ndarray) -> tuple[float, float]:
        x, y, z = R @ (X - centre - eye)
        return 600 + 1150 * x / z, 430 + 1150 * y / z

    for k in range(-3, 4):
        for ends in (np.array([[k, 0, -3], [k, 0, 3]]), np.array([[-3, 0, k], [3, 0, k]])):
            draw.line([at(centre + end) for end in ends], fill="#dddddd", width=2)
    for view in run.cameras.views:
        x, y = view.camera.width / view.camera.fx / 2, view.camera.height / view.camera.fy / 2
        corners = np.array([[-x, -y, 1], [x, -y, 1], [x, y, 1], [-x, y, 1]]) * 0.55
        ends = [at(view.center + view.T_world_camera[:3, :3] @ corner) for corner in corners]
        draw.line([*ends, ends[0]], fill=BLUE, width=4)
        for end in ends:
            draw.line([at(view.center), end], fill=BLUE, width=4)
    for person, color in zip(range(motion.xyz.shape[1]), (RED, GREEN), strict=False):
        track = motion.xyz[::6, person].mean(axis=1) * [1, 0, 1]
        draw.line([at(X) for X in track if np.isfinite(X).all()], fill=color, width=2)
        for a, b in BONES:
            draw.line([at(motion.xyz[whole, person, joint]) for joint in (a, b)], fill=color, width=8)
    return picture.crop((220, 230, 1100, 790))


def browsed(path: Path, size: tuple[int, int], wait_ms: int = 500) -> Image.Image:
    """A page or an SVG as Chromium shows it."""
    target = PICTURES / "browsed.png"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto(path.resolve().as_uri())
        page.wait_for_timeout(wait_ms)
        page.screenshot(path=target)
        chromium.close()
    with Image.open(target) as shot:
        picture = shot.convert("RGB")
    target.unlink()
    return picture


def cropped(picture: Image.Image, margin: int = 20) -> Image.Image:
    """Without most of the white around it."""
    left, top, right, bottom = ImageOps.invert(picture.convert("L")).getbbox() or (0, 0, *picture.size)
    return ImageOps.expand(picture.crop((left, top, right, bottom)), margin, WHITE)


def depth_of(run: fewview.Run, name: str) -> Image.Image:
    depth = run.depth(name).depth
    low, high = np.nanpercentile(depth, [2, 98])
    shade = np.nan_to_num((np.clip(depth, low, high) - low) / (high - low))
    return Image.fromarray(cv2.applyColorMap((255 - shade * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[:, :, ::-1])


def rooms(folder: Path) -> None:
    if not (folder / "run" / "manifest.json").exists():
        main(["demo", "--out", str(folder)])
    run = fewview.open_run(folder / "run")
    photos = [Image.open(path) for path in sorted((folder / "room" / "images").iterdir())]
    plan = cropped(browsed(run.out / "layout" / "floorplan.svg", (900, 900)))
    walkers = people(folder / "people")
    words = ("one of six photos", "splat, from where no photo was taken", "floor plan", "people and cameras")
    save("strip.jpg", strip([photos[3], between(run, 3, 0.5), plan, walkers], words, 250))
    save("photos.jpg", strip([photo.resize((400, 300)) for photo in photos], [f"{k}" for k in range(1, 7)], 170))
    name = run.cameras.views[3].name
    report = browsed(folder / "run" / "report.html", (1100, 800), 1500)
    words = ("photo", "splat, between two photos", "depth")
    save("results.jpg", strip([photos[3], between(run, 3, 0.5), depth_of(run, name)], words))
    save("report.jpg", report)
    overlay = Image.open(run.out / "layout" / "overlays" / f"{Path(name).stem}.jpg")
    save("room.jpg", strip([plan, overlay], ("floor plan, in scene units", "walls, floor and ceiling in a photo")))
    save("people.jpg", walkers)


def advice() -> None:
    """Yes and no of docs/photos.md."""
    size = (400, 300)
    walk = [Image.fromarray(shot.image) for shot in generate(0, views=4, walk="around", size=size).shots]
    save("yes-overlap.jpg", strip(walk, ["yes: a step to the side each time", "", "", ""], 200))
    spot = [Image.fromarray(shot.image) for shot in deceive("spot", 1, 4, size)]
    save("no-spot.jpg", strip(spot, ["no: turned and zoomed on one spot", "", "", ""], 200))
    apart = [Image.fromarray(shot.image) for shot in generate(0, views=6, walk="around", size=size).shots]
    save("no-apart.jpg", strip([apart[0], apart[3], apart[5]], ["no: no two show the same place", "", ""], 200))
    sharp = walk[2]
    smear = np.zeros((19, 19), np.float32)
    smear[9] = 1 / 19
    blurred = Image.fromarray(cv2.filter2D(np.asarray(sharp), -1, smear))
    dark = Image.fromarray((np.asarray(sharp) * 0.16).astype(np.uint8))
    words = ["yes: sharp and light", "no: blurred", "no: too dark"]
    save("no-blur.jpg", strip([sharp, blurred, dark], words, 200))
    alike = [Image.fromarray(shot.image) for shot in deceive("mosaic", 1, 3, size)]
    save("no-alike.jpg", strip(alike, ["hard: the same things again and again", "", ""], 200))


if __name__ == "__main__":
    advice()
    rooms(Path(sys.argv[1]))
