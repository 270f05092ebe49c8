"""Everything worth taking away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from apps.results import Results
from apps.web import html
from apps.web.bundle import downloads
from apps.web.server import Server


class DownloadsTab:
    """Files with their formats."""

    stages = ("cameras", "splat", "mesh", "renders", "layout", "motion")

    def __init__(self, server: Server) -> None:
        self._server = server
        with gr.Tab("Downloads"):
            files = gr.File(label="Files of this run", file_count="multiple", interactive=False, elem_id="downloads")
            what = gr.HTML()
        self.outputs: list[Component] = [files, what]

    def fill(self, results: Results | None) -> list[Any]:
        if results is None or not results.files:
            return [None, "<p>Files appear here as stages finish.</p>"]
        found = downloads(self._server, results)
        rows = [(Path(path).name, title) for path, title in found]
        return [[path for path, _ in found], html.table(("file", "what it is"), rows)]
