"""The test results report, from JUnit XML, which every test runner writes."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles
from xml.etree.ElementTree import Element, SubElement

from msgspec import Struct

from corral.handlers.kit.extra import need
from corral.handlers.reports.document import Cell, Chart, Column, Document, Figure, Series, Table
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.source import Request
from corral.handlers.reports.sources.days import buckets
from corral.handlers.reports.sources.files import InputFile, InputFileError, Inputs, local, parse_xml, read_all
from corral.handlers.reports.words import clean, line, show_number
from corral.plurals import plural

_MESSAGE = 400
_SLOWEST = 10
_FLAKY = 50


class TestRun(Struct, frozen=True, kw_only=True):
    """One test, once. `outcome` is passed, failed, error or skipped."""

    __test__ = False  # pytest would take it for a test

    name: str
    suite: str
    outcome: str
    seconds: float
    message: str = ""


class TestSource:
    """Test results of a project: how many failed in the newest run, which, since when, and which tests are unreliable.

    Every file is one run of all tests.
    """

    __test__ = False

    def __init__(self, inputs: Inputs, *, title: str = "Test results") -> None:
        need("reports", "junitparser", "defusedxml")
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
        runs, notes = read_all(files, read_tests)
        inside = [(file, tests) for file, tests in runs if file.at >= request.period.begin_ms]
        base = Document(title=self._title, subject=request.about, period=request.period.words)
        if not inside:
            return Document(
                title=base.title,
                subject=base.subject,
                period=base.period,
                summary=("No test run ended in this period.",),
                tables=(_failures([], []),),
                notes=tuple(notes),
            )
        newest, tests = inside[-1]
        earlier = [tests for file, tests in runs if file.at < newest.at]
        return Document(
            title=base.title,
            subject=base.subject,
            period=base.period,
            summary=_summary(tests, len(inside)),
            figures=_figures(tests, earlier[-1] if earlier else None),
            charts=_charts(request, inside),
            tables=(
                _failures(tests, [tests for _, tests in runs]),
                _suites(tests),
                _slowest(tests),
                _unreliable(inside),
            ),
            notes=(f"From {newest.name}.", *notes),
        )


def read_tests(file: InputFile) -> list[TestRun]:
    """Read a JUnit XML file.

    Raises:
        InputFileError: it is none, or damaged. ConfigError: junitparser is missing.
    """
    need("reports", "junitparser")
    from junitparser import Error, Failure, JUnitXml, JUnitXmlError, Skipped

    root = parse_xml(file)
    if local(root.tag) not in ("testsuites", "testsuite"):
        raise InputFileError(file.name, f"<{local(root.tag)[:40]}> is not JUnit XML")
    try:
        parsed = JUnitXml.fromroot(_suites_of(root))  # type: ignore[arg-type]  # any tree of elements will do
        found = []
        for suite in parsed:
            for case in suite:
                worst = next((one for one in case.result if isinstance(one, Error | Failure)), None)
                skipped = any(isinstance(one, Skipped) for one in case.result)
                outcome = "passed"
                if worst is not None:
                    outcome = "error" if isinstance(worst, Error) else "failed"
                elif skipped:
                    outcome = "skipped"
                said = "" if worst is None else (worst.message or worst.text or worst.type or "")
                name = ".".join(filter(None, (case.classname, case.name)))
                found.append(
                    TestRun(
                        name=line(name) or "?",
                        suite=line(suite.name or ""),
                        outcome=outcome,
                        seconds=case.time or 0.0,
                        message=_first(said),
                    )
                )
    except (JUnitXmlError, ValueError, TypeError) as error:
        raise InputFileError(file.name, f"not JUnit XML ({line(str(error))[:120]})") from None
    return found


def _suites_of(root: Element) -> Element:
    """The suites below one root; some tools put suites into suites, and some write one alone."""
    every = [one for one in root.iter() if local(one.tag) == "testsuite"]
    gathered = Element("testsuites")
    for suite in every:
        flat = SubElement(gathered, "testsuite", {"name": suite.get("name", "")})
        flat.extend(one for one in suite if local(one.tag) == "testcase")
    return gathered


def _first(message: str) -> str:
    """The beginning of a message: what it is about, without the trace."""
    return line(clean(message).strip().partition("\n\n")[0])[:_MESSAGE]


def _count(tests: Sequence[TestRun]) -> Counter[str]:
    return Counter("failed" if one.outcome == "error" else one.outcome for one in tests)


def _rate(tests: Sequence[TestRun]) -> float | None:
    count = _count(tests)
    ran = count["passed"] + count["failed"]
    return 100 * count["passed"] / ran if ran else None


def _summary(tests: Sequence[TestRun], runs: int) -> tuple[str, ...]:
    count = _count(tests)
    if not tests:
        return ("The last run had no tests.",)
    verdict = "all passed" if not count["failed"] else f"{plural(count['failed'], 'failed', 'failed')}"
    skipped = f", {count['skipped']:,} skipped" if count["skipped"] else ""
    return (
        f"Of {plural(len(tests), 'test')} in the last run {verdict}{skipped}. {plural(runs, 'run')} in this period.",
    )


def _figures(tests: Sequence[TestRun], before: Sequence[TestRun] | None) -> tuple[Figure, ...]:
    count, then = _count(tests), _count(before or ())

    def old(value: float | None) -> float | None:
        return None if before is None else value

    return (
        Figure(label="Passed", value=_rate(tests), kind="percent", better="up", before=old(_rate(before or ()))),
        Figure(label="Tests", value=len(tests), before=old(len(before or ()))),
        Figure(label="Failed", value=count["failed"], better="down", before=old(then["failed"])),
        Figure(label="Skipped", value=count["skipped"], better="down", before=old(then["skipped"])),
        Figure(
            label="Time",
            value=sum(one.seconds for one in tests),
            kind="seconds",
            better="down",
            before=old(sum(one.seconds for one in before or ())),
        ),
    )


def _charts(request: Request[ReportPayload], runs: Sequence[tuple[InputFile, list[TestRun]]]) -> tuple[Chart, ...]:
    if len(runs) < 2:
        return ()
    stretches = buckets(request.period)
    days = [(request.period.day_of(file.at), tests) for file, tests in runs]
    rate = stretches.mean((day, _rate(tests)) for day, tests in days)
    failed = stretches.add_up((day, float(_count(tests)["failed"])) for day, tests in days)
    time = stretches.mean((day, sum(one.seconds for one in tests)) for day, tests in days)
    return (
        Chart(
            title="Passed, in percent", labels=stretches.labels, series=(Series(name="Passed", values=rate),), unit="%"
        ),
        Chart(
            title=f"Failures by {stretches.each}",
            labels=stretches.labels,
            series=(Series(name="Failed", values=failed),),
            kind="bar",
        ),
        Chart(title="Time of a run", labels=stretches.labels, series=(Series(name="Time", values=time),), unit="s"),
    )


def _failures(tests: Sequence[TestRun], runs: Sequence[Sequence[TestRun]]) -> Table:
    """The failures, with in how many runs in a row each has failed by now."""
    outcomes = [{one.name: one.outcome for one in run} for run in runs]
    rows: list[tuple[Cell, ...]] = []
    for one in tests:
        if one.outcome in ("failed", "error"):
            streak = 0
            for run in reversed(outcomes):
                if run.get(one.name) not in ("failed", "error"):
                    break
                streak += 1
            rows.append((one.name, one.outcome, streak, one.message, one.seconds))
    columns = (
        Column("Test", "code", wide=True),
        Column("Outcome", "status"),
        Column("Runs in a row", "number"),
        Column("Message", wide=True),
        Column("Time", "seconds"),
    )
    return Table(title="Failures", columns=columns, rows=tuple(rows), empty="No test failed.", main=True)


def _suites(tests: Sequence[TestRun]) -> Table:
    suites: dict[str, list[TestRun]] = {}
    for one in tests:
        suites.setdefault(one.suite or "–", []).append(one)
    rows: list[tuple[Cell, ...]] = []
    for name, some in sorted(suites.items()):
        count = _count(some)
        time = sum(one.seconds for one in some)
        rows.append((name, len(some), _rate(some), count["failed"], count["skipped"], time))
    columns = (
        Column("Suite", wide=True),
        Column("Tests", "number"),
        Column("Passed", "percent"),
        Column("Failed", "number"),
        Column("Skipped", "number"),
        Column("Time", "seconds"),
    )
    return Table(title="Suites", columns=columns, rows=tuple(rows))


def _slowest(tests: Sequence[TestRun]) -> Table:
    slow = sorted((one for one in tests if one.seconds > 0), key=lambda one: -one.seconds)[:_SLOWEST]
    total = sum(one.seconds for one in tests)
    rows = tuple((one.name, one.seconds, 100 * one.seconds / total) for one in slow)
    columns = (Column("Test", "code", wide=True), Column("Time", "seconds"), Column("Of all", "percent"))
    note = ""
    if len(tests) >= 20:
        high = quantiles([one.seconds for one in tests], n=20)[-1]
        note = f"19 of 20 tests take less than {show_number(high, 'seconds')}."
    return Table(title="Slowest tests", columns=columns, rows=rows, note=note, empty="No test says how long it took.")


def _unreliable(runs: Sequence[tuple[InputFile, list[TestRun]]]) -> Table:
    """Tests that both passed and failed in the period, and how often they changed their mind."""
    seen: dict[str, list[bool]] = {}
    for _, tests in runs:
        for one in tests:
            if one.outcome != "skipped":
                seen.setdefault(one.name, []).append(one.outcome == "passed")
    found = []
    for name, passed in seen.items():
        changes = sum(one != other for one, other in pairwise(passed))
        if changes >= 2:  # once it broke, or was repaired
            found.append((name, changes, len(passed), 100 * sum(passed) / len(passed)))
    rows = tuple(sorted(found, key=lambda row: (-row[1], row[0]))[:_FLAKY])
    columns = (
        Column("Test", "code", wide=True),
        Column("Changes", "number"),
        Column("Runs", "number"),
        Column("Passed", "percent"),
    )
    return Table(
        title="Unreliable tests",
        columns=columns,
        rows=rows,
        empty="No test went back and forth between passing and failing.",
    )
