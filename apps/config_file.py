"""Options in a TOML file, by the names that they have on the command line: `fewview run --config run.toml`."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any, get_type_hints

import tyro

from fewview.recon.dag.faults import writing
from fewview.recon.errors import InputError
from fewview.recon.io.documents import read_text


def names(arguments: type, prefix: tuple[str, ...] = (), fields: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """What the options of a dataclass are called, as tyro has it but for the dashes in front, and the fields that lead
    to each."""
    for field, hint in get_type_hints(arguments, include_extras=True).items():
        marks = getattr(hint, "__metadata__", ())
        if tyro.conf.Suppress in marks:
            continue
        mark = next((mark for mark in marks if hasattr(mark, "prefix_name")), None)
        own = field.replace("_", "-") if mark is None or mark.name is None else mark.name
        name = tuple(part for part in (*(() if mark and mark.prefix_name is False else prefix), own) if part)
        kind = hint.__origin__ if marks else hint
        if isinstance(kind, type) and is_dataclass(kind):
            yield from names(kind, name, (*fields, field))
        else:
            yield ".".join(name), (*fields, field)


def values(arguments: Any) -> dict[str, Any]:
    """What each option is, by its name."""
    return {name: reduce(getattr, fields, arguments) for name, fields in names(type(arguments))}


def read(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says, by the names of options.

    Args:
        known: a value of each option that there is, by its name.

    Raises:
        InputError: it cannot be read, or names an option that there is not.
    """
    try:
        table = tomllib.loads(read_text(path, "Name a file that `--dry-run --save` wrote, or write one."))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not TOML: {error}.", 'Write one option a line, such as "splat.steps" = 600.'
        ) from error
    said = dict(_flat(table, "", known))
    for name in said:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
            remedy = f"Did you mean `{near[0]}`? " if near else ""
            raise InputError(f"{path}: there is no option `{name}`.", f"{remedy}`fewview run --help-all` lists them.")
    return said


def _flat(table: Mapping[str, Any], prefix: str, known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Options by their whole names: TOML reads splat.steps = 7 as a table `splat`."""
    for key, value in table.items():
        if isinstance(value, dict) and not isinstance(known.get(prefix + key), Mapping):
            yield from _flat(value, f"{prefix}{key}.", known)
        else:
            yield prefix + key, value


def words(said: Mapping[str, Any]) -> Iterator[str]:
    """The same on a command line. A value of a kind that none has becomes words that the parser refuses."""
    for name, value in said.items():
        if isinstance(value, bool):
            parent, point, last = name.rpartition(".")
            yield f"--{parent}{point}{'' if value else 'no-'}{last}"
        elif isinstance(value, Mapping):
            yield from (f"--{name}", *(str(word) for item in value.items() for word in item))
        elif isinstance(value, list):
            yield from (f"--{name}", *map(str, value))
        else:
            yield f"--{name}={value}"


def write(path: Path, chosen: Mapping[str, Any]) -> None:
    """A file that `read` takes; what is None is left out, as it says nothing.

    Raises:
        EnvironmentFault: it cannot be written.
    """
    lines = [f"{_key(name)} = {as_toml(value)}\n" for name, value in chosen.items() if value is not None]
    with writing(path, "--save"):
        path.write_text("".join(lines), encoding="utf-8")


def _key(name: str) -> str:
    return f'"{name}"' if "." in name else name


def as_toml(value: Any) -> str:
    """A value as TOML writes it; None, which it has no word for, as none."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{as_toml(key)} = {as_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
