"""Cameras and motion that were found from people."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from fewview.apps.results import Results
from fewview.apps.web import html
from fewview.apps.web.store import within


class MotionTab:
    """Hidden where no people were calibrated."""

    stages = ("motion",)

    def __init__(self) -> None:
        with gr.Tab("Motion", visible=False) as tab:
            cameras = gr.HTML()
            report = gr.HTML()
        self.outputs: list[Component] = [tab, cameras, report]

    def fill(self, results: Results | None) -> list[Any]:
        if results is None or results.rig is None:
            return [gr.Tab(visible=False), "", ""]
        rows = [
            (
                camera.name,
                "placed" if camera.placed else f"left out: {camera.reason}",
                "" if camera.offset_s is None else f"{camera.offset_s:+.3f} s",
                "" if camera.reprojection_px is None else f"{camera.reprojection_px:.1f} px",
            )
            for camera in results.rig.cameras
        ]
        table = html.table(("camera", "", "clock offset", "reprojection error"), rows)
        page = within(results.out, "motion/report.html")
        frame = "" if page is None else html.page_frame(page, "Calibration report with the moving skeletons")
        return [gr.Tab(visible=True), table + html.bullets("Doubts", results.rig.warnings), frame]
