"""The page: photos and options at the left, results at the right."""

from __future__ import annotations

import dataclasses
import functools
import secrets
import shutil
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from fewview.apps.options import PresetName
from fewview.apps.results import read_results
from fewview.apps.web import html
from fewview.apps.web.command import Choices, Kind
from fewview.apps.web.examples import synthetic_room
from fewview.apps.web.progress import Progress
from fewview.apps.web.server import Server
from fewview.apps.web.tabs import Tab
from fewview.apps.web.tabs.downloads import DownloadsTab
from fewview.apps.web.tabs.layout import LayoutTab
from fewview.apps.web.tabs.measure import MeasureTab, clicked, marked, measured, scaled
from fewview.apps.web.tabs.models import MeshTab, SplatTab
from fewview.apps.web.tabs.motion import MotionTab
from fewview.apps.web.tabs.pictures import DepthTab, VideoTab
from fewview.apps.web.tabs.quality import QualityTab
from fewview.apps.web.uploads import Upload, accept, copy_into, holds, thumbnail
from fewview.recon.errors import FewviewError, InputError

_EVERY_S = 1.0
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def plainly(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Shows what a user can mend as a message that stays until it is closed."""

    @functools.wraps(handler)
    def told(*values: Any, **named: Any) -> Any:
        try:
            return handler(*values, **named)
        except FewviewError as error:
            message = escape(f"{error.what} {error.remedy}")
            raise gr.Error(message, duration=None, title="That did not work", print_exception=False) from error

    return told


class Handlers:
    """What the page does, as functions of the values of its components."""

    def __init__(self, server: Server, tabs: Sequence[Tab]) -> None:
        self._server, self._tabs = server, tabs

    @plainly
    def add(self, files: list[str] | None) -> tuple[tuple[Upload, ...], list[Any], Any, Any]:
        """Checks uploads: the accepted ones, their pictures, and the options that concern videos."""
        uploads = accept(files or [], self._server.store.served, self._server.limits)
        # Files of this upload alone: gradio writes equal pictures of two visitors into one file, while it serves it.
        folder = self._server.store.served / secrets.token_hex(16)
        folder.mkdir()
        pictures = [(str(each.path if each.is_video else thumbnail(each, folder)), each.name) for each in uploads]
        videos = sum(each.is_video for each in uploads)
        return uploads, pictures, gr.Slider(visible=videos > 0), gr.Radio(visible=videos > 1)

    def example(self) -> list[str]:
        """Photos of the synthetic room."""
        return [str(path) for path in synthetic_room(self._server.store.served / "synthetic-room")]

    @plainly
    def reconstruct(
        self,
        id: str,
        uploads: tuple[Upload, ...],
        kind: Kind,
        preset: PresetName,
        frames: int,
        layout: bool,
        height_m: float | None,
    ) -> tuple[str, str, Any]:
        """Puts a run in line. The visitor's earlier one must have ended; of the same photos it goes on where that
        stopped, of others that is deleted."""
        if not uploads:
            raise InputError("There are no photos.", "Choose photos or a video first.")
        if self._server.progress(id).moving:
            raise InputError("Your run is at work already.", "Wait for it, or stop it.")
        before = self._server.store.find(id)
        choices = Choices(kind, preset, int(frames), layout, height_m)
        if before is not None and holds(before.photos, uploads):
            self._server.start(before, dataclasses.replace(choices, scale=self._server.choices(before).scale))
            return id, *self._following(id)
        run = self._server.store.new()
        try:
            copy_into(run.photos, uploads)
            self._server.start(run, choices)
        except BaseException:
            shutil.rmtree(run.folder)
            raise
        if before is not None:
            shutil.rmtree(before.folder)
        return run.id, *self._following(run.id)

    @plainly
    def stop(self, id: str) -> str:
        """Ends the visitor's run and all its processes."""
        self._server.queue.stop(self._server.run(id).id)
        return html.progress_panel(self._server.progress(id))

    def clear(self, id: str) -> tuple[Any, ...]:
        """Ends the visitor's run and deletes it and everything that was shown of it."""
        run = self._server.store.find(id)
        if run is not None:
            self._server.queue.stop(run.id)
            shutil.rmtree(run.folder)
        return "", None, (), [], *self._following(""), ""

    def follow(self, id: str) -> tuple[str, Any, str]:
        """One look at the visitor's run: the panel, whether to look again, and what has changed."""
        progress = self._server.progress(id)
        return *self._panel(progress), f"{id} {progress.state} {sorted(progress.finished)}"

    def show(self, id: str, shown: dict[str, Any]) -> list[Any]:
        """Fills those tabs whose stages were made anew since `shown`, which comes first in the answer."""
        made = self._server.artifacts(id)
        wanted = {
            str(number): [made.get(name) for name in ("run", "state", *tab.stages)]
            for number, tab in enumerate(self._tabs)
        }
        stale = [number for number in wanted if wanted[number] != shown.get(number)]
        results = self._server.results(id) if stale else None
        values: list[Any] = [wanted]
        for number, tab in enumerate(self._tabs):
            values += tab.fill(results) if str(number) in stale else [gr.skip()] * len(tab.outputs)
        return values

    @plainly
    def pick(self, id: str, photo: str, *numbers: float | None) -> tuple[Any, str]:
        """Marks the two points, and tells their distance once there are both."""
        out = self.folder(id)
        said = "" if None in numbers else measured(read_results(out), photo, numbers)
        return marked(out, photo, numbers), said

    @plainly
    def set_scale(self, id: str, photo: str, metres: float | None, *numbers: float | None) -> tuple[str, Any]:
        """Runs again from the cameras on, with the scale that makes the two points `metres` apart."""
        run = self._server.run(id)
        self._server.rescale(run, scaled(self.folder(id), photo, numbers, metres))
        return self._following(id)

    def folder(self, id: str) -> Path:
        """The results that the visitor may see.

        Raises:
            InputError: there are none yet.
        """
        out = self._server.out(id)
        if out is None:
            raise InputError("There is nothing to measure in yet.", "Wait until depth is known.")
        return out

    def _following(self, id: str) -> tuple[str, Any]:
        return self._panel(self._server.progress(id))

    def _panel(self, progress: Progress) -> tuple[str, Any]:
        return html.progress_panel(progress), gr.Timer(active=progress.moving)


def build(server: Server) -> gr.Blocks:
    """The page of `fewview app`, or of `fewview view` where the server shows one run."""
    with gr.Blocks(title="fewview", analytics_enabled=False, fill_width=True) as page:
        if server.shown is None:
            gr.Markdown("# fewview\nA few photos of a place become cameras, splats, a mesh and a floor plan.")
            run: Any = gr.BrowserState("", storage_key="fewview-run", secret=server.store.secret)
        else:
            gr.Markdown(f"# fewview: {server.shown.name}")
            run = gr.State("")
        shown = gr.State({})
        with gr.Row():
            if server.shown is None:
                with gr.Column(scale=2, min_width=320):
                    left = _left(server)
            with gr.Column(scale=5, min_width=320):
                panel = gr.HTML(visible=server.shown is None, elem_id="progress")
                with gr.Tabs() as frame:
                    splat, mesh, depth, video = SplatTab(server), MeshTab(server), DepthTab(server), VideoTab(server)
                    room, motion, quality = LayoutTab(server), MotionTab(), QualityTab()
                    measure = MeasureTab(server)
                    tabs: list[Tab] = [splat, mesh, depth, video, room, motion, quality, measure, DownloadsTab(server)]
        handlers = Handlers(server, tabs)
        outputs = [component for tab in tabs for component in tab.outputs]
        _wire_measuring(handlers, measure, run)
        in_sight = gr.State("")
        see = {"fn": mesh.see, "inputs": [run, in_sight, mesh.sent], "outputs": mesh.outputs, **_QUIET}
        frame.select(_selected, None, in_sight, **_QUIET).then(**see)
        room.fold.expand(lambda id: room.mesh(server.results(id)), run, room.room, **_QUIET)
        if server.shown is not None:
            page.load(handlers.show, [run, shown], [shown, *outputs], show_progress="hidden", api_name="show").then(
                **see
            )
            return page
        timer, revision = gr.Timer(_EVERY_S, active=False), gr.State("")
        files, gallery, kind, preset, frames, layout, height, reconstruct, stop, clear, example = left
        uploads = gr.State(())
        files.change(handlers.add, files, [uploads, gallery, frames, kind], api_name="add", concurrency_limit=2)
        example.click(handlers.example, None, files, api_name="example")
        choices = [kind, preset, frames, layout, height]
        reconstruct.click(handlers.reconstruct, [run, uploads, *choices], [run, panel, timer], api_name="reconstruct")
        stop.click(handlers.stop, run, panel, api_name="stop", concurrency_limit=None)
        clear.click(handlers.clear, run, [run, files, uploads, gallery, panel, timer, revision], api_name="clear")
        kind.change(
            lambda kind: (gr.Slider(visible=kind == "place"), gr.Number(visible=kind == "people")),
            kind,
            [frames, height],
            **_QUIET,
        )
        measure.set_scale.click(
            handlers.set_scale,
            [run, measure.photo, measure.metres, *measure.points],
            [panel, timer],
            api_name="set_scale",
        )
        for look in (timer.tick, page.load):
            look(handlers.follow, run, [panel, timer, revision], concurrency_limit=None, **_QUIET)
        revision.change(
            handlers.show,
            [run, shown],
            [shown, *outputs],
            show_progress="hidden",
            concurrency_limit=2,
            api_name="show",
        ).then(**see)
    return page


def _left(server: Server) -> tuple[Any, ...]:
    limits = server.limits
    files = gr.File(
        label="Photos or videos",
        file_count="multiple",
        height=150,
        elem_id="files",
    )
    gallery = gr.Gallery(label="Photos", columns=3, height=260, interactive=False, object_fit="cover")
    with gr.Row():
        reconstruct = gr.Button("Reconstruct", variant="primary", elem_id="reconstruct")
        stop = gr.Button("Stop", variant="stop", elem_id="stop")
        clear = gr.Button("Clear", elem_id="clear")
    gr.Markdown("### For the next run")
    kind = gr.Radio(
        [("A place", "place"), ("People, one camera each", "people")],
        value="place",
        label="What the videos show",
        visible=False,
    )
    preset = gr.Radio(
        list(get_args(PresetName)),
        value="default",
        label="Preset",
        info="fast: a first look; best: several times as long as default",
    )
    frames = gr.Slider(2, 60, value=12, step=1, label="Frames taken from each video", visible=False)
    layout = gr.Checkbox(True, label="Find the room's layout")
    height = gr.Number(label="Height of the person seen most (metres); sets the scale", value=None, visible=False)
    gr.Markdown("### Try it")
    example = gr.Button("Photos of a synthetic room", elem_id="example")
    gr.Markdown(
        f"3 to 12 photos work best; at most {limits.files}. One run at a time; at most {limits.waiting} wait. Your run "
        f"can be opened from this browser only, and is deleted when you press Clear, or {limits.kept_hours:g} hours "
        "after it was last used."
    )
    return files, gallery, kind, preset, frames, layout, height, reconstruct, stop, clear, example


def _selected(event: gr.SelectData) -> str:
    return str(event.value)


def _wire_measuring(handlers: Handlers, measure: MeasureTab, run: Any) -> None:
    picked = [run, measure.photo, *measure.points]
    told = [measure.image, measure.said]

    @plainly
    def click(
        id: str,
        photo: str,
        ax: float | None,
        ay: float | None,
        bx: float | None,
        by: float | None,
        event: gr.SelectData,
    ) -> tuple[float | None, ...]:
        return clicked(handlers.folder(id), photo, (event.index[0], event.index[1]), (ax, ay, bx, by))

    measure.image.select(click, picked, measure.points, **_QUIET).then(handlers.pick, picked, told, **_QUIET)
    measure.photo.input(lambda: (None,) * len(measure.points), None, measure.points, **_QUIET).then(
        handlers.pick, picked, told, **_QUIET
    )
    measure.measure.click(handlers.pick, picked, told, api_name="measure")
