"""Jobs files: TOML, JSON Lines or CSV that say which scenes to run and how (docs/batch.md)."""

from __future__ import annotations

import csv
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewview.recon.errors import InputError

FORMATS = (".toml", ".jsonl", ".csv")
FIELDS = ("photos", "name", "preset", "options", "cameras")


@dataclass(frozen=True)
class Entry:
    """One scene of a jobs file. Paths are relative to the file's folder."""

    photos: tuple[Path, ...]
    where: str
    """File and line, for messages."""
    name: str | None = None
    preset: str | None = None
    options: tuple[str, ...] = ()
    cameras: Path | None = None


def read(path: Path) -> list[Entry]:
    """The scenes of a jobs file, in its order.

    Raises:
        InputError: it cannot be read, or an entry is wrong; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: this is not UTF-8.", "Save the file as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    parse = {".toml": _toml, ".jsonl": _json_lines, ".csv": _csv}[path.suffix.lower()]
    return [_entry(fields, path, line) for line, fields in parse(text, path)]


def _toml(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        match = re.search(r"at line (\d+)", str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        raise _wrong(path, line, f"this is not TOML ({error})") from error
    lines = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*scene\s*\]\]", line)]
    for name in document:
        if name != "scene":
            raise _wrong(path, _line_of(name, text), f"there is no `{name}` here", "Write each scene below [[scene]].")
    scenes = document.get("scene")
    if not isinstance(scenes, list) or len(scenes) != len(lines):
        raise _wrong(path, 1, "there is no [[scene]]", "Write each scene below a line [[scene]].")
    yield from zip(lines, scenes, strict=True)


def _line_of(name: str, text: str) -> int:
    found = re.search(rf"^\s*\[*\s*{re.escape(name)}\b", text, re.MULTILINE)
    return text[: found.end()].count("\n") + 1 if found else 1


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, row in enumerate(text.splitlines(), 1):
        if row.strip():
            try:
                fields = json.loads(row)
            except json.JSONDecodeError as error:
                raise _wrong(path, line, f"this is not JSON ({error.msg}, column {error.colno})") from error
            except (ValueError, RecursionError) as error:  # numbers and nesting without end
                raise _wrong(path, line, f"this is not JSON ({error})") from error
            if not isinstance(fields, dict):
                raise _wrong(path, line, "this is not an object", 'Write {"photos": "FOLDER"} on every line.')
            yield line, fields


def _csv(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The first row names the columns. Several photos are separated by `;`, options are as on the command line."""
    rows = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        if "photos" not in header:
            raise _wrong(path, 1, "no column is called photos", f"Name the columns: {', '.join(FIELDS)}.")
        for row in rows:
            if len(row) > len(header):
                raise _wrong(path, rows.line_num, f"{len(row)} values for {len(header)} columns")
            fields: dict[str, Any] = {name: cell.strip() for name, cell in zip(header, row, strict=False) if cell}
            if fields:
                if "photos" in fields:
                    fields["photos"] = [part.strip() for part in fields["photos"].split(";")]
                yield rows.line_num, fields
    except csv.Error as error:
        raise _wrong(path, rows.line_num, f"this is not CSV ({error})") from error


def _entry(fields: Mapping[str, Any], path: Path, line: int) -> Entry:
    for name in fields:
        if name not in FIELDS:
            raise _wrong(path, line, f"there is no field `{name}`", f"Choose among {', '.join(FIELDS)}.")
    photos = fields.get("photos")
    photos = [photos] if isinstance(photos, str) else photos
    if not isinstance(photos, list) or not photos or not all(isinstance(p, str) and p for p in photos):
        raise _wrong(path, line, "`photos` must be a path or a list of paths")
    for name in ("name", "preset", "cameras"):
        if name in fields and not (isinstance(fields[name], str) and fields[name]):
            raise _wrong(path, line, f"`{name}` must be text")
    options = _words(fields.get("options", ""), path, line)
    for name, same in (("preset", ("--preset",)), ("cameras", ("--cameras", "--prior"))):
        if twice := next((word for word in options if name in fields and word.partition("=")[0] in same), None):
            raise _wrong(path, line, f"`{name}` and {twice} in `options` say the same", "Keep one of them.")
    cameras = fields.get("cameras")
    return Entry(
        photos=tuple(path.parent / photo for photo in photos),
        where=f"{path}, line {line}",
        name=fields.get("name"),
        preset=fields.get("preset"),
        options=options,
        cameras=path.parent / cameras if cameras else None,
    )


def _words(options: Any, path: Path, line: int) -> tuple[str, ...]:
    """Options as text, such as `--splat.steps 50`, or as a table, such as {"splat": {"steps": 50}, "layout": false}."""
    if isinstance(options, str):
        try:
            return tuple(shlex.split(options))
        except ValueError as error:
            raise _wrong(path, line, f"`options` cannot be split into words ({error})") from error
    if isinstance(options, dict):
        return tuple(_flags(options, "", path, line))
    raise _wrong(path, line, "`options` must be text or a table")


def _flags(table: Mapping[str, Any], prefix: str, path: Path, line: int) -> Iterator[str]:
    for key, value in table.items():
        name = f"{prefix}{key}".replace("_", "-")
        if isinstance(value, dict):
            yield from _flags(value, f"{name}.", path, line)
        elif isinstance(value, bool):
            parent, _, last = name.rpartition(".")
            yield f"--{parent}{'.' if parent else ''}{'' if value else 'no-'}{last}"
        elif isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
            yield from (f"--{name}", *map(str, value))
        elif isinstance(value, str | int | float):
            yield from (f"--{name}", str(value))
        else:
            raise _wrong(path, line, f"the option `{name}` must be a number, a text, true or false, or a list of them")


def _wrong(path: Path, line: int, what: str, remedy: str = "Correct that line (docs/batch.md says how).") -> InputError:
    return InputError(f"{path}, line {line}: {what}.", remedy)
