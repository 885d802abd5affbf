"""Test results in the dialects of JUnit's XML."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corral.handlers.pipelines import FailedTest, Results, ResultsError, read_results
from corral.handlers.pipelines.junit import MAX_TOLD

Read = Callable[[str], Results]


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    handles = []

    def read(text: str) -> Results:
        (tmp_path / "junit.xml").write_text(text)
        handles.append(os.open(tmp_path / "junit.xml", os.O_RDONLY))
        return read_results(handles[-1], "junit.xml")

    yield read
    for handle in handles:
        os.close(handle)


PYTEST = """<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1"
failures="1" skipped="1" tests="4" time="0.123" timestamp="2026-03-02T12:00:00"><testcase classname="tests.test_a"
name="test_passes" time="0.010" /><testcase classname="tests.test_a" name="test_fails" time="0.020"><failure
message="assert 1 == 2">def test_fails(): ...</failure></testcase><testcase classname="tests.test_a" name="test_skips"
time="0"><skipped type="pytest.skip" message="not today">x</skipped></testcase><testcase classname="tests.test_b"
name="test_breaks" time="0.001"><error message="failed on setup">trace</error></testcase></testsuite></testsuites>"""

SUREFIRE = """<testsuite name="com.example.CalcTest" time="1,001.5" tests="2" errors="0" skipped="0" failures="1">
<properties><property name="java.version" value="21"/></properties>
<testcase name="adds" classname="com.example.CalcTest" time="1,000.5"/>
<testcase name="divides" classname="com.example.CalcTest" time="1.0"><failure type="java.lang.AssertionError">
expected: 2
  but was: 3</failure><system-out>noise</system-out></testcase></testsuite>"""

JEST = """<testsuites name="jest" tests="1" failures="0" errors="0" time="0.5"><testsuite name="sum" tests="1">
<testcase classname=" sums up" name=" sums up" time="0.003"></testcase></testsuite></testsuites>"""


def test_pytest(read: Read) -> None:
    results = read(PYTEST)

    assert (results.tests, results.passed, results.failed, results.errors, results.skipped) == (4, 1, 1, 1, 1)
    assert results.seconds == pytest.approx(0.031)
    assert results.told == (
        FailedTest("tests.test_a.test_fails", "failed", "assert 1 == 2"),
        FailedTest("tests.test_b.test_breaks", "error", "failed on setup"),
    )


def test_surefire_writes_thousands_with_commas_and_its_message_as_text(read: Read) -> None:
    results = read(SUREFIRE)

    assert (results.tests, results.bad, results.seconds) == (2, 1, 1001.5)
    assert results.told[0].message == "expected: 2 but was: 3"


def test_jest(read: Read) -> None:
    assert read(JEST).passed == 1


def test_a_test_that_fails_and_breaks_counts_once(read: Read) -> None:
    text = '<testsuite><testcase name="a"><failure message="x"/><error message="y"/></testcase></testsuite>'

    assert (read(text).tests, read(text).failed, read(text).errors) == (1, 1, 0)


def test_an_empty_suite_has_no_tests(read: Read) -> None:
    assert read("<testsuites/>") == Results()


def test_files_add_up(read: Read) -> None:
    total = read(PYTEST).plus(read(SUREFIRE))

    assert (total.tests, total.bad, len(total.told)) == (6, 3, 3)


def test_only_so_many_failures_are_told_and_all_are_counted(read: Read) -> None:
    cases = "".join(f'<testcase name="t{number}"><failure/></testcase>' for number in range(200))

    results = read(f"<testsuite>{cases}</testsuite>")

    assert (results.failed, len(results.told)) == (200, MAX_TOLD)


BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><testsuite><testcase name="&y;"/></testsuite>'
THIEF = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase name="a">&x;</testcase></testsuite>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "document type"),
        (THIEF, "document type"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><testsuite/>', "document type"),
        ("<html><body/></html>", "neither testsuites nor testsuite"),
        ("<testsuite><testcase></testsuite>", "mismatched tag"),
        ("", "no element found"),
        ("not xml", "syntax error"),
        ("<testsuite>" + "<a>" * 100 + "</a>" * 100 + "</testsuite>", "nested more than"),
        ("<testsuite>&undefined;</testsuite>", "undefined entity"),
    ],
)
def test_what_cannot_be_results_is_refused(read: Read, text: str, reason: str) -> None:
    with pytest.raises(ResultsError, match=reason):
        read(text)


@pytest.mark.parametrize("time", ["nan", "inf", "-1", "soon", "1e300", ""])
def test_times_that_are_none_count_nothing(read: Read, time: str) -> None:
    assert read(f'<testsuite><testcase name="a" time="{time}"/></testsuite>').seconds == 0
