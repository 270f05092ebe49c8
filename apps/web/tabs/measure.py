"""Two clicks in a photo are a length; a known length is the scale of everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from fewview.apps.results import Results
from fewview.apps.web.server import Server
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.measure import Distance, SurfacePoint, distance, known_length, pick
from fewview.recon.photos import Photo, load_photos
from fewview.recon.scale import Scale
from fewview.recon.sfm.scale import metres_per_unit, parse_length

_COLOURS = {"A": "#d81b60", "B": "#1e5fd8"}
_HOW = "Click two points in the photo, or type their pixels (of the original photo, from its top left corner)."


class MeasureTab:
    """The photo that is clicked in, the two points, their distance, and what it is in truth."""

    stages = ("depth", "cameras")

    def __init__(self, server: Server) -> None:
        with gr.Tab("Measure"):
            gr.Markdown(_HOW)
            self.photo = gr.Dropdown(label="Photo", choices=[], interactive=True)
            self.image = gr.Image(
                label="Click two points", interactive=False, format="jpeg", buttons=["fullscreen"], elem_id="clicks"
            )
            with gr.Row():
                self.points = [
                    gr.Number(label=f"{end}, {axis} (px)", precision=1, min_width=90, value=None)
                    for end in _COLOURS
                    for axis in ("x", "y")
                ]
            self.measure = gr.Button("Measure")
            self.said = gr.Markdown(elem_id="measured")
            # A scale is set by running again, which a page that only shows a run cannot.
            with gr.Group(visible=server.shown is None):
                self.metres = gr.Number(label="Known length between A and B (metres)", value=None)
                self.set_scale = gr.Button("Set the scale and make everything again")
        self.outputs: list[Component] = [self.photo, self.image, *self.points, self.said]

    def fill(self, results: Results | None) -> list[Any]:
        nothing = [None] * len(self.points)
        if results is None or not results.finished("depth"):
            return [gr.Dropdown(choices=[], value=None), None, *nothing, "Lengths can be measured when depth is known."]
        names = [photo.name for photo in results.photos if photo.registered]
        first = names[0] if names else None
        picture = marked(results.out, first, ()) if first else None
        return [gr.Dropdown(choices=names, value=first), picture, *nothing, ""]


def clicked(out: Path, photo: str, xy: tuple[int, int], numbers: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """The two points after a click: the first one, then the second, then the first of a new pair.

    Args:
        xy: pixel of the working image.
        numbers: x and y of both points, in pixels of the original.
    """
    found = _photo(out, photo)
    with Image.open(out / "photos" / found.image) as image:
        scale = found.width / image.width
    point = (round((xy[0] + 0.5) * scale, 1), round((xy[1] + 0.5) * scale, 1))
    have_first = None not in numbers[:2]
    if have_first and None in numbers[2:]:
        return (*numbers[:2], *point)
    return (*point, None, None)


def marked(out: Path, photo: str, numbers: tuple[float | None, ...]) -> UInt8[np.ndarray, "h w 3"]:
    """The working image with the picked points and the line between them."""
    found = _photo(out, photo)
    with Image.open(out / "photos" / found.image) as stored:
        image = stored.convert("RGB")
    scale = image.width / found.width
    ends = [
        (x * scale, y * scale)
        for x, y in zip(numbers[::2], numbers[1::2], strict=True)
        if x is not None and y is not None
    ]
    draw, radius = ImageDraw.Draw(image), max(5, image.width // 128)
    if len(ends) == 2:
        draw.line(ends, fill="white", width=max(3, radius // 2))
        draw.line(ends, fill="black", width=1)
    for (name, colour), (x, y) in zip(_COLOURS.items(), ends, strict=False):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline="white", width=3, fill=colour)
        draw.text(
            (x + 1.5 * radius, y - 2.5 * radius), name, fill="white", stroke_fill="black", stroke_width=2, font_size=24
        )
    return np.asarray(image)


def measured(results: Results, photo: str, numbers: tuple[float | None, ...]) -> str:
    """The distance in words, with its uncertainty and its units.

    Raises:
        InputError: a point is missing, or nothing is known of it.
    """
    a, b = _picked(results.out, photo, numbers)
    assert results.scale is not None
    return describe(distance(a, b), results.scale)


def describe(measured: Distance, scale: Scale) -> str:
    """Rounded to two digits of the uncertainty."""
    digits = max(0, 1 - int(np.floor(np.log10(measured.deviation))))
    length, spread = f"{measured.length:.{digits}f}", f"{measured.deviation:.{digits}f}"
    text = f"**{length} ± {spread} {scale.unit}** (standard deviation, from the confidence of the depth)."
    if measured.completed:
        text += " One end lies where only one photo looks: its depth is a guess from its surroundings."
    if scale.guess:
        metres = measured.length / scale.metre
        low, high = scale.around(metres, measured.deviation / scale.metre)
        text += f" That is {metres:.2f} m ({low:.2f} to {high:.2f}), {scale.source}."
    if scale.units != "metre":
        text += " **Unknown scale:** these are units of the scene, not metres. Give a known length to set it."
    return text


def scaled(out: Path, photo: str, numbers: tuple[float | None, ...], metres: float | None) -> str:
    """The `--scale` that makes the distance of the two points `metres`.

    Raises:
        InputError: a point or the length is missing, or no second photo shows the points well enough.
    """
    if metres is None:
        raise InputError("The length is missing.", "Give it in metres, such as 2.05.")
    a, b = _picked(out, photo, numbers)
    views = read_cameras(out / "cameras").views
    scale = known_length(a, b, metres, views)
    metres_per_unit(parse_length(scale), views)  # what the run would refuse is told at once
    return scale


def _picked(out: Path, photo: str, numbers: tuple[float | None, ...]) -> tuple[SurfacePoint, SurfacePoint]:
    ax, ay, bx, by = numbers
    if ax is None or ay is None or bx is None or by is None:
        raise InputError("Two points are needed.", "Click two points in the photo.")
    return pick(out, photo, ax, ay), pick(out, photo, bx, by)


def _photo(out: Path, name: str) -> Photo:
    found = next((photo for photo in load_photos(out / "photos") if photo.name == name), None)
    if found is None:
        raise InputError(f"There is no photo {name}.", "Choose one of the list.")
    return found
