"""Words: numbers, sizes, lengths of time and moments as people read them."""

from datetime import UTC, datetime

from markupsafe import Markup

from corral.dashboard.times import DEFAULT, Times

#: Numbers that differ by less than this share are called the same.
HARDLY = 0.02
_SIZES = ("B", "kB", "MB", "GB", "TB")
#: From when on a length of time is told in this unit, in milliseconds.
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000


def number(value: float | None) -> str:
    """1234567 as 1,234,567; nothing known is a dash."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def short(value: float | None) -> str:
    """A number for a narrow place: 812,345 as 812k."""
    if value is None:
        return "–"
    for least, word in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= least:
            scaled = value / (1e3 if word == "k" else least)
            return f"{scaled:.1f}{word}" if abs(scaled) < 10 else f"{scaled:.0f}{word}"
    return number(value)


def size(count: float | None) -> str:
    """Bytes: 3145728 as 3.1 MB."""
    if count is None:
        return "–"
    value, unit = float(count), 0
    while value >= 1_000 and unit < len(_SIZES) - 1:
        value, unit = value / 1_000, unit + 1
    return f"{value:.0f} {_SIZES[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_SIZES[unit]}"


def duration(ms: float | None) -> str:
    """Milliseconds: `320 ms`, `1.2 s`, `3 m 04 s`, `2 h 10 m`, `3 d 4 h`."""
    if ms is None:
        return "–"
    sign, ms = ("−" if ms < 0 else ""), abs(ms)
    if ms < _SECOND:
        return f"{sign}{ms:.0f} ms"
    if ms < 59_950:
        return f"{sign}{ms / _SECOND:.1f} s" if ms < 9_950 else f"{sign}{ms / _SECOND:.0f} s"
    if ms < _HOUR:
        return f"{sign}{ms // _MINUTE:.0f} m {ms % _MINUTE // _SECOND:02.0f} s"
    if ms < _DAY:
        return f"{sign}{ms // _HOUR:.0f} h {ms % _HOUR // _MINUTE:02.0f} m"
    return f"{sign}{ms // _DAY:.0f} d {ms % _DAY // _HOUR:.0f} h"


def seconds(value: float | None) -> str:
    """The same of seconds."""
    return duration(None if value is None else value * _SECOND)


def share(value: float | None) -> str:
    """A share as per cent."""
    if value is None:
        return "–"
    percent = value * 100
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


def change(value: float) -> str:
    """By how much a number differs from another: `+8 %`, `−40 %`, `12 times`; hardly is `the same`."""
    if value >= 2:
        return f"{number(round(value + 1))} times as much"
    return f"{value * 100:+.0f} %".replace("-", "−") if abs(value) >= HARDLY else "the same"


def per_second(per_minute: float) -> str:
    """A rate: `41.2 /s`."""
    return f"{number(round(per_minute / 60, 1))} /s"


def moment(text: str) -> datetime:
    """An instant of the API, which writes them as RFC 3339."""
    return datetime.fromisoformat(text).astimezone(UTC)


def millis(text: str | None) -> str:
    """The same in milliseconds, as streams tell it; nothing of no moment."""
    return f"{moment(text).timestamp() * 1_000:.0f}" if text else ""


def distance(at: datetime, now: datetime) -> str:
    """How long ago, or in how long: `just now`, `4 min ago`, `in 2 h`."""
    passed = (now - at).total_seconds()
    away = abs(passed)
    if away < 2:
        return "just now"
    for least, length, unit in ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "min"), (0, 1, "s")):
        if away >= least:
            text = f"{away / length:.0f} {unit}"
            return f"{text} ago" if passed > 0 else f"in {text}"
    return "just now"


def time(text: str | None, now: datetime | None = None, times: Times = DEFAULT) -> Markup:
    """A moment as `<time>`: how far away it is, with the whole of it in the title; or as date and time."""
    if not text:
        return Markup("–")
    if times.form != "relative":
        return clock(text, times=times)
    at = moment(text)
    return Markup('<time datetime="{}" data-form="ago" title="{}">{}</time>').format(
        text, times.whole(at), distance(at, now or datetime.now(UTC))
    )


def clock(text: str | None, *, millis: bool = False, times: Times = DEFAULT) -> Markup:
    """A moment as `<time>`: date and time of day, in the reader's zone."""
    if not text:
        return Markup("–")
    at = moment(text)
    shown = times.written(at) + (f".{at.microsecond // 1000:03d}" if millis else "")
    return Markup('<time datetime="{}" data-form="clock" title="{}">{}</time>').format(text, times.called(at), shown)
