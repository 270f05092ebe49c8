"""Small pieces of HTML, with everything escaped that came from files."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import markupsafe
from markupsafe import Markup

from fewview.apps.web.progress import Progress, StageLine
from fewview.recon.durations import duration, rough

_MARKS = {"ok": "done", "cached": "kept", "running": "at work", "failed": "failed", "skipped": "left out"}


def progress_panel(progress: Progress) -> str:
    """The headline, a bar, the time left, the stages, and what went wrong with its remedy."""
    parts = [f'<p class="fv-headline fv-{progress.state}"><strong>{escape(progress.headline)}</strong>']
    if progress.seconds_left is not None and progress.state == "running":
        parts.append(f" About {rough(progress.seconds_left)} left.")
    parts.append("</p>")
    if progress.state in ("running", "stopping"):
        parts.append(f'<progress max="100" value="{100 * progress.share:.0f}" aria-label="Share done"></progress>')
    for problem in progress.problems:
        parts.append(
            f'<div class="fv-problem" role="alert"><p>{escape(problem.what)}</p>'
            f"<p><strong>What to do:</strong> {escape(problem.remedy)}</p></div>"
        )
    if progress.stages:
        rows = [(stage.name, _status(stage), _seconds(stage), stage.note) for stage in progress.stages]
        body = table(("stage", "", "time", ""), rows)
        opened = " open" if progress.state in ("running", "stopping") else ""
        parts.append(f"<details{opened}><summary>Stages</summary>{body}</details>")
    return f'<div class="fv-progress">{"".join(parts)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table of texts; those that are not `Markup` are escaped."""
    headings = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = "".join("<tr>" + "".join(f"<td>{markupsafe.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="fv-scroll"><table class="fv-table">{said}<thead><tr>{headings}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def bullets(title: str, lines: Sequence[str]) -> str:
    """A list under a heading; nothing where there are no lines."""
    if not lines:
        return ""
    return f"<h3>{escape(title)}</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def download(path: Path) -> Markup:
    """A link that saves a file which gradio serves."""
    address = f"gradio_api/file={quote(str(path))}"  # relative, so that it holds behind a proxy, too
    return Markup('<a href="{}" download="{}">{}</a>').format(address, path.name, path.name)


def svg_picture(path: Path, alt: str) -> str:
    """An SVG as a picture: a browser runs no script in it."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img class="fv-plan" alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'


def page_frame(path: Path, title: str) -> str:
    """A self-contained page in a frame that can reach neither the app nor its files."""
    document = escape(path.read_text(encoding="utf-8"), quote=True)
    return f'<iframe class="fv-frame" title="{escape(title)}" sandbox="allow-scripts" srcdoc="{document}"></iframe>'


def _status(stage: StageLine) -> str:
    if stage.status == "running" and stage.share:
        return f"{stage.share:.0%}"
    return _MARKS.get(stage.status, "to come")


def _seconds(stage: StageLine) -> str:
    return "" if stage.seconds is None or stage.status == "cached" else duration(stage.seconds)
