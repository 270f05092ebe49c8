"""The splats and the mesh, to be turned.

Gradio's viewer of meshes stays blank for good where it was given one while it was out of sight. So meshes are sent
when they come into sight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from fewview.apps.results import Results
from fewview.apps.web.bundle import shown_mesh
from fewview.apps.web.server import Server

_SPLAT_BYTES = 32
_HOW = "Drag to turn, scroll or pinch to zoom, drag with the right button to move."


class SplatTab:
    """The Gaussians, as a viewer in the browser can draw them."""

    stages = ("splat", "renders")

    def __init__(self, server: Server) -> None:
        self._server = server
        with gr.Tab("3D splat"):
            self._model = gr.Model3D(label="Gaussian splats", height=520, interactive=False, elem_id="splat")
            self._note = gr.Markdown()
        self.outputs: list[Component] = [self._model, self._note]

    def fill(self, results: Results | None) -> list[Any]:
        path = None
        if results is not None and results.finished("renders"):
            path = self._server.publish(results, "renders/preview.splat")
        if path is None:
            return [None, "Photos become splats here."]
        note = _HOW
        if results is not None and results.training is not None:
            shown = Path(path).stat().st_size // _SPLAT_BYTES
            note += f" This view shows {shown:,} of {results.training.gaussians:,} Gaussians, turned and scaled to fit;"
            note += " the PLY and SPZ files in Downloads hold all of them, in the frame and units of the cameras."
        return [path, note]


class MeshTab:
    """The surface of the splats."""

    title = "Mesh"
    stages = ("mesh",)

    def __init__(self, server: Server) -> None:
        self._server = server
        with gr.Tab(self.title):
            model = gr.Model3D(
                label="Mesh", height=520, interactive=False, clear_color=(0.94, 0.94, 0.94, 1.0), elem_id="mesh"
            )
            gr.Markdown(_HOW)
        self.sent = gr.State(None)
        self.outputs: list[Component] = [model, self.sent]

    def fill(self, results: Results | None) -> list[Any]:
        return [None, None]

    def see(self, id: str, title: str, sent: str | None) -> list[Any]:
        """For `outputs`: the mesh, where the tab is the one in sight, unless it was sent before: what comes twice
        while the viewer loads keeps it blank, too."""
        results = self._server.results(id) if title == self.title else None
        if results is None or not results.finished("mesh"):
            return [gr.skip(), gr.skip()]
        mesh = shown_mesh(self._server, results, "mesh/mesh.glb")
        return [gr.skip(), gr.skip()] if mesh == sent else [mesh, mesh]
