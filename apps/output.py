"""Where a command's figures go."""

from __future__ import annotations

from pathlib import Path

from fewview.recon.dag.faults import writing


def deliver(text: str, path: Path | None) -> None:
    """Write `text` and a line break to `path`, making its folder; to standard output where there is no path."""
    if path is None:
        print(text)
    else:
        with writing(path.parent, "--json"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
