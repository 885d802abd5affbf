"""Days, ISO weeks and months as spans of whole days."""

from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from typing import NamedTuple

from corral.handlers.metrics.payload import Period


class Span(NamedTuple):
    """Whole days, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def work_days(self, wanted: AbstractSet[int]) -> int:
        """How many of its days are work days."""
        return sum((self.first + timedelta(at)).isoweekday() in wanted for at in range(self.days))


def span_of(period: Period, day: date) -> Span:
    """The day, the week (Monday to Sunday) or the month that a day is in."""
    if period == "daily":
        return Span(day, day)
    if period == "weekly":
        monday = day - timedelta(day.isoweekday() - 1)
        return Span(monday, monday + timedelta(6))
    first = day.replace(day=1)
    return Span(first, (first + timedelta(31)).replace(day=1) - timedelta(1))


def before(period: Period, span: Span) -> Span:
    """The period before one."""
    return span_of(period, span.first - timedelta(1))


def last_over(period: Period, day: date) -> Span:
    """The last period that is over when `day` begins."""
    return before(period, span_of(period, day))
