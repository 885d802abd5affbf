"""Periods: some whole days in a row, in a time zone."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from corral.errors import PayloadError
from corral.handlers.reports.words import MONTHS

#: Longer than any report needs, short enough that a slip of the keyboard does not read the whole database.
MAX_DAYS = 400
_BACK = re.compile(r"([1-9]\d{0,2})([dwmy])")
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
_MONTH = re.compile(r"(\d{4})-(\d\d)")
_QUARTER = re.compile(r"(\d{4})-Q([1-4])")
_WEEK = re.compile(r"(\d{4})-W(\d\d)")

Rhythm = Literal["weekly", "monthly", "quarterly"]


class Period(Struct, frozen=True):
    """From the first day to the last, both included."""

    first: date
    last: date
    tz: str = "UTC"

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def dates(self) -> Iterator[date]:
        """Each of its days."""
        return (self.first + timedelta(number) for number in range(self.days))

    @property
    def zone(self) -> tzinfo:
        return UTC if self.tz == "UTC" else ZoneInfo(self.tz)

    @property
    def begin_ms(self) -> int:
        """When it begins, in milliseconds since the epoch."""
        return _ms(self.first, self.zone)

    @property
    def end_ms(self) -> int:
        """When the day after it begins: the first moment that no longer belongs to it."""
        return _ms(self.last + timedelta(1), self.zone)

    def day_of(self, at_ms: int) -> date:
        """The day on which a moment falls, here."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone).date()

    def before(self) -> "Period":
        """The one it is compared with: the month or quarter before one, else as many days right before it."""
        months = _whole_months(self.first, self.last)
        first = _back(self.first, months) if months else self.first - timedelta(self.days)
        return Period(first, self.first - timedelta(1), self.tz)

    @property
    def words(self) -> str:
        """As people write it: `6–12 Oct 2025`."""
        first, last = self.first, self.last
        end = f"{last.day} {MONTHS[last.month - 1]} {last.year}"
        if first == last:
            return end
        if (first.year, first.month) == (last.year, last.month):
            return f"{first.day}–{end}"
        begin = f"{first.day} {MONTHS[first.month - 1]}"
        return f"{begin} – {end}" if first.year == last.year else f"{begin} {first.year} – {end}"


def last_whole(rhythm: Rhythm, today: date, tz: str = "UTC") -> Period:
    """The last week (Monday to Sunday), month or quarter that was over before `today`."""
    if rhythm == "weekly":
        monday = today - timedelta(today.weekday())
        return Period(monday - timedelta(7), monday - timedelta(1), tz)
    begin = today.replace(day=1)
    if rhythm == "quarterly":
        begin = begin.replace(month=begin.month - (begin.month - 1) % 3)
    return Period(_back(begin, 1 if rhythm == "monthly" else 3), begin - timedelta(1), tz)


def last_days(days: int, today: date, tz: str = "UTC") -> Period:
    """The last days that were over before `today`."""
    return Period(today - timedelta(days), today - timedelta(1), tz)


def parse_period(text: str, today: date, tz: str = "UTC") -> Period:
    """Read `7d`, `12w`, `3m`, `1y`, `2025-10`, `2025-Q3` or `2025-W43`. The first four end with the day before today.

    Raises:
        PayloadError: anything else.
    """
    if match := _BACK.fullmatch(text):
        days = int(match[1]) * _DAYS[match[2]]
        if days <= MAX_DAYS:
            return last_days(days, today, tz)
    try:
        if match := _MONTH.fullmatch(text):
            return _months_from(date(int(match[1]), int(match[2]), 1), 1, tz)
        if match := _QUARTER.fullmatch(text):
            return _months_from(date(int(match[1]), 3 * int(match[2]) - 2, 1), 3, tz)
        if match := _WEEK.fullmatch(text):
            monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
            return Period(monday, monday + timedelta(6), tz)
    except ValueError:  # a month 13, a week 54
        pass
    raise PayloadError(
        f"period {text[:40]!r} is none; write 7d, 12w, 3m, 1y (at most {MAX_DAYS} days), 2025-10, 2025-Q3 or 2025-W43"
    )


def _months_from(first: date, months: int, tz: str) -> Period:
    return Period(first, _back(first, -months) - timedelta(1), tz)


def _back(first: date, months: int) -> date:
    """The first of a month, some months earlier."""
    number = first.year * 12 + first.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def _whole_months(first: date, last: date) -> int:
    """How many whole months a span is; 0 when it is something else."""
    after = last + timedelta(1)
    if first.day != 1 or after.day != 1:
        return 0
    return (after.year - first.year) * 12 + after.month - first.month


def _ms(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp() * 1000)
