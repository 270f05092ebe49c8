"""What is let through to gradio: the requests that this page makes, of a stated size, from its own address.

Gradio 6 serves much that the page does not use (a proxy, downloads of other sites' files, a history in the cloud,
editors); a list of what is needed keeps the rest closed, and also what a later version may add.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_API = "/gradio_api/"
_GET = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|app_id|startup-events|theme\.css|queue/data|queue/status|upload_progress)/?"
    r"|/gradio_api/(heartbeat/[A-Za-z0-9]+|call/[a-z_]+/[A-Za-z0-9]+)"
)
_FILE = re.compile(r"/gradio_api/file=(?![A-Za-z][A-Za-z0-9+.-]*:).+")
"""No address of another site: gradio would fetch it for the visitor."""
_POST = re.compile(r"/gradio_api/(queue/join|cancel|reset|upload|(run|api|call)/(v2/)?[a-z_]+)/?")
_JSON_BYTES = 1 << 20
LOCAL = ("localhost", "127.0.0.1", "::1")


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, upload_bytes: int, hosts: Collection[str] | None) -> None:
        """
        Args:
            upload_bytes: of one upload.
            hosts: names by which the app may be asked for, so that no page elsewhere can point its own name at this
                machine (DNS rebinding); None for any.
        """
        self._app, self._upload_bytes, self._hosts = app, upload_bytes, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if self._hosts is not None and _host(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("Unknown host.", 421)
        if method in ("GET", "HEAD"):
            allowed = _GET.fullmatch(path) or _FILE.fullmatch(path)
            return None if allowed else PlainTextResponse("Not found.", 404)
        if method != "POST" or not _POST.fullmatch(path):
            return PlainTextResponse("Not found.", 404)
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return PlainTextResponse("The length must be told.", 411)
        most = self._upload_bytes if path.startswith(f"{_API}upload") else _JSON_BYTES
        return PlainTextResponse("Too large.", 413) if int(length) > most else None


def _host(value: str) -> str:
    """Without its port and brackets."""
    return re.sub(r":\d+$", "", value).strip("[]").lower()
