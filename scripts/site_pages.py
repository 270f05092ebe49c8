"""What the site (`make docs`) does to pages that are written to be read in the repository: those that lie above docs/
become pages, and links to them follow; links to sources, which the site does not hold, become plain text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "THIRD_PARTY.md": "third-party.md",
}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#]*)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    for source, page in PAGES.items():
        text = (REPOSITORY / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text.replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    def linked(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2].removeprefix("../"), link[3] or ""
        if target in PAGES:
            return f"[{words}]({PAGES[target]}{anchor})"
        if files.get_file_from_path(target) or not (REPOSITORY / target).exists():
            return link[0]  # what is not there is told
        return f"`{words.strip('`')}`"

    return LINK.sub(linked, markdown)
