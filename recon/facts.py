"""Facts: what stages tell the manifest, as dataclasses; read back as they were told.

A stage's facts are a frozen dataclass of JSON's types, tuples, string-keyed mappings and further such dataclasses.
Every field has a default, which stands for "not told": a manifest of an older program may lack it, and a stage may
tell its facts bit by bit. Names that no field has, as of a program that told more, are passed over.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

FactsT = TypeVar("FactsT")
_PLAIN = (bool, int, float, str)


def check_facts(cls: type[Any]) -> None:
    """Raises TypeError where a class cannot hold facts."""
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is no dataclass: facts are")
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise TypeError(f"{cls.__name__}.{field.name} has no default: what an older manifest lacks has to be read")


def told_facts(facts: Any) -> dict[str, Any]:
    """The fields that differ from their defaults, in JSON's types; NaN and infinity, which JSON lacks, become None."""
    unsaid = type(facts)()
    return {
        field.name: _plain(value)
        for field in dataclasses.fields(facts)
        if (value := getattr(facts, field.name)) != getattr(unsaid, field.name)
    }


def checked_facts(cls: type[Any], facts: Any) -> dict[str, Any]:
    """As `told_facts`, for a stage whose facts are `cls`.

    Raises:
        TypeError: they are others, or a value is not of its field's type: it could not be read back.
    """
    if not isinstance(facts, cls):
        raise TypeError(f"the stage's facts are {cls.__name__}, but it tells {type(facts).__name__}")
    told = told_facts(facts)
    try:
        read_facts(cls, told)
    except ValueError as error:
        raise TypeError(f"{cls.__name__}: {error}") from error
    return told


def read_facts(cls: type[FactsT], stored: Mapping[str, Any]) -> FactsT:
    """The facts that a manifest holds.

    Raises:
        ValueError: one is not of its type.
    """
    hints = _hints(cls)  # type: ignore[arg-type]
    return cls(**{name: _read(hints[name], value, name) for name, value in stored.items() if name in hints})


@functools.cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _read(hint: Any, value: Any, name: str) -> Any:
    """`value`, out of JSON, as the type `hint`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (each for each in arguments if each is not type(None))
        return _read(hint, value, name)
    if hint in _PLAIN:
        if type(value) is hint or (hint is float and type(value) is int):
            return value
    elif dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        names = {field.name for field in dataclasses.fields(hint)}
        hints = _hints(hint)  # type: ignore[arg-type]
        inner = {key: _read(hints[key], item, f"{name}.{key}") for key, item in value.items() if key in names}
        try:
            return hint(**inner)  # type: ignore[operator]
        except TypeError as error:
            raise ValueError(f"the fact {name} lacks a part: {value!r}") from error
    elif origin is tuple and isinstance(value, list | tuple):
        if arguments[-1] is Ellipsis:
            return tuple(_read(arguments[0], item, name) for item in value)
        if len(value) == len(arguments):
            return tuple(_read(each, item, name) for each, item in zip(arguments, value, strict=True))
    elif origin is Mapping and isinstance(value, Mapping):
        return {str(key): _read(arguments[1], item, name) for key, item in value.items()}
    raise ValueError(f"the fact {name} is not of its type: {value!r}")
