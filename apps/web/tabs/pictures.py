"""Depth, normals, renders beside the photos, and the films."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from fewview.apps.results import Results
from fewview.apps.web.server import Server

_KINDS = {
    "depth": ("Depth", 2, "Median depth of the splats, near red, far blue; the range stands below each picture."),
    "normal": ("Normals", 2, "Which way surfaces face: red right, green up, blue towards the camera."),
    "compare": ("Beside the photos", 1, "Each row: the photo, its render, and where they differ (brighter is worse)."),
}
"""Folders of `renders/`, with the title of each, how many pictures stand side by side, and what they show."""


class DepthTab:
    """What the splats show from each photo's place."""

    stages = ("renders",)

    def __init__(self, server: Server) -> None:
        self._server = server
        self.outputs: list[Component] = []
        with gr.Tab("Depth"), gr.Tabs():
            for title, columns, what in _KINDS.values():
                with gr.Tab(title):
                    gr.Markdown(what)
                    self.outputs.append(pictures(title, columns))

    def fill(self, results: Results | None) -> list[Any]:
        if results is None or not results.finished("renders"):
            return [None] * len(_KINDS)
        return [
            [
                (path, photo.name)
                for photo in results.photos
                if (path := self._server.publish(results, f"renders/{kind}/{photo.key}.png")) is not None
            ]
            for kind in _KINDS
        ]


def pictures(title: str, columns: int) -> gr.Gallery:
    """A gallery as high as its pictures, each in its own shape."""
    return gr.Gallery(
        label=title,
        columns=columns,
        height="auto",
        object_fit="contain",
        interactive=False,
        elem_classes="fv-pictures",
    )


class VideoTab:
    """The two films that every run makes."""

    stages = ("renders",)

    def __init__(self, server: Server) -> None:
        self._server = server
        with gr.Tab("Video"):
            through = gr.Video(label="Through the photos", interactive=False, loop=True, height=480)
            around = gr.Video(label="Around the scene", interactive=False, loop=True, height=480)
        self.outputs: list[Component] = [through, around]

    def fill(self, results: Results | None) -> list[Any]:
        if results is None or not results.finished("renders"):
            return [None, None]
        return [self._server.publish(results, f"renders/{name}.mp4") for name in ("path", "orbit")]
