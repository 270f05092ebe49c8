"""The app as browsers, clients and intruders meet it."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from pages import faint
from PIL import Image
from playwright.sync_api import Browser, Page

from fewview.apps.results import read_results
from fewview.apps.web.command import Choices
from fewview.apps.web.limits import Limits
from fewview.apps.web.serving import serving
from fewview.apps.web.store import Store
from fewview.apps.web.tabs.measure import clicked, describe, marked, scaled
from fewview.data.gallery import generate, write_scene
from fewview.recon.io.cameras import read_cameras
from fewview.recon.measure import Distance, distance, pick
from fewview.recon.sfm.scale import metres_per_unit, parse_length

LIMITS = Limits(files=5, photo_bytes=1 << 20, video_bytes=1 << 20, upload_bytes=3 << 20)

_KEPT = """
    const get = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, options) {
        return get.call(this, kind, { ...options, preserveDrawingBuffer: true });
    };
"""
"""Lets a test read what WebGL has drawn."""
_FOCUSED = """() => {
    const node = document.activeElement, style = getComputedStyle(node);
    const name = node.ariaLabel || node.innerText || node.labels?.[0].innerText;
    return [node === document.body ? null : name.trim(), `${style.outlineStyle} ${style.outlineWidth}`];
}"""


@dataclass(frozen=True)
class App:
    """One that listens."""

    address: str
    root: Path
    photos: list[Path]


def client_of(app: App) -> Client:
    """Leaves the files that an answer names on the server: what it fetches stays in the system's temporary folder."""
    return Client(app.address, verbose=False, download_files=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """With photos of a small room to give it."""
    folder = tmp_path_factory.mktemp("app")
    write_scene(generate(seed=1, views=4, size=(320, 240)), folder / "room")
    with serving(folder / "runs", None, "127.0.0.1", free_port(), LIMITS) as address:
        yield App(address, folder / "runs", sorted((folder / "room" / "images").iterdir()))


@pytest.fixture
def app(listening: App, monkeypatch: pytest.MonkeyPatch) -> App:
    """The one whose uploads gradio knows: it looks up their folder anew, and `viewer` is of the same process."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(Store(listening.root).served))
    return listening


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory, room: tuple[Path, Path]) -> Iterator[App]:
    """`fewview view` of a copy of a finished run, in which one file is a link that leads out."""
    folder = tmp_path_factory.mktemp("view")
    shutil.copytree(room[1], folder / "run")
    (folder / "secret.txt").write_text("secret")
    (folder / "run" / "renders" / "path.mp4").unlink()
    (folder / "run" / "renders" / "path.mp4").symlink_to(folder / "secret.txt")
    with serving(folder / "served", folder / "run", "127.0.0.1", free_port(), LIMITS) as address:
        yield App(address, folder / "served", [])


def test_photos_become_splats_a_plan_and_files(app: App, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})  # a phone
    asked, complaints = watched(page)
    page.add_init_script(_KEPT)
    page.goto(app.address)
    page.locator("#files input[type=file]").set_input_files(app.photos)
    page.get_by_text("room_03.jpg").first.wait_for()
    page.get_by_label("fast", exact=True).check()
    page.locator("#reconstruct").click()
    page.get_by_text("Stage 2 of 8: matches").wait_for(timeout=120_000)
    assert complaints == []
    page.reload()  # the browser knows its run again
    complaints.clear()  # the page that was left complains where its streams are cut
    page.get_by_text("Done.").wait_for(timeout=600_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "the page is wider than a phone"
    assert drawn(page, "#splat") > 0.3
    page.close()
    assert {re.sub(r"^\w+://([^/:]+).*", r"\1", url) for url in asked} == {"127.0.0.1"}
    assert complaints == []


def test_the_mesh_is_drawn_while_the_splats_rest(viewer: App, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    _, complaints = watched(page)
    page.add_init_script(_KEPT)
    page.add_init_script("""
        const draw = WebGL2RenderingContext.prototype.drawArraysInstanced;
        window.splats = 0;
        WebGL2RenderingContext.prototype.drawArraysInstanced = function (...values) {
            window.splats++;
            draw.apply(this, values);
        };
    """)
    page.goto(viewer.address)
    page.wait_for_function("window.splats > 0", timeout=120_000)
    page.get_by_role("tab", name="Mesh").click()
    assert drawn(page, "#mesh") > 0.1
    before = page.evaluate("window.splats")
    page.wait_for_timeout(500)
    assert page.evaluate("window.splats") == before
    page.close()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_are_named_legible_and_reached_by_keys(app: App, browser: Browser, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1000}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(app.address)
    page.get_by_text("No run yet.").wait_for()
    assert faint(page) == []
    names = []
    while True:
        page.keyboard.press("Tab")
        name, outline = page.evaluate(_FOCUSED)
        if name is None:
            break
        assert outline == "solid 3px", name
        names.append(name)
    controls = ["Click to upload or drop files", "Reconstruct", "Stop", "Clear", "fast", "default", "best"]
    controls += ["Find the room's layout", "Photos of a synthetic room", "3D splat", "Mesh", "Depth", "Video", "Layout"]
    assert names == [*controls, "Quality", "Measure", "Downloads"]
    page.get_by_label("Find the room's layout").focus()
    page.keyboard.press("Space")
    assert not page.get_by_label("Find the room's layout").is_checked()
    page.get_by_role("tab", name="Quality").focus()
    page.keyboard.press("Enter")
    page.get_by_text("A verdict for each photo").wait_for()
    page.close()


def test_uploads_runs_and_stops_through_the_client(app: App, tmp_path: Path) -> None:
    client, other = client_of(app), client_of(app)
    bad = tmp_path / "photos.zip"
    bad.write_bytes(b"PK")
    with pytest.raises(AppError, match=r"photos\.zip is not a photo or a video\. Unpack the archive"):
        client.predict([handle_file(bad)], api_name="/add")
    with pytest.raises(AppError, match=r"There are no photos\. Choose photos or a video first\."):
        client.predict("", "place", "fast", 12, True, None, api_name="/reconstruct")
    gallery, *_ = client.predict([handle_file(path) for path in app.photos], api_name="/add")
    assert [item["caption"] for item in gallery] == [path.name for path in app.photos]
    id, panel, _ = client.predict("", "place", "fast", 12, True, None, api_name="/reconstruct")
    assert (app.root / id / "photos" / "room_00.jpg").is_file()
    assert "Starting" in panel
    with pytest.raises(AppError, match=r"at work already\. Wait for it, or stop it"):
        client.predict(id, "place", "fast", 12, True, None, api_name="/reconstruct")
    with pytest.raises(AppError, match=r"There is no run\. Choose photos"):
        other.predict(f"../{id}", api_name="/stop")
    assert "Stopped" in client.predict(id, api_name="/stop")
    again, *_ = client.predict(id, "place", "fast", 12, False, None, api_name="/reconstruct")
    assert again == id, "the same photos go on where they stopped"
    client.predict(id, api_name="/stop")
    client.predict([handle_file(path) for path in app.photos[1:]], api_name="/add")
    new, *_ = client.predict(id, "place", "fast", 12, True, None, api_name="/reconstruct")
    assert not (app.root / id).exists(), "other photos are another run"
    client.predict(new, api_name="/clear")
    assert not (app.root / new).exists()


def test_a_known_length_sets_the_scale_through_the_client(app: App, room: tuple[Path, Path]) -> None:
    run = Store(app.root).new()
    shutil.copytree(room[0] / "images", run.photos, dirs_exist_ok=True)
    shutil.copytree(room[1], run.out)
    choices = Choices(preset="fast", layout=False)
    (run.folder / "choices.json").write_text(json.dumps(asdict(choices)))
    client, points = client_of(app), (300, 300, 700, 300)
    client.predict(run.id, api_name="/show")
    with pytest.raises(AppError, match=r"The length is missing\. Give it in metres"):
        client.predict(run.id, "room_01.jpg", None, *points, api_name="/set_scale")
    client.predict(run.id, "room_01.jpg", 2.5, *points, api_name="/set_scale")
    deadline = time.monotonic() + 120
    while not (known := read_results(run.out).scale) or known.units != "metre":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    client.predict(run.id, api_name="/stop")
    before, after = (
        {view.name: view.center for view in read_cameras(out / "cameras").views} for out in (room[1], run.out)
    )
    a, b = (pick(room[1], "room_01.jpg", x, 300.0) for x in (300.0, 700.0))
    ends = ("room_00.jpg", "room_03.jpg")
    grown = np.linalg.norm(np.subtract(*map(after.get, ends))) / np.linalg.norm(np.subtract(*map(before.get, ends)))
    assert grown == pytest.approx(2.5 / distance(a, b).length, rel=1e-3)
    client.predict(run.id, api_name="/clear")


def test_lengths_are_measured_in_a_finished_run(viewer: App) -> None:
    client = client_of(viewer)
    client.predict(api_name="/show")
    _, said = client.predict("room_01.jpg", 300, 300, 700, 300, api_name="/measure")
    assert re.match(r"\*\*\d+\.\d+ ± \d+\.\d+ units\*\*", said)
    assert "Unknown scale" in said
    with pytest.raises(AppError, match=r"5000, 300 lies outside room_01\.jpg \(1024 x 768\)\. Pick a point"):
        client.predict("room_01.jpg", 300, 300, 5000, 300, api_name="/measure")
    with pytest.raises(AppError, match=r"\.\./x is not in the list of choices"):
        client.predict("../x", 300, 300, 500, 300, api_name="/measure")


def test_a_known_length_becomes_the_scale(room: tuple[Path, Path]) -> None:
    results = read_results(room[1])
    scale = scaled(room[1], "room_01.jpg", (300.0, 300.0, 700.0, 300.0), 2.5)
    a, b = (pick(room[1], "room_01.jpg", x, 300.0) for x in (300.0, 700.0))
    views = read_cameras(room[1] / "cameras").views
    assert metres_per_unit(parse_length(scale), views) * distance(a, b).length == pytest.approx(2.5, rel=1e-3)
    assert results.scale is not None
    metric = replace(results.scale, units="metre")
    assert describe(Distance(2.5, 0.0213, False), metric).startswith("**2.500 ± 0.021 m**")
    numbers: tuple[float | None, ...] = (None,) * 4
    for xy in ((10, 20), (30, 40), (50, 60)):
        numbers = clicked(room[1], "room_01.jpg", xy, numbers)
    assert numbers == (50.5, 60.5, None, None)
    assert np.ptp(marked(room[1], "room_01.jpg", (300.0, 300.0, 700.0, 300.0)), axis=(0, 1)).min() > 200


def test_nothing_but_what_is_shown_is_served(viewer: App) -> None:
    links = client_of(viewer).predict(api_name="/show")[-1]
    (served,) = (viewer.root / ".served").glob("*/splat/splat.ply")
    assert "orbit.mp4" in links
    assert "path.mp4" not in links, "a link that leads out of the run is not followed"
    run = viewer.root.parent / "run"
    secrets = [
        "/etc/passwd",
        str(run / "manifest.json"),
        str(viewer.root.parent / "secret.txt"),
        f"{viewer.root}/.served/../../secret.txt",
        f"{viewer.root}/.served/%2e%2e/%2e%2e/secret.txt",
        f"{viewer.root}/.served",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "https://example.com/",
        "/proc/self/environ",
    ]
    (viewer.root / ".served" / "link").symlink_to(viewer.root.parent / "secret.txt")
    with httpx.Client(base_url=viewer.address) as http:
        for path in [*secrets, f"{viewer.root}/.served/link"]:
            for route in ("file=", "file/"):
                answer = http.get(f"/gradio_api/{route}{path}")
                assert answer.status_code in (403, 404), path
                assert "secret" not in answer.text.replace("secret.txt", "")
        for route in ("proxy=http://127.0.0.1:1/", "runs", "run-history/buckets", "openapi.json", "vibe-code"):
            assert http.get(f"/gradio_api/{route}").status_code == 404
        for route in ("process_recording", "component_server", "vibe-edit", "run-history/connect"):
            assert http.post(f"/gradio_api/{route}", json={}).status_code == 404
        assert http.get("/", headers={"host": "evil.example"}).status_code == 421
        assert http.get("/monitoring").status_code == 404
        kept = http.get(f"/gradio_api/file={served}")
        assert kept.status_code == 200


def test_uploads_that_are_too_large_or_misnamed_are_refused_on_the_way(app: App) -> None:
    with httpx.Client(base_url=app.address) as http:
        upload = "/gradio_api/upload"
        assert http.post(upload, files={"files": ("a.jpg", b"x" * (4 << 20))}).status_code == 413
        assert http.post(upload, files={"files": ("a.jpg", b"x" * (2 << 20))}).status_code == 413
        assert http.post(upload, content=(b"x" for _ in range(9))).status_code == 411
        assert http.post("/gradio_api/queue/join", content=b"x" * (2 << 20)).status_code == 413
        for name in ("../../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "a\0b.jpg", ".jpg"):
            (path,) = http.post(upload, files={"files": (name, b"x")}).raise_for_status().json()
            assert Path(path).resolve().is_relative_to(app.root / ".served")
        # A file that the visitor did not upload cannot be had by naming it.
        body = {"data": [[{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]]}
        event = http.post("/gradio_api/call/add", json=body).json()["event_id"]
        said = http.get(f"/gradio_api/call/add/{event}").text
        assert "event: error" in said
        assert "root:" not in said


def test_a_viewer_that_is_told_to_end_leaves_nothing_behind(room: tuple[Path, Path], tmp_path: Path) -> None:
    words = [sys.executable, "-m", "fewview.apps.cli", "view", str(room[1]), "--port", str(free_port())]
    with subprocess.Popen(words, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Open http://127.0.0.1")
        (folder,) = tmp_path.iterdir()
        process.terminate()
        assert process.wait(30) == 0
    assert not folder.exists()


def drawn(page: Page, viewer: str) -> float:
    """Share of a viewer's canvas that is not background, once it has loaded and drawn. Its page needs `_KEPT`."""
    canvas = page.locator(f"{viewer} canvas")
    canvas.wait_for()
    share, enough = 0.0, 0.1 if viewer == "#mesh" else 0.3
    deadline = time.monotonic() + 120
    while share <= enough and time.monotonic() < deadline:
        page.wait_for_timeout(1000)
        # No screenshot: that waits for frames in quick succession, which software drawing may not give.
        data = base64.b64decode(canvas.evaluate("node => node.toDataURL().split(',')[1]", timeout=120_000))
        image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        share = float(np.all([np.abs(image - ground).max(2) > 20 for ground in (0, 240, 255)], axis=0).mean())
    return share


def watched(page: Page) -> tuple[list[str], list[str]]:
    """What the page asks for, and what it complains of."""
    asked: list[str] = []
    complaints: list[str] = []
    page.on(
        "request", lambda request: None if request.url.startswith(("data:", "blob:")) else asked.append(request.url)
    )
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return asked, complaints
