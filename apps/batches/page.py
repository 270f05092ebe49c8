"""OUT/index.html: every scene with what became of it, and the way to its report. No scripts, no network."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from fewview.apps.batches.summary import Row, counts
from fewview.recon.durations import duration

NAME = "index.html"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1b1b; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .7rem; border-bottom: 1px solid #d5d5d5; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.done { color: #11632f; } .failed { color: #a31515; font-weight: 600; } .running { color: #0b5394; }
.message { overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #e4e4e4; } th, td { border-color: #444; } a { color: #8ab4f8; }
  .done { color: #7fd39b; } .failed { color: #ff8f8f; } .running { color: #8ab4f8; }
}
"""


def write_page(out: Path, found: Sequence[Row]) -> None:
    """Replaces the page at once; it is made anew from the journal, so it need not survive a power cut."""
    temporary = out / ".work" / f"{NAME}.tmp"
    temporary.write_text(as_html(out, found), encoding="utf-8")
    os.replace(temporary, out / NAME)


def as_html(out: Path, found: Sequence[Row]) -> str:
    """The page. Failed scenes come first: they want attention."""
    said = ", ".join(f"{number} {status}" for status, number in counts(found).items() if number)
    ordered = sorted(found, key=lambda item: item.status != "failed")
    body = "\n".join(_line(out, item) for item in ordered)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>fewview batch: {html.escape(said)}</title>
<style>{_STYLE}</style>
<h1>{len(found)} scenes: {html.escape(said)}</h1>
<table>
<thead><tr><th>scene<th>status<th class="number">time<th class="number">memory<th class="number">attempts<th>remarks
<tbody>
{body}
</table>
</html>
"""


def _line(out: Path, item: Row) -> str:
    links = [
        _link(item.name, target) for target in ("report.html", "manifest.json") if (out / item.name / target).exists()
    ]
    log = f"logs/{item.name}.log"
    remarks = [html.escape(text) for text in (item.message, item.verdict) if text]
    if item.instead_of:
        remarks.append(html.escape(f"{item.setting} instead of {item.instead_of}: memory ran out"))
    if (out / log).exists():
        remarks.append(f'<a href="{quote(log)}">log</a>')
    name = f'<a href="{links[0]}">{html.escape(item.name)}</a>' if links else html.escape(item.name)
    cells = [
        f"<td>{name}",
        f'<td class="{item.status}">{item.status}',
        f'<td class="number">{"" if item.seconds is None else duration(item.seconds)}',
        f'<td class="number">{"" if item.peak_mib is None else f"{item.peak_mib:.0f} MiB"}',
        f'<td class="number">{item.attempts or ""}',
        f'<td class="message">{" · ".join(remarks)}',
    ]
    return "<tr>" + "".join(cells)


def _link(scene: str, target: str) -> str:
    return f"{quote(scene)}/{target}"
