"""Reports made of other tools' files: coverage, test results, security scans."""

import os
from pathlib import Path

import pytest

from corral.handlers.reports import (
    Cell,
    CoverageSource,
    Document,
    FolderInputs,
    InputFile,
    InputFileError,
    Period,
    SecuritySource,
    TestSource,
)
from corral.handlers.reports.sources.coverage import Coverage, read_coverage
from corral.handlers.reports.sources.coverage_report import ranges
from corral.handlers.reports.sources.findings import Finding, read_scan, severity_of, severity_of_score
from corral.handlers.reports.sources.tests import read_tests
from corral.signals import Discard

from .files import COBERTURA, COVERAGE_PY, JACOCO, JUNIT, LCOV, NPM_AUDIT, PIP_AUDIT, TRIVY, junit, sarif
from .samples import WEEK, GivenFiles, request


def file(content: str | bytes, name: str = "file") -> InputFile:
    return InputFile(name=name, content=content.encode() if isinstance(content, str) else content, at=0)


def figure(document: Document, label: str) -> Cell:
    return next(one.value for one in document.figures if one.label == label)


def rows(document: Document, title: str) -> list[tuple[Cell, ...]]:
    return list(next(table.rows for table in document.tables if table.title == title))


# -- coverage ----------------------------------------------------------------------------------------------------------


def totals(coverage: Coverage) -> tuple[str, int, int, list[str]]:
    return coverage.tool, coverage.lines, coverage.covered, [one.path for one in coverage.files]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (COBERTURA, ("Cobertura", 8, 3, ["shop/cart.py", "shop/pay/pay.py"])),
        (COBERTURA.replace("2.1.1", "7.10.0"), ("coverage.py", 8, 3, ["shop/cart.py", "shop/pay/pay.py"])),
        (COVERAGE_PY, ("coverage.py", 4, 3, ["shop/cart.py", "shop/empty.py"])),
        (LCOV, ("LCOV", 4, 3, ["src/cart.js", "src/pay.js"])),
        (JACOCO, ("JaCoCo", 2, 1, ["com/example/shop/Cart.java"])),
        ("\ufeff" + COVERAGE_PY, ("coverage.py", 4, 3, ["shop/cart.py", "shop/empty.py"])),
    ],
)
@pytest.mark.mission("M-GL-21")
def test_every_kind_of_coverage_file_is_known_by_its_contents(content: str, expected: object) -> None:
    assert totals(read_coverage(file(content))) == expected


def test_branches_and_missing_lines_are_found() -> None:
    cobertura, lcov, jacoco, python = (read_coverage(file(one)) for one in (COBERTURA, LCOV, JACOCO, COVERAGE_PY))

    assert [one.branch_percent for one in (cobertura, lcov, jacoco, python)] == [50.0, 50.0, 50.0, 75.0]
    assert [one.files[0].missing for one in (cobertura, lcov, jacoco, python)] == [(2, 3), (3,), (4,), (7,)]


def test_a_file_without_lines_has_no_share() -> None:
    assert [one.percent for one in read_coverage(file(COVERAGE_PY)).files] == [75.0, None]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "hello",
        "{",
        "[]",
        '{"files": []}',
        "<html/>",
        "<coverage",
        '<report name="x"/>',
        "TN:\n",
        b"\xff\xfe\x00",
        b"{\xff}",
    ],
)
def test_what_is_no_coverage_file_is_named(content: str | bytes) -> None:
    with pytest.raises(InputFileError, match=r"cov\.xml cannot be read: "):
        read_coverage(file(content, "cov.xml"))


async def test_a_coverage_report_compares_the_newest_file_with_the_last_one_before_the_period() -> None:
    old = COVERAGE_PY.replace("[7]", "[1, 7]").replace('"covered_lines": 3', '"covered_lines": 2')
    inputs = GivenFiles(("old.json", old, 8), ("new.json", COVERAGE_PY, 1), ("middle.xml", COBERTURA, 3))

    document = await CoverageSource(inputs).gather(request())

    lines = document.figures[0]
    assert (lines.label, lines.value, lines.before) == ("Lines covered", 75.0, 50.0)
    assert document.summary == ("75% of 4 lines are run by tests, +25 points since the period before.",
                                "Every file is run at least in part.")  # fmt: skip
    assert rows(document, "Files")[0] == ("shop/cart.py", 75.0, 25.0, 1, 4, "7")
    assert rows(document, "Folders") == [("shop", 75.0, 50.0, 1, 4)]
    assert document.notes == ("From new.json (coverage.py).",)
    assert document.charts[0].series[0].values == (37.5, 75.0)


async def test_a_project_without_coverage_files_gets_a_report_that_says_so() -> None:
    document = await CoverageSource(GivenFiles()).gather(request())

    assert document.summary == ("No coverage was measured up to the end of this period.",)
    assert document.tables[0].rows == ()


async def test_a_damaged_file_is_noted_and_when_there_is_no_other_the_job_fails_at_once() -> None:
    some = await CoverageSource(GivenFiles(("good.info", LCOV, 1), ("bad.xml", "<coverage", 2))).gather(request())

    assert some.notes[1].startswith("bad.xml cannot be read: not XML that is safe to read")
    with pytest.raises(Discard, match=r"no file can be read; bad\.xml cannot be read"):
        await CoverageSource(GivenFiles(("bad.xml", "<coverage", 2))).gather(request())


def test_numbers_of_lines_are_put_together() -> None:
    assert ranges((1, 2, 3, 7, 9, 10)) == "1–3, 7, 9–10"
    assert ranges(range(1, 40, 2)) == "1, 3, 5, 7, 9, 11, 13, 15 and 12 more"


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><coverage>&b;</coverage>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuites><testsuite name="&a;"/></testsuites>'


@pytest.mark.parametrize("content", [BOMB, OUTSIDE])
def test_entities_in_xml_are_refused(content: str) -> None:
    with pytest.raises(InputFileError, match="not XML that is safe to read"):
        read_coverage(file(content))
    with pytest.raises(InputFileError, match="not XML that is safe to read"):
        read_tests(file(content))


# -- test results ------------------------------------------------------------------------------------------------------


def test_a_junit_file_is_read() -> None:
    found = read_tests(file(JUNIT))

    assert [(one.name, one.outcome, one.seconds) for one in found] == [
        ("tests.test_cart.test_add", "passed", 0.5),
        ("tests.test_cart.test_total[€]", "failed", 1.25),
        ("tests.test_pay.test_card", "error", 0.25),
        ("tests.test_pay.test_cash", "skipped", 0.0),
        ("tests.test_pay.test_gift", "passed", 0.5),
    ]
    assert [one.message for one in found if one.message] == ["assert 3 == 4", "no server"]


def test_suites_in_suites_and_a_suite_alone_are_read() -> None:
    nested = f'<testsuites><testsuite name="outer">{junit(a="passed")}<testcase name="b"/></testsuite></testsuites>'

    assert [(one.suite, one.name) for one in read_tests(file(nested))] == [("outer", "b"), ("all", "a")]
    assert [one.name for one in read_tests(file(junit(a="passed", b="failed")))] == ["a", "b"]


@pytest.mark.parametrize(
    "content", ["", "<coverage/>", "<testsuites>", '<testsuite><testcase name="a" time="x"/></testsuite>']
)
def test_what_is_no_junit_file_is_named(content: str) -> None:
    with pytest.raises(InputFileError, match="file cannot be read: "):
        read_tests(file(content))


@pytest.mark.mission("M-GL-46")
async def test_a_test_report_names_failures_since_when_they_fail_and_what_is_unreliable() -> None:
    inputs = GivenFiles(
        ("1.xml", junit(a="passed", b="failed", c="passed"), 6),
        ("2.xml", junit(a="passed", b="failed", c="failed"), 4),
        ("3.xml", junit(a="passed", b="failed", c="passed", d="skipped"), 1),
    )

    document = await TestSource(inputs).gather(request())

    assert document.summary == ("Of 4 tests in the last run 1 failed, 1 skipped. 3 runs in this period.",)
    assert [row[:3] for row in rows(document, "Failures")] == [("b", "failed", 3)]
    assert [row[:3] for row in rows(document, "Unreliable tests")] == [("c", 2, 3)]
    assert (figure(document, "Tests"), figure(document, "Failed")) == (4, 1)
    assert rows(document, "Suites") == [("all", 4, 200 / 3, 1, 1, 4.0)]
    assert [chart.title for chart in document.charts] == ["Passed, in percent", "Failures by day", "Time of a run"]


async def test_runs_before_the_period_count_for_comparison_only() -> None:
    document = await TestSource(GivenFiles(("old.xml", junit(a="failed"), 9))).gather(request())

    assert document.summary == ("No test run ended in this period.",)


# -- security ----------------------------------------------------------------------------------------------------------


def test_a_sarif_file_is_read_with_the_severity_of_its_rule_or_its_level() -> None:
    scan = read_scan(
        file(
            sarif(
                ("sql-injection", "warning", "src/a.py", 3),
                ("weak-hash", "note", "src/b.py", 9),
                ("x", "error", "c", 1),
            )
        )
    )

    assert (scan.tool, [(one.severity, one.rule, one.where) for one in scan.findings]) == (
        "CodeQL",
        [("critical", "sql-injection", "src/a.py:3"), ("low", "weak-hash", "src/b.py:9"), ("high", "x", "c:1")],
    )
    assert scan.findings[0].url == "https://example.org/sql"


def test_what_is_suppressed_or_gone_in_a_sarif_file_is_no_finding() -> None:
    text = """{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "T"}}, "results": [
        {"ruleId": "a", "message": {"text": "x"}, "suppressions": [{"kind": "inSource"}]},
        {"ruleId": "b", "message": {"text": "x"}, "baselineState": "absent"},
        {"ruleId": "c", "message": {"text": "x"}, "kind": "pass"},
        {"rule": {"index": 5}, "message": {}, "locations": [{}]}]}, {"tool": {"driver": {"name": "U"}}}]}"""
    scan = read_scan(file(text))

    assert (scan.tool, scan.suppressed) == ("T, U", 1)
    assert [(one.rule, one.where, one.severity) for one in scan.findings] == [("?", "", "medium")]


def summary_of(findings: tuple[Finding, ...]) -> list[tuple[str, str, str, str]]:
    return [(one.severity, one.rule, one.where, one.fix) for one in findings]


@pytest.mark.mission("M-GL-22")
def test_pip_audit_npm_audit_and_trivy_are_read() -> None:
    pip, npm, trivy = (read_scan(file(one)) for one in (PIP_AUDIT, NPM_AUDIT, TRIVY))

    assert summary_of(pip.findings) == [("high", "CVE-2019-10906", "jinja2 2.4.1", "2.10.1")]
    assert summary_of(npm.findings) == [("critical", "GHSA-xvch-5gv4-984h", "minimist <0.2.4", "mkdirp 0.5.6")]
    assert summary_of(trivy.findings) == [
        ("high", "CVE-2024-0001", "libssl3 3.0.11 in shop:1.4 (debian 12.5)", "3.0.13"),
        ("info", "CVE-2024-0002", "zlib in shop:1.4 (debian 12.5)", ""),
        ("high", "DS002", "Dockerfile", "Add USER"),
        ("critical", "aws-access-key-id", "config.env:3", ""),
    ]


def test_a_secret_that_a_scanner_found_is_not_in_the_report() -> None:
    assert "AKIA-CANARY" not in repr(read_scan(file(TRIVY)))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"runs": 5}', '{"runs": [{"tool": 1}]}', b"\xff", "[" * 100_000])
def test_what_is_no_scan_is_named(content: str | bytes) -> None:
    with pytest.raises(InputFileError, match="file cannot be read: "):
        read_scan(file(content))


@pytest.mark.parametrize(
    ("word", "severity"),
    [("MODERATE", "medium"), ("High", "high"), (None, "info"), ("UNKNOWN", "info"), ("strange", "info")],
)
def test_severities_have_one_name(word: str | None, severity: str) -> None:
    assert severity_of(word) == severity


def test_scores_have_a_severity() -> None:
    assert [severity_of_score(score) for score in (10, 9, 8.9, 7, 4, 0.1, 0)] == [
        "critical", "critical", "high", "high", "medium", "low", "info"
    ]  # fmt: skip


async def test_a_security_report_knows_what_is_new_and_what_is_gone() -> None:
    inputs = GivenFiles(
        ("old.sarif", sarif(("sql-injection", "error", "src/a.py", 3), ("weak-hash", "warning", "src/b.py", 9)), 9),
        ("new.sarif", sarif(("sql-injection", "error", "src/a.py", 8), ("weak-hash", "warning", "src/c.py", 1)), 1),
        ("pip.json", PIP_AUDIT, 1),
    )

    document = await SecuritySource(inputs).gather(request())

    assert document.summary == ("2 findings of 3 are critical or high. 1 is new and 1 is gone since the scan before.",
                                "For 1 finding a newer version or a remedy is known.")  # fmt: skip
    assert [(row[0], row[2], row[5]) for row in rows(document, "Findings")] == [
        ("critical", "src/a.py:8", ""),
        ("high", "jinja2 2.4.1", ""),
        ("medium", "src/c.py:1", "new"),
    ]
    assert [row[2] for row in rows(document, "Gone since the scan before")] == ["src/b.py:9"]
    assert [(one.label, one.value, one.before) for one in document.figures[:3]] == [
        ("Critical", 1, 1), ("High", 1, 0), ("Medium", 1, 1)
    ]  # fmt: skip


async def test_a_first_scan_has_nothing_to_be_compared_with() -> None:
    document = await SecuritySource(GivenFiles(("one.sarif", sarif(), 1))).gather(request())

    assert document.summary[0] == "Nothing was found."
    assert [table.title for table in document.tables] == ["Findings"]
    assert [one.before for one in document.figures] == [None] * 4


async def test_without_scans_the_report_says_so() -> None:
    assert (await SecuritySource(GivenFiles()).gather(request())).summary == (
        "No scan was made up to the end of this period.",
    )


# -- folders of files --------------------------------------------------------------------------------------------------


def put(path: Path, content: str, at_ms: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (at_ms / 1000, at_ms / 1000))


async def test_a_folder_gives_the_files_of_one_project_that_are_not_newer_than_the_period(tmp_path: Path) -> None:
    for name, at in (("new.xml", WEEK.end_ms + 1), ("b.xml", WEEK.end_ms - 1), ("a.xml", WEEK.begin_ms - 1)):
        put(tmp_path / "shop" / name, "x", at)
    put(tmp_path / "other" / "c.xml", "x", WEEK.begin_ms)
    put(tmp_path / "shop" / "deeper" / "d.xml", "x", WEEK.begin_ms)
    put(tmp_path / "shop" / ".hidden", "x", WEEK.begin_ms)

    found = await FolderInputs(tmp_path).files(request())

    assert [(one.name, one.content) for one in found] == [("b.xml", b"x"), ("a.xml", b"x")]
    assert [one.name for one in await FolderInputs(tmp_path, max_files=1).files(request())] == ["b.xml"]


@pytest.mark.parametrize("about", ["..", ".", "a/b", "../secret", "a\\b", "/etc", ".ssh", "a\x00b", "a b", "–"])
async def test_an_id_that_is_no_plain_name_names_no_folder(tmp_path: Path, about: str) -> None:
    put(tmp_path / "secret" / "a.xml", "x", WEEK.begin_ms)

    with pytest.raises(Discard, match="cannot name a folder"):
        await FolderInputs(tmp_path / "inputs").files(request(about=about, payload=request().payload))


async def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "canary.xml", "canary", WEEK.begin_ms)
    put(tmp_path / "in" / "shop" / "a.xml", "x", WEEK.begin_ms)
    (tmp_path / "in" / "shop" / "link.xml").symlink_to(tmp_path / "canary.xml")
    (tmp_path / "in" / "linked").symlink_to(tmp_path)

    assert [one.name for one in await FolderInputs(tmp_path / "in").files(request())] == ["a.xml"]
    assert await FolderInputs(tmp_path / "in").files(request(about="linked")) == []
    assert await FolderInputs(tmp_path / "in").files(request(about="absent")) == []


async def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    put(tmp_path / "shop" / "a.xml", "x" * 11, WEEK.begin_ms)

    with pytest.raises(InputFileError, match="it has more than 10 bytes"):
        await FolderInputs(tmp_path, max_bytes=10).files(request())


async def test_the_days_of_files_are_those_of_the_reports_time_zone() -> None:
    oslo = Period(WEEK.first, WEEK.last, "Europe/Oslo")
    document = await CoverageSource(GivenFiles(("a.info", LCOV, 6.99), ("b.info", LCOV, 0.01))).gather(request(oslo))

    assert document.charts[0].labels == ("29 Sep", "5 Oct")
