"""Everything worth taking away."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from fewview.apps.reporting.formats import size
from fewview.apps.results import Results
from fewview.apps.web import html
from fewview.apps.web.bundle import downloads
from fewview.apps.web.server import Server


class DownloadsTab:
    """Files with their formats."""

    stages = ("cameras", "splat", "mesh", "renders", "layout", "motion")

    def __init__(self, server: Server) -> None:
        self._server = server
        with gr.Tab("Downloads"):
            files = gr.HTML(elem_id="downloads")
        self.outputs: list[Component] = [files]

    def fill(self, results: Results | None) -> list[Any]:
        if results is None or not results.files:
            return ["<p>Files appear here as stages finish.</p>"]
        rows = [
            (html.download(path), title, size(path.stat().st_size)) for path, title in downloads(self._server, results)
        ]
        return [html.table(("file", "what it is", "size"), rows)]
