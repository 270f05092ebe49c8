"""Serves a page from this machine alone unless told otherwise, and cleans up behind its visitors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewview.apps.web.limits import LIMITS, Limits
from fewview.apps.web.queue import Queue
from fewview.apps.web.store import Store
from fewview.recon.errors import EnvironmentFault

_SWEEP_S = 600.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@contextmanager
def serving(root: Path, shown: Path | None, host: str, port: int, limits: Limits = LIMITS) -> Iterator[str]:
    """The app at work.

    Args:
        root: folder of the visitors' runs.
        shown: the finished run that everybody sees; None: visitors make runs of their own.
        host, port: where to listen.

    Yields:
        Its address.

    Raises:
        EnvironmentFault: nothing can listen there.
    """
    store = Store(root)
    # Gradio reads these when it is imported: its own folder, and no word to anybody about who uses it.
    os.environ["GRADIO_TEMP_DIR"] = str(store.served)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from starlette.middleware import Middleware

    from fewview.apps.web.guard import LOCAL, Guard
    from fewview.apps.web.page import build
    from fewview.apps.web.server import Server
    from fewview.apps.web.theme import CSS, HEAD, theme

    queue, closing = Queue(limits), threading.Event()
    page = build(Server(store, queue, limits, shown))
    guard = Middleware(Guard, upload_bytes=limits.upload_bytes, hosts=LOCAL if host in _LOOPBACK else None)
    try:
        _, address, _ = page.queue(max_size=200).launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            show_error=False,
            run_history=False,
            footer_links=[],
            max_file_size=max(limits.photo_bytes, limits.video_bytes),
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            app_kwargs={"middleware": [guard], "docs_url": None, "redoc_url": None, "openapi_url": None},
            theme=theme(),
            css=CSS,
            head=HEAD,
        )
    except OSError as error:
        queue.close()
        raise EnvironmentFault(f"Nothing can listen on {host}:{port}: {error}.", "Choose another --port.") from error
    sweeper = threading.Thread(target=_sweep, args=(store, queue, limits, closing), daemon=True)
    sweeper.start()
    try:
        yield address
    finally:
        closing.set()
        queue.close()
        page.close(verbose=False)


def _sweep(store: Store, queue: Queue, limits: Limits, closing: threading.Event) -> None:
    while True:
        store.sweep(time.time() - limits.kept_hours * 3600, lambda: queue.busy)
        if closing.wait(_SWEEP_S):
            return
