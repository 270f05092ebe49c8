"""How good the result is, photo by photo, and what would make it better."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from fewview.apps.results import PhotoResult, Results
from fewview.apps.web import html


class QualityTab:
    """The verdict, what to photograph next, the scale, and a line a photo."""

    stages = ("photos", "cameras", "depth", "renders", "motion")

    def __init__(self) -> None:
        with gr.Tab("Quality"):
            page = gr.HTML()
        self.outputs: list[Component] = [page]

    def fill(self, results: Results | None) -> list[Any]:
        if results is None:
            return ["<p>A verdict for each photo, and what to photograph next, appear here.</p>"]
        verdict = results.verdict
        parts = [f'<p class="fv-verdict fv-{verdict.level}"><strong>{escape(verdict.sentence)}</strong></p>']
        if verdict.level in ("usable", "doubtful"):
            parts.append(f"<p>{escape(verdict.text[0].upper() + verdict.text[1:])}</p>")
        parts.append(html.bullets("Worth knowing", verdict.warnings))
        parts.append(html.bullets("What to photograph next", results.advice))
        if results.scale is not None:
            parts.append(f"<h3>Scale</h3><p>{escape(results.scale.sentence)}</p>")
        if results.photos:
            head = ("photo", "placed", "rightly", "seen by others", "reprojection", "depth confirmed", "render")
            parts.append(html.table(head, [_row(photo) for photo in results.photos]))
        return ["".join(parts)]


def _row(photo: PhotoResult) -> tuple[str, ...]:
    answers = {None: "not yet", True: "yes", False: f"no: {photo.reason}"}
    return (
        photo.name,
        answers[photo.registered],
        "" if photo.probability is None else f"{photo.probability:.0%}",
        "" if photo.overlap is None else f"{photo.overlap:.0%}",
        "" if photo.reprojection_px is None else f"{photo.reprojection_px:.2f} px",
        "" if photo.depth_verified is None else f"{photo.depth_verified:.0%}",
        "" if photo.psnr_db is None else f"{photo.psnr_db:.1f} dB",
    )
