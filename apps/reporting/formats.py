"""Figures as people read them."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from fewview.recon.durations import duration

NOTHING = "–"
"""Where there is no figure."""


def figure(value: float | None, digits: int = 1) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def with_unit(value: float | None, unit: str, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f} {unit}"


def share(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.0f} %"


def seconds(value: float | None) -> str:
    return NOTHING if value is None else duration(value)


def size(value: float) -> str:
    """Decimal units, as file browsers show them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} bytes"


def coded(text: str) -> Markup:
    """A message with what stands in backticks as code; everything in it is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
