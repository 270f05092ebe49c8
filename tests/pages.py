"""What a page that is opened from disk must be: well-formed, self-contained, legible, quiet."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from playwright.sync_api import Browser

_VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})
_LOADING = ("src", "href", "srcset", "poster", "action", "data")
_PLAYS = """film => film.readyState >= 2 || new Promise(done => {
    film.onloadeddata = () => done(true); film.onerror = () => done(false); film.load();
})"""


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.inner: list[str] = []
        """Documents within frames."""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "img" and not values.get("alt"):
            self.faults.append("a picture without a text for who cannot see it")
        for name in _LOADING:
            if re.match(r"(?i)\s*(https?:|//|file:|javascript:)", values.get(name) or ""):
                self.faults.append(f"<{tag} {name}> leads out: {values[name]}")
        if "id" in values:
            self.ids.append(values["id"] or "")
        if "srcdoc" in values:
            self.inner.append(values["srcdoc"] or "")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes what is not open at {self.getpos()}")


def faults(text: str) -> list[str]:
    """What is wrong with a page by its text alone: tags, duplicate ids, references to elsewhere, missing texts."""
    page = _Page()
    page.feed(text)
    page.close()
    found = page.faults + [f"<{tag}> is never closed" for tag in page.open]
    found += [f"id {name} twice" for name in page.ids if page.ids.count(name) > 1]
    if re.search(r"@import|url\(\s*['\"]?(?!data:)", text):
        found.append("a style that loads something")
    return found + [fault for document in page.inner for fault in faults(document)]


def faults_in_browser(browser: Browser, path: Path, width: int, scheme: str = "light") -> list[str]:
    """What goes wrong when the page is opened: messages, requests, pictures that do not show, sideways scrolling."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        found: list[str] = []
        page.on("console", lambda message: found.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: found.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (found.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("data:", "about:")) or request.url == path.as_uri()
                else found.append(f"request: {request.url}")
            ),
        )
        page.goto(path.as_uri())
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        broken = page.evaluate("[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.alt)")
        found += [f"not shown: {name}" for name in broken]
        films = f"Promise.all([...document.querySelectorAll('video')].map({_PLAYS}))"
        found += ["a film that does not play"] * page.evaluate(films).count(False)
        for frame in page.frames:
            wide, seen = frame.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            if wide > seen:
                found.append(f"scrolls sideways: {wide} px in {seen}")
        return found
    finally:
        context.close()
