"""Days, for the axis of a chart."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple, TypeVar

from corral.handlers.reports.period import Period
from corral.handlers.reports.sources.files import InputFile
from corral.handlers.reports.words import MONTHS

T = TypeVar("T")
#: More bars than this cannot be told apart: longer periods are shown by week, and very long ones by month.
_MOST_DAYS = 45
_MOST_WEEKS = 45 * 7


class Buckets(NamedTuple):
    """Stretches of a period, each with its label. Every day of the period belongs to one."""

    labels: tuple[str, ...]
    each: str  #: day, week or month
    place: dict[date, int]  #: the stretch of each day

    def add_up(self, values: Iterable[tuple[date, float]]) -> tuple[float, ...]:
        """The sum of each stretch."""
        sums = [0.0] * len(self.labels)
        for day, value in values:
            if (place := self.place.get(day)) is not None:
                sums[place] += value
        return tuple(sums)

    def mean(self, values: Iterable[tuple[date, float | None]]) -> tuple[float | None, ...]:
        """The mean of each stretch; None where there is nothing."""
        found: list[list[float]] = [[] for _ in self.labels]
        for day, value in values:
            if value is not None and (place := self.place.get(day)) is not None:
                found[place].append(value)
        return tuple(sum(some) / len(some) if some else None for some in found)

    def last(self, values: Iterable[tuple[date, float]]) -> tuple[float | None, ...]:
        """The last value of each stretch."""
        found: list[float | None] = [None] * len(self.labels)
        for day, value in sorted(values):
            if (place := self.place.get(day)) is not None:
                found[place] = value
        return tuple(found)


def buckets(period: Period) -> Buckets:
    """The days of a period, or its weeks or months when there are too many."""
    if period.days <= _MOST_DAYS:
        return _grouped(period, "day", lambda day: day)
    if period.days <= _MOST_WEEKS:
        return _grouped(period, "week", lambda day: max(day - timedelta(day.weekday()), period.first))
    return _grouped(period, "month", lambda day: day.replace(day=1))


def _grouped(period: Period, each: str, begin: Callable[[date], date]) -> Buckets:
    starts = list(dict.fromkeys(begin(day) for day in period.dates()))
    numbers = {start: number for number, start in enumerate(starts)}
    labels = tuple(f"{MONTHS[day.month - 1]} {day.year}" if each == "month" else day_label(day) for day in starts)
    return Buckets(labels, each, {day: numbers[begin(day)] for day in period.dates()})


def day_label(day: date) -> str:
    """A day under an axis."""
    return f"{day.day} {MONTHS[day.month - 1]}"


def latest_each_day(period: Period, measured: Sequence[tuple[InputFile, T]]) -> list[tuple[date, T]]:
    """The last measurement of each day, in order."""
    found: dict[date, T] = {}
    for file, data in measured:  # oldest first
        found[period.day_of(file.at)] = data
    return sorted(found.items(), key=lambda item: item[0])
