"""What a page that is opened from disk must be: well-formed, self-contained, legible, quiet."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from playwright.sync_api import Browser, Frame, Page

_VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})
_LOADING = ("src", "href", "srcset", "poster", "action", "data")
_FAINT = r"""() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = colour => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].map(value => value / 255);
  };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const behind = node => node
    ? over(rgba(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : [1, 1, 1, 1];
  const opacity = node => node ? getComputedStyle(node).opacity * opacity(node.parentElement) : 1;
  const luminance = colour => [0.2126, 0.7152, 0.0722]
    .map((weight, i) => weight * (colour[i] <= 0.04045 ? colour[i] / 12.92 : ((colour[i] + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part) => sum + part);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
    const shown = node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!text || !shown || node.closest(":disabled, style, script, svg")) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const back = behind(node), ink = rgba(style.color);
    ink[3] *= opacity(node);
    const [dark, light] = [back, over(ink, back)].map(luminance).sort((a, b) => a - b);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700), ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} to 1: ${text.slice(0, 40)}`);
  }
  return found;
}"""
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


def faint(page: Page | Frame) -> list[str]:
    """Texts that stand out too little from what is behind them: WCAG 2.2, criterion 1.4.3."""
    found: list[str] = page.evaluate(_FAINT)
    return found


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
        found += faint(page)
        for frame in page.frames:
            wide, seen = frame.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            if wide > seen:
                found.append(f"scrolls sideways: {wide} px in {seen}")
        return found
    finally:
        context.close()
