"""Cells and columns: how one value of a table is written."""

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from corral.timing import Millis, now_ms, to_datetime

Row = Mapping[str, object]


def plain(value: object) -> str:
    """A value as people read it: nothing is a dash, lists have commas, numbers keep their digits."""
    match value:
        case None | "":
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.1f}"
        case list() | tuple():
            return ", ".join(map(str, value)) or "–"
        case dict():
            return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def span(seconds: object) -> str:
    """A duration in seconds as people say it: `840ms`, `1.2s`, `4m10s`, `3h05m`, `2d07h`."""
    if not isinstance(seconds, int | float):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600:02d}h"


def share(value: object) -> str:
    """A share from 0 to 1 as a percentage."""
    return f"{value * 100:.1f}%" if isinstance(value, int | float) else "–"


def iso(at: Millis | None) -> str | None:
    """An instant as RFC 3339 in UTC."""
    return None if at is None else to_datetime(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(at: Millis | None) -> float | None:
    """How many seconds have passed since an instant; never below zero."""
    return None if at is None else max(0, now_ms() - at) / 1000


class Column(NamedTuple):
    """One column of a table: the row's key, the title, how a value is written."""

    key: str
    title: str
    show: Callable[[object], str] = plain
    right: bool = False
    rank: int = 0  #: on a narrow terminal the highest ranks are left out first; 0 stays
    wrap: bool = False  #: may take several lines
