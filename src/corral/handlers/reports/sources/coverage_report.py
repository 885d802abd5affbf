"""The test coverage report."""

import asyncio
from collections.abc import Sequence

from corral.handlers.reports.document import Cell, Chart, Column, Document, Figure, Series, Table
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.source import Request
from corral.handlers.reports.sources.coverage import Coverage, FileCoverage, read_coverage, share
from corral.handlers.reports.sources.days import day_label, latest_each_day
from corral.handlers.reports.sources.files import InputFile, Inputs, read_all
from corral.handlers.reports.words import show_number, signed
from corral.plurals import plural

#: How many ranges of lines a cell names before it counts the rest.
_MOST_RANGES = 8
_WORST = 8
_TREND = 60  # points


class CoverageSource:
    """Coverage of a project: how much of it its tests run, how that changed, and where it is least.

    Every file is one measurement of the whole project. The newest counts; the last one before the period is what it is
    compared with, or the first one in it.
    """

    def __init__(self, inputs: Inputs, *, title: str = "Test coverage") -> None:
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
        measured, notes = read_all(files, read_coverage)
        base = Document(title=self._title, subject=request.about, period=request.period.words)
        if not measured:
            return _nothing(base)
        newest, now = measured[-1]
        earlier = [data for file, data in measured[:-1] if file.at < request.period.begin_ms]
        before = earlier[-1] if earlier else measured[0][1] if len(measured) > 1 else None
        return Document(
            title=base.title,
            subject=base.subject,
            period=base.period,
            summary=_summary(now, before),
            figures=_figures(now, before),
            charts=_charts(
                request, [(file, data) for file, data in measured if file.at >= request.period.begin_ms], now
            ),
            tables=(_files(now, before), _folders(now, before)),
            notes=(f"From {newest.name} ({now.tool}).", *notes),
        )


def _nothing(base: Document) -> Document:
    return Document(
        title=base.title,
        subject=base.subject,
        period=base.period,
        summary=("No coverage was measured up to the end of this period.",),
        tables=(
            Table(title="Files", columns=(Column("File", "code", wide=True), Column("Coverage", "percent")), rows=()),
        ),
    )


def _summary(now: Coverage, before: Coverage | None) -> tuple[str, ...]:
    if now.percent is None:
        return ("There is not a single line of code that could be covered.",)
    text = f"{show_number(now.percent, 'percent')} of {plural(now.lines, 'line')} are run by tests"
    if before is not None and before.percent is not None:
        moved = now.percent - before.percent
        text += f", {signed(moved, 1)} points since the period before" if abs(moved) >= 0.05 else ", as many as before"
    bare = sum(one.lines > 0 and not one.covered for one in now.files)
    if not bare:
        return (f"{text}.", "Every file is run at least in part.")
    return (f"{text}.", f"{plural(bare, 'file')} of {len(now.files):,} {'is' if bare == 1 else 'are'} not run at all.")


def _figures(now: Coverage, before: Coverage | None) -> tuple[Figure, ...]:
    figures = [
        Figure(
            label="Lines covered",
            value=now.percent,
            kind="percent",
            better="up",
            before=before.percent if before else None,
        ),
    ]
    if now.branch_percent is not None:
        then = before.branch_percent if before else None
        figures.append(
            Figure(label="Branches covered", value=now.branch_percent, kind="percent", better="up", before=then)
        )
    missed = now.lines - now.covered
    figures += [
        Figure(
            label="Lines not run", value=missed, better="down", before=before.lines - before.covered if before else None
        ),
        Figure(label="Lines in all", value=now.lines, before=before.lines if before else None),
    ]
    return tuple(figures)


def _charts(
    request: Request[ReportPayload], measured: Sequence[tuple[InputFile, Coverage]], now: Coverage
) -> tuple[Chart, ...]:
    days = latest_each_day(request.period, measured)[-_TREND:]
    charts = []
    if len(days) > 1:
        lines = tuple(data.percent for _, data in days)
        branches = tuple(data.branch_percent for _, data in days)
        series = [Series(name="Lines", values=lines)]
        if any(value is not None for value in branches):
            series.append(Series(name="Branches", values=branches))
        labels = tuple(day_label(day) for day, _ in days)
        charts.append(Chart(title="Coverage over time", labels=labels, series=tuple(series), unit="%"))
    worst = sorted(now.files, key=lambda one: (one.covered - one.lines, one.path))[:_WORST]
    worst = [one for one in worst if one.lines > one.covered]
    if worst:
        labels = tuple(_end_of(one.path) for one in worst)
        values = tuple(float(one.lines - one.covered) for one in worst)
        charts.append(
            Chart(title="Most lines not run", labels=labels, series=(Series(name="Lines", values=values),), kind="rank")
        )
    return tuple(charts)


def _files(now: Coverage, before: Coverage | None) -> Table:
    then = {one.path: one.percent for one in before.files} if before else {}
    rows: list[tuple[Cell, ...]] = []
    for one in sorted(now.files, key=lambda one: (one.covered - one.lines, one.path)):
        old = then.get(one.path)
        moved = None if old is None or one.percent is None else one.percent - old
        change = None if moved is None or abs(moved) < 0.05 else round(moved, 1)
        rows.append((one.path, one.percent, change, one.lines - one.covered, one.lines, ranges(one.missing)))
    columns = (
        Column("File", "code", wide=True),
        Column("Coverage", "percent"),
        Column("Points", "number"),
        Column("Not run", "number"),
        Column("Lines", "number"),
        Column("Lines not run", "code"),
    )
    return Table(title="Files", columns=columns, rows=tuple(rows), main=True)


def _folders(now: Coverage, before: Coverage | None) -> Table:
    def by_folder(coverage: Coverage) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for one in coverage.files:
            lines, covered = found.get(folder_of(one), (0, 0))
            found[folder_of(one)] = (lines + one.lines, covered + one.covered)
        return found

    then = by_folder(before) if before else {}
    rows: list[tuple[Cell, ...]] = []
    for folder, (lines, covered) in sorted(by_folder(now).items()):
        old = share(then[folder][1], then[folder][0]) if folder in then else None
        rows.append((folder, share(covered, lines), old, lines - covered, lines))
    columns = (
        Column("Folder", "code", wide=True),
        Column("Coverage", "percent"),
        Column("Before", "percent"),
        Column("Not run", "number"),
        Column("Lines", "number"),
    )
    return Table(title="Folders", columns=columns, rows=tuple(rows))


def folder_of(one: FileCoverage) -> str:
    """The folder a file stands in."""
    return one.path.replace("\\", "/").rpartition("/")[0] or "."


def ranges(lines: Sequence[int]) -> str:
    """Numbers of lines as ranges: `3, 7–9`; the first few of them."""
    found: list[list[int]] = []
    for place in lines:
        if found and place == found[-1][1] + 1:
            found[-1][1] = place
        else:
            found.append([place, place])
    shown = [f"{first}" if first == last else f"{first}–{last}" for first, last in found[:_MOST_RANGES]]
    rest = len(found) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _end_of(path: str) -> str:
    """The end of a path, which tells files apart."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])
