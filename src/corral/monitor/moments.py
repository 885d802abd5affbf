"""Numbers, lengths of time, ages and dates as people type them. Pure; what cannot be read is a ValueError."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from corral.timing import Millis

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
BYTES = {"b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}

#: low, high, `low` is out, `high` is out
Ends: TypeAlias = tuple[float | None, float | None, bool, bool]

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d|w)")
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?)([a-z]*)", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}(:\d{2}(:\d{2}(\.\d{1,6})?)?)?)?)?(Z|[+-]\d{2}:?\d{2})?")


def number(text: str) -> float:
    """`12`, `-0.5`, `2kb`."""
    match = _NUMBER.fullmatch(text)
    unit = 1 if match is None or not match[2] else BYTES.get(match[2].lower(), 0)
    if match is None or not unit or not math.isfinite(value := float(match[1]) * unit):
        raise ValueError(f"{text!r} is no number")
    return value


def length(text: str) -> float:
    """Milliseconds of `500ms`, `1.5h`, `2h30m`, or of a number of seconds."""
    if not _LENGTH.match(text):
        try:
            return number(text) * 1_000
        except ValueError:
            raise ValueError(f"{text!r} is no length of time: 500ms, 30s, 5m, 2h, 7d") from None
    total, at = 0.0, 0
    while at < len(text):
        part = _LENGTH.match(text, at)
        if part is None:
            raise ValueError(f"{text!r} is no length of time: 500ms, 30s, 5m, 2h, 7d")
        total, at = total + float(part[1]) * UNITS[part[2]], part.end()
    if not math.isfinite(total):
        raise ValueError(f"{text!r} is too long")
    return total


def ages(sign: str, value: str, now: Millis) -> Ends | None:
    """The instants of an age: `<2h` is less than two hours ago, `1h..2h` between; None when it is no age."""
    low, dots, high = value.partition("..")
    if not all(_LENGTH.match(end) for end in (low, high) if end) or not (low or high):
        return None
    if dots:
        if sign:
            raise ValueError(f"a range has no sign: {value}")
        return (now - length(high) if high else None), (now - length(low) if low else None), False, False
    at = now - length(value)
    match sign:
        case ">":
            return None, at, False, True
        case ">=":
            return None, at, False, False
        case "<=" | "":  # an age alone: within that time
            return at, None, False, False
    return at, None, True, False


def instants(sign: str, value: str) -> Ends:
    """The instants of a date or time (UTC unless it has an offset), or of epoch milliseconds."""
    low, dots, high = value.partition("..")
    if dots:
        if sign:
            raise ValueError(f"a range has no sign: {value}")
        if not (low or high):
            raise ValueError("a range needs an end")
        return (_moment(low)[0] if low else None), (_moment(high)[1] if high else None), False, False
    first, last = _moment(value)
    match sign:
        case ">":
            return last, None, True, False
        case ">=":
            return first, None, False, False
        case "<":
            return None, first, False, True
        case "<=":
            return None, last, False, False
    return first, last, False, False


def _moment(text: str) -> tuple[float, float]:
    """The first and the last millisecond of a date, an hour, a second …"""
    match = _DATE.fullmatch(text)
    if match is None:
        try:
            at = number(text)
        except ValueError:
            raise ValueError(f"{text!r} is no time: 2h, 2026-11-20, 2026-11-20T09:30Z") from None
        return at, at
    try:
        begin = _read(text.removesuffix("Z"), match)
        end = _end(begin, match)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not in the calendar") from None
    return _ms(begin), _ms(end) - 1


def _read(text: str, match: re.Match[str]) -> datetime:
    if match[1] is None:
        return datetime.strptime(text[:7], "%Y-%m").replace(tzinfo=UTC)
    if match[2] is not None and match[3] is None:  # an hour alone
        text = f"{text[:13]}:00{text[13:]}"
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _end(begin: datetime, match: re.Match[str]) -> datetime:
    if match[1] is None:
        return begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    units = (match[5], timedelta(milliseconds=1)), (match[4], timedelta(seconds=1)), (match[3], timedelta(minutes=1))
    for said, step in (*units, (match[2], timedelta(hours=1))):
        if said is not None:
            return begin + step
    return begin + timedelta(days=1)


def _ms(at: datetime) -> float:
    return round(at.timestamp() * 1000)
