"""Plain reports: the audit log, analytics, and any rows."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from corral.handlers.reports.document import Cell, Chart, Column, Document, Figure, Kind, Series, Table
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.period import Period
from corral.handlers.reports.source import Request
from corral.handlers.reports.sources.days import Buckets, buckets
from corral.handlers.reports.words import apart, symbol_of
from corral.plurals import plural

_TOP = 8

# -- audit log ---------------------------------------------------------------------------------------------------------


class AuditEvent(Struct, frozen=True, kw_only=True):
    """One thing that somebody did. `at` is in milliseconds since the epoch."""

    at: int
    actor: str
    action: str
    target: str = ""
    outcome: str = ""
    address: str = ""
    details: str = ""


#: The events of a period that a report is about.
FindEvents: TypeAlias = Callable[[Request[ReportPayload], Period], Awaitable[Sequence[AuditEvent]]]


class AuditSource:
    """Exports the audit log of a period: who did what, when, from where; and who and what stands out."""

    def __init__(self, events: FindEvents, *, title: str = "Audit log") -> None:
        self._events = events
        self._title = title

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Ask for the events and make the document."""
        events = sorted(await self._events(request, request.period), key=lambda one: one.at)
        before = await self._events(request, request.previous)
        actors, actions = Counter(one.actor for one in events), Counter(one.action for one in events)
        refused, then = (sum(_refused(one) for one in some) for some in (events, before))
        text = (
            f"{plural(len(events), 'event')} by {plural(len(actors), 'actor')}, {refused:,} of them refused or failed."
        )
        stretches = buckets(request.period)
        days = [(request.period.day_of(one.at), 1.0) for one in events]
        return Document(
            title=self._title,
            subject=request.about,
            period=request.period.words,
            summary=(text if events else "Nothing happened in this period.",),
            figures=(
                Figure(label="Events", value=len(events), before=len(before)),
                Figure(label="Actors", value=len(actors), before=len({one.actor for one in before})),
                Figure(label="Refused or failed", value=refused, better="down", before=then),
            ),
            charts=(
                Chart(
                    title=f"Events by {stretches.each}",
                    labels=stretches.labels,
                    kind="bar",
                    series=(Series(name="Events", values=stretches.add_up(days)),),
                ),
                _ranked("Most active", actors),
                _ranked("Most frequent", actions),
            ),
            tables=(_log(request.period, events),),
            notes=(f"Times are in {request.period.tz}.",),
        )


def _refused(event: AuditEvent) -> bool:
    return event.outcome.lower() in ("denied", "failed", "failure", "error", "refused", "forbidden", "rejected")


def _ranked(title: str, counts: Counter[str]) -> Chart:
    top = counts.most_common(_TOP)
    values = tuple(float(count) for _, count in top)
    return Chart(
        title=title, labels=tuple(name for name, _ in top), series=(Series(name="Events", values=values),), kind="rank"
    )


def _log(period: Period, events: Sequence[AuditEvent]) -> Table:
    columns = (
        Column("When", "time"),
        Column("Who"),
        Column("What", "code"),
        Column("To what", wide=True),
        Column("Outcome", "status"),
        Column("From"),
        Column("Details", wide=True),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            datetime.fromtimestamp(one.at // 1000, period.zone),
            one.actor,
            one.action,
            one.target,
            one.outcome or None,
            one.address,
            one.details,
        )
        for one in events
    )
    return Table(title="Events", columns=columns, rows=rows, main=True)


# -- analytics ---------------------------------------------------------------------------------------------------------


class Measure(Struct, frozen=True, kw_only=True):
    """Something that is counted or measured by day. `total` says what the whole period's figure is made of."""

    name: str
    points: tuple[tuple[date, float], ...]
    unit: str = ""
    better: Literal["up", "down"] | None = "up"
    total: Literal["sum", "mean", "last"] = "sum"

    @property
    def value(self) -> float | None:
        values = [value for _, value in sorted(self.points)]
        if not values:
            return 0.0 if self.total == "sum" else None
        return {"sum": sum(values), "mean": sum(values) / len(values), "last": values[-1]}[self.total]


#: The measures that a report is about, over a period.
FindMeasures: TypeAlias = Callable[[Request[ReportPayload], Period], Awaitable[Sequence[Measure]]]


class AnalyticsSource:
    """Puts measures together: a figure and a chart of each, compared with the period before, and all numbers by day."""

    def __init__(self, measures: FindMeasures, *, title: str = "Analytics") -> None:
        self._measures = measures
        self._title = title

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Ask for the measures and make the document."""
        measures = list(await self._measures(request, request.period))
        before = {one.name: one.value for one in await self._measures(request, request.previous)}
        stretches = buckets(request.period)
        return Document(
            title=self._title,
            subject=request.about,
            period=request.period.words,
            summary=(_most_moved(measures, before),),
            figures=tuple(_measure_figure(one, before.get(one.name)) for one in measures),
            charts=tuple(_measure_chart(one, stretches) for one in measures if one.points),
            tables=(_by_day(request.period, measures),),
            notes=(f"Compared with {request.previous.words}.",),
        )


def _most_moved(measures: Sequence[Measure], before: Mapping[str, float | None]) -> str:
    if not any(one.points for one in measures):
        return "Nothing was measured in this period."
    moved = []
    for one in measures:
        then, now = before.get(one.name), one.value
        if then and now is not None:
            moved.append((100 * (now - then) / abs(then), one.name))
    if not moved:
        return f"{plural(len(measures), 'measure')}, none of which can be compared with the period before."
    share, name = max(moved, key=lambda item: abs(item[0]))
    if abs(share) < 1:
        return f"{plural(len(measures), 'measure')}, all of them much as in the period before."
    way = "more" if share > 0 else "less"
    return f"What moved most is {apart(name)}: {abs(share):,.0f}% {way} than in the period before."


def _kind_of(unit: str) -> Kind:
    return "percent" if unit == "%" else "seconds" if unit == "s" else "money" if symbol_of(unit) else "number"


def _measure_figure(one: Measure, before: float | None) -> Figure:
    kind = _kind_of(one.unit)
    value = one.value
    whole = value is not None and value == int(value)
    return Figure(
        label=one.name,
        value=int(value) if whole and value is not None else value,
        kind=kind,
        unit="" if kind in ("percent", "seconds") else one.unit,
        before=before,
        better=one.better,
    )


def _measure_chart(one: Measure, stretches: Buckets) -> Chart:
    values: tuple[float | None, ...]
    if one.total == "sum":
        values = stretches.add_up(one.points)
    elif one.total == "mean":
        values = stretches.mean(one.points)
    else:
        values = stretches.last(one.points)
    unit = one.unit if one.unit in ("%", "s") else symbol_of(one.unit)
    title = f"{one.name} by {stretches.each}"
    kind: Literal["bar", "line"] = "bar" if one.total == "sum" else "line"
    return Chart(
        title=title, labels=stretches.labels, series=(Series(name=one.name, values=values),), unit=unit, kind=kind
    )


def _by_day(period: Period, measures: Sequence[Measure]) -> Table:
    columns = (Column("Day", "date"), *(Column(one.name, _kind_of(one.unit), one.unit) for one in measures))
    found = [dict(one.points) for one in measures]
    rows: tuple[tuple[Cell, ...], ...] = tuple((day, *(one.get(day) for one in found)) for day in period.dates())
    return Table(title="Day by day", columns=columns, rows=rows if measures else (), main=True)


# -- any rows ----------------------------------------------------------------------------------------------------------

#: The rows that a report is about.
FindRows: TypeAlias = Callable[[Request[ReportPayload]], Awaitable[Sequence[Mapping[str, Cell]]]]


class RowsSource:
    """A table of rows, such as a query's. Columns are those that are named, else the rows' keys in their order."""

    def __init__(self, title: str, rows: FindRows, *, columns: Mapping[str, Column] | None = None) -> None:
        self._title = title
        self._rows = rows
        self._columns = columns

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Ask for the rows and make the document."""
        rows = await self._rows(request)
        columns = dict(self._columns) if self._columns is not None else _columns_of(rows)
        cells = tuple(tuple(row.get(key) for key in columns) for row in rows)
        return Document(
            title=self._title,
            subject=request.about,
            period=request.period.words,
            summary=(f"{plural(len(rows), 'row')}.",),
            tables=(Table(title=self._title, columns=tuple(columns.values()), rows=cells, main=True),),
        )


def _columns_of(rows: Sequence[Mapping[str, Cell]]) -> dict[str, Column]:
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: Column(key, _guess([row.get(key) for row in rows])) for key in keys}


def _guess(cells: Sequence[Cell]) -> Kind:
    known = [cell for cell in cells if cell is not None]
    if known and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in known):
        return "number"
    if known and all(isinstance(cell, datetime) for cell in known):
        return "time"
    return "date" if known and all(isinstance(cell, date) for cell in known) else "text"
