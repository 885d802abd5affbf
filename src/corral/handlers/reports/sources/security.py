"""The security report."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from corral.handlers.reports.document import Cell, Chart, Column, Document, Figure, Series, Table
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.source import Request
from corral.handlers.reports.sources.days import buckets
from corral.handlers.reports.sources.files import InputFile, Inputs, read_all
from corral.handlers.reports.sources.findings import SEVERITIES, Finding, Scan, read_scan
from corral.plurals import plural

_TOP = 8
_TONES: tuple[Literal["worst", "bad", "warn", "calm"], ...] = ("worst", "bad", "warn", "calm")
_COLUMNS = (
    Column("Severity", "severity"),
    Column("Rule", "code"),
    Column("Where", "code", wide=True),
    Column("What", wide=True),
    Column("Fixed in"),
    Column("State", "text"),
    Column("Tool"),
)


class SecuritySource:
    """Vulnerabilities of a project: how many of each severity, which are new, which are gone.

    Every file is one scan by one tool (a SARIF file may have several). Of each tool the newest scan counts; it is
    compared with its last one before the period, or its first one in it.
    """

    def __init__(self, inputs: Inputs, *, title: str = "Security scan") -> None:
        self._inputs = inputs
        self._title = title

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Read the files and make the document.

        Raises:
            Discard: there are files, and none can be read.
        """
        files = await self._inputs.files(request)
        return await asyncio.to_thread(self._document, request, files)

    def _document(self, request: Request[ReportPayload], files: Sequence[InputFile]) -> Document:
        scans, notes = read_all(files, read_scan)
        base = Document(title=self._title, subject=request.about, period=request.period.words)
        if not scans:
            return Document(
                title=base.title,
                subject=base.subject,
                period=base.period,
                summary=("No scan was made up to the end of this period.",),
                tables=(Table(title="Findings", columns=_COLUMNS, rows=()),),
            )
        pair = _pairs(scans, request.period.begin_ms)
        tables = [_findings(pair.now, pair.new)]
        if pair.compared:
            tables.append(_gone(pair.gone))
        sources = ", ".join(sorted({f"{file.name} ({scan.tool})" for file, scan in _newest(scans)}))
        suppressed = sum(scan.suppressed for _, scan in _newest(scans))
        hidden = (
            (f"{plural(suppressed, 'finding')} suppressed in the code, and not counted here.",) if suppressed else ()
        )
        return Document(
            title=base.title,
            subject=base.subject,
            period=base.period,
            summary=_summary(pair),
            figures=_figures(pair),
            charts=_charts(request, scans, pair.now),
            tables=tuple(tables),
            notes=(f"From {sources}.", *hidden, *notes),
        )


Measured = Sequence[tuple[InputFile, Scan]]


def _newest(scans: Measured) -> list[tuple[InputFile, Scan]]:
    return list({scan.tool: (file, scan) for file, scan in scans}.values())  # oldest first: the last one stays


class _Pair(NamedTuple):
    """What the newest scans of all tools found, and what those did that they are compared with."""

    now: list[Finding]
    before: list[Finding]
    new: set[tuple[str, str, str]]
    gone: list[Finding]
    compared: bool


def _pairs(scans: Measured, begin: int) -> _Pair:
    newest = {scan.tool: (file, scan) for file, scan in _newest(scans)}
    then: dict[str, Scan] = {}
    for file, scan in scans:
        if file is not newest[scan.tool][0] and (file.at < begin or scan.tool not in then):
            then[scan.tool] = scan
    now = _sorted(one for _, scan in newest.values() for one in scan.findings)
    before = _sorted(one for scan in then.values() for one in scan.findings)
    present, known = {one.key for one in now}, {one.key for one in before}
    # Of a tool's first scan everything would be new, and that would say nothing.
    seen_twice = {one.key for tool in then for one in newest[tool][1].findings}
    return _Pair(now, before, seen_twice - known, [one for one in before if one.key not in present], bool(then))


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.rule, one.where))


def _summary(pair: _Pair) -> tuple[str, ...]:
    now, new, gone = pair.now, len(pair.new), len(pair.gone)
    urgent = sum(one.severity in ("critical", "high") for one in now)
    if not now:
        text = "Nothing was found."
    elif urgent:
        text = f"{plural(urgent, 'finding')} of {len(now):,} {'is' if urgent == 1 else 'are'} critical or high."
    else:
        text = f"{plural(len(now), 'finding')}, none of them critical or high."
    change = (
        f" {plural(new, 'is', 'are')} new and {plural(gone, 'is', 'are')} gone since the scan before."
        if pair.compared
        else ""
    )
    fixable = sum(bool(one.fix) for one in now)
    more = f"For {plural(fixable, 'finding')} a newer version or a remedy is known." if fixable else ""
    return (text + change, more)


def _figures(pair: _Pair) -> tuple[Figure, ...]:
    count, then = Counter(one.severity for one in pair.now), Counter(one.severity for one in pair.before)
    figures = [
        Figure(
            label=severity.capitalize(),
            value=count[severity],
            better="down",
            before=then[severity] if pair.compared else None,
        )
        for severity in SEVERITIES[:4]
    ]
    if pair.compared:
        figures += [Figure(label="New", value=len(pair.new)), Figure(label="Gone", value=len(pair.gone))]
    return tuple(figures)


def _charts(request: Request[ReportPayload], scans: Measured, now: Sequence[Finding]) -> tuple[Chart, ...]:
    charts = []
    stretches = buckets(request.period)
    inside = [(request.period.day_of(file.at), scan) for file, scan in scans if file.at >= request.period.begin_ms]
    if len({day for day, _ in inside}) > 1:
        tools = {scan.tool for _, scan in inside}
        series = []
        for severity, tone in zip(SEVERITIES, _TONES, strict=False):
            totals = [0.0] * len(stretches.labels)
            for tool in tools:
                # What a scan found stays so until the tool's next one.
                found = [(day, float(_count(scan, severity))) for day, scan in inside if scan.tool == tool]
                level = 0.0
                for place, value in enumerate(stretches.last(found)):
                    level = level if value is None else value
                    totals[place] += level
            series.append(Series(name=severity.capitalize(), values=tuple(totals), tone=tone))
        charts.append(Chart(title="Findings over time", labels=stretches.labels, series=tuple(series), kind="stacked"))
    places = Counter(one.package or one.where.rpartition(":")[0] or one.where for one in now)
    if len(places) > 1 and max(places.values()) > 1:
        top = places.most_common(_TOP)
        values = tuple(float(count) for _, count in top)
        labels = tuple(place or "–" for place, _ in top)
        charts.append(
            Chart(
                title="Where most is found",
                labels=labels,
                series=(Series(name="Findings", values=values),),
                kind="rank",
            )
        )
    return tuple(charts)


def _count(scan: Scan, severity: str) -> int:
    return sum(one.severity == severity for one in scan.findings)


def _findings(now: Sequence[Finding], new: set[tuple[str, str, str]]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (one.severity, one.rule, one.where, one.text, one.fix, "new" if one.key in new else "", one.tool) for one in now
    )
    return Table(title="Findings", columns=_COLUMNS, rows=rows, empty="Nothing was found.", main=True)


def _gone(gone: Sequence[Finding]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple((one.severity, one.rule, one.where, one.text, one.tool) for one in gone)
    columns = (
        Column("Severity", "severity"),
        Column("Rule", "code"),
        Column("Where", "code", wide=True),
        Column("What", wide=True),
        Column("Tool"),
    )
    return Table(title="Gone since the scan before", columns=columns, rows=rows, empty="Nothing.")
