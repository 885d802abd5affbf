"""Exceptions as text: safe to print and to keep, whatever they hold and however they behave."""

import asyncio
import re
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.error_text import MAX_REASON, MAX_TRACE_BYTES, describe, leaves, trace_of, unwrap
from corral.errors import JobTimeoutError


class Unspeakable(Exception):
    """Neither `str` nor `repr` work on it."""

    def __str__(self) -> str:
        raise SystemExit("no words")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (ValueError(), "ValueError"),
        (KeyError("name"), "KeyError: 'name'"),
        (asyncio.CancelledError(), "CancelledError"),
        (JobTimeoutError(1.5), "JobTimeoutError: timed out after 1.5 s"),
        (ValueError("two\nlines"), "ValueError: two\nlines"),
        (ValueError("\x1b[31mred\x1b[0m\r\t\x00\x7f\x9b"), r"ValueError: \x1b[31mred\x1b[0m\r\t\x00\x7f\x9b"),
        (ValueError("half \ud83d pair"), "ValueError: half \ufffd pair"),
        (Unspeakable(), "Unspeakable: (it has no readable text)"),
        (ExceptionGroup("tasks", [ValueError("boom")]), "ValueError: boom"),
        (
            ExceptionGroup(
                "tasks", [ValueError("a"), ExceptionGroup("more", [KeyError("b"), OSError("c"), OSError("d")])]
            ),
            "ExceptionGroup: tasks (2 sub-exceptions): ValueError: a; KeyError: 'b'; OSError: c",
        ),
    ],
)
def test_an_exception_is_told_by_its_type_and_message(error: BaseException, text: str) -> None:
    assert describe(error) == text


@pytest.mark.parametrize("character", ["x", "\x1b", "ø", "\ud800", "\n"])
def test_a_huge_message_is_cut(character: str) -> None:
    text = describe(ValueError(character * 5_000_000))
    assert len(text) == MAX_REASON
    assert text.startswith("ValueError: ")
    assert text.endswith("…")


@given(st.text())
def test_any_message_can_be_stored_as_utf_8(message: str) -> None:
    text = describe(ValueError(message))
    assert text.encode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_a_nest_of_groups_is_opened_at_any_depth() -> None:
    group: Exception = ValueError("at the bottom")
    for _ in range(5_000):
        group = ExceptionGroup("nested", [group])
    assert str(unwrap(group)) == "at the bottom"
    assert [str(leaf) for leaf in leaves(group)] == ["at the bottom"]
    assert describe(group) == "ValueError: at the bottom"


def in_module(name: str, source: str) -> Callable[..., object]:
    """The function `run` of a module of this name, as a frame of a traceback sees it."""
    space: dict[str, object] = {"__name__": name}
    exec(source, space)  # a frame's module cannot be chosen in another way
    run = space["run"]
    assert callable(run)
    return run


EXECUTOR = in_module(
    "corral.worker.executor",
    "def run(call):\n    try:\n        call()\n    except BaseException as error:\n        return error\n",
)
LOOP = in_module("asyncio.tasks", "def run(call):\n    return call()\n")


def caught(call: Callable[[], object]) -> BaseException:
    """What a worker catches of this call, with a worker's frames on its traceback."""
    error = EXECUTOR(partial(LOOP, call))
    assert isinstance(error, BaseException)
    return error


def handler() -> None:
    raise ValueError("boom") from KeyError("cause")


def test_a_trace_begins_at_the_handler_and_tells_the_cause() -> None:
    lines = trace_of(caught(handler)).splitlines()
    assert lines[0] == "KeyError: 'cause'"
    begins = lines.index("Traceback (most recent call last):")
    assert "direct cause" in lines[begins - 2]
    assert lines[begins + 1].endswith("in handler")
    assert lines[-1] == "ValueError: boom"


def test_a_trace_of_nothing_but_the_workers_frames_is_shown_whole() -> None:
    shown = trace_of(caught(in_module("asyncio.timeouts", "def run():\n    raise TimeoutError\n")))
    assert shown.count("in run") == 3


def test_an_exception_that_was_never_raised_has_a_trace_of_one_line() -> None:
    assert trace_of(ValueError("boom")) == "ValueError: boom\n"


def deep(depth: int) -> None:
    if depth == 0:
        raise ValueError("the end " + "x" * 100)
    other(depth - 1)


def other(depth: int) -> None:
    deep(depth)


def test_a_long_trace_keeps_its_head_and_its_tail() -> None:
    shown = trace_of(caught(partial(deep, 300)))
    assert len(shown.encode()) <= MAX_TRACE_BYTES
    assert shown.startswith("Traceback (most recent call last):\n")
    assert shown.count("… shortened …") == 1
    assert shown.endswith("x" * 100 + "\n")


@pytest.mark.parametrize("character", ["x", "ø", "\x1b", "日", "\ud800"])
def test_a_trace_with_a_huge_message_is_cut(character: str) -> None:
    shown = trace_of(ValueError(character * 5_000_000))
    assert MAX_TRACE_BYTES - 100 < len(shown.encode()) <= MAX_TRACE_BYTES


def test_a_trace_can_be_printed_and_stored_whatever_the_exception_does() -> None:
    assert trace_of(Unspeakable()).endswith("<exception str() failed>\n")
    assert trace_of(ValueError("\x1b[31m \ud800")) == "ValueError: \\x1b[31m ?\n"
    with pytest.raises(RecursionError) as endless:
        _endless()
    assert "RecursionError" in trace_of(endless.value)


def _endless() -> None:
    _endless()


class Trap(Exception):
    """Breaks whatever looks at its cause."""

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        raise SystemExit("a trap")


def test_a_trace_that_cannot_be_made_says_so() -> None:
    assert trace_of(Trap("boom")) == "the traceback of Trap: boom cannot be shown: SystemExit: a trap"
