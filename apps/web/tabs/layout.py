"""The room: plan, dimensions, its mesh, and its edges on the photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from fewview.apps.results import Results
from fewview.apps.web import html
from fewview.apps.web.bundle import shown_mesh
from fewview.apps.web.server import Server
from fewview.apps.web.store import within
from fewview.apps.web.tabs.pictures import pictures
from fewview.layout.document import read_layout, read_scale
from fewview.layout.measures import Measure, measure


class LayoutTab:
    """The plan and what it says."""

    stages = ("layout",)

    def __init__(self, server: Server) -> None:
        self._server = server
        with gr.Tab("Layout"):
            plan = gr.HTML()
            with gr.Accordion("The empty room", open=False) as self.fold:
                self.room = gr.Model3D(label="Room", height=420, interactive=False, clear_color=(0.94, 0.94, 0.94, 1.0))
            with gr.Accordion("Its edges on the photos (red where inferred)", open=True):
                overlays = pictures("Overlays", 2)
        self.outputs: list[Component] = [plan, self.fold, self.room, overlays]

    def fill(self, results: Results | None) -> list[Any]:
        closed = gr.Accordion(open=False)
        if results is None or results.room is None:
            return ["<p>The floor plan of a room appears here.</p>", closed, None, None]
        if not results.room.found:
            said = html.table(("No room was found", ""), [("Why", results.room.reason)])
            return [said, closed, None, None]
        overlays = [
            (path, photo.name)
            for photo in results.photos
            if photo.overlay is not None and (path := self._server.publish(results, photo.overlay)) is not None
        ]
        return [_plan(results), closed, None, overlays]

    def mesh(self, results: Results | None) -> str | None:
        """For `room`, once `fold` is open (see `fewview.apps.web.tabs.models`)."""
        if results is None or results.room is None or not results.room.found:
            return None
        return shown_mesh(self._server, results, "layout/room.glb", inside=True)


def _plan(results: Results) -> str:
    drawing = within(results.out, "layout/floorplan.svg")
    document = within(results.out, "layout/layout.json")
    assert results.scale is not None
    parts = [f"<p>{results.scale.sentence}</p>"]
    if drawing is not None:
        parts.append(html.svg_picture(drawing, "Floor plan with dimensions; the table below says the same."))
    if document is not None:
        parts += _dimensions(document)
    return "".join(parts)


def _dimensions(document: Path) -> list[str]:
    layout = read_layout(document)
    if layout is None:
        return []
    found = measure(layout, read_scale(document))
    whole = [
        ("Floor area", _told(found.area, "m²")),
        ("Perimeter", _told(found.perimeter, "m")),
        ("Height", _told(found.height, "m")),
    ]
    walls = [
        (
            number,
            _told(found.walls[number - 1], "m"),
            "seen" if wall.observed else "inferred: no photo shows it",
            f"{wall.confidence:.0%}",
        )
        for number, wall in enumerate(layout.walls, 1)
    ]
    return [
        html.table(("room", ""), whole),
        html.table(("wall", "length", "how it is known", "confidence"), walls),
    ]


def _told(measure: Measure, unit: str) -> str:
    if measure.interval is None:
        return f"{measure.value:.2f} {unit}, a guess: it ends where no photo shows"
    low, high = measure.interval
    return f"{measure.value:.2f} {unit} ({low:.2f} to {high:.2f})"
