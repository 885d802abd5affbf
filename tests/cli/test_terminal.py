"""What only a terminal sees: tables that fit it, and questions."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from corral.cli.cells import Column, plain, share, span
from corral.cli.columns import STATS as STATS_COLUMNS
from corral.cli.keyboard import Keys, listening
from corral.cli.render import Printer
from corral.cli.table import Screen, fitting, show
from corral.job import NewJob

from .helpers import HOUR, PATIENCE, call, put, surroundings, told

ROW = {column.key: 1 for column in STATS_COLUMNS} | {"queue": "send-kudos-notification", "state": "active"}


def titles(width: int) -> list[str]:
    return [column.title for column in fitting(STATS_COLUMNS, [ROW], width)]


def test_a_wide_terminal_shows_every_column() -> None:
    assert titles(200) == [column.title for column in STATS_COLUMNS]


def test_a_narrow_terminal_shows_whole_numbers_in_fewer_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show(STATS_COLUMNS, [ROW], colour=False)
    header, cells = capsys.readouterr().out.splitlines()
    assert header.split() == titles(80)
    assert {"QUEUE", "STATE", "WAITING", "OLDEST", "FAILED%", "WAIT", "RUN", "WORKERS"} <= set(titles(80))
    assert cells.split()[0] == "send-kudos-notification"
    assert max(len(header), len(cells)) <= 80
    assert "…" not in header + cells


def test_columns_without_a_rank_are_never_left_out() -> None:
    assert fitting([Column("a", "A" * 50), Column("b", "B" * 50)], [], 10) == [
        Column("a", "A" * 50), Column("b", "B" * 50),
    ]  # fmt: skip


def test_square_brackets_in_a_payload_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show([Column("data", "DATA")], [{"data": "[red]x[/red]"}], colour=False)
    assert "[red]x[/red]" in capsys.readouterr().out


def test_a_screen_is_drawn_with_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen([Column("queue", "QUEUE")], colour=False) as screen:
        screen.show([{"queue": "send-email"}])
    assert "q ends  p stops" in capsys.readouterr().out
    with Screen([Column("queue", "QUEUE")], colour=False) as screen:
        screen.show([{"queue": "send-email"}], stopped=True)
    assert "stopped  q ends  p goes on" in capsys.readouterr().out


def test_people_see_the_sum_of_all_queues(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(url, *[NewJob(queue=queue, name="waits") for queue in ("a", "b", "b")])
    assert "total" not in call("queues", "list", "--url", url).stdout
    monkeypatch.setattr(Printer, "watched", True)
    last = call("queues", "list", "--url", url).stdout.splitlines()[-1].split("\t")
    assert (last[1], last[3]) == ("total", "3")
    assert "total" not in call("queues", "list", "--match", "a", "--url", url).stdout


async def test_keys_end_a_watch_and_stop_it() -> None:
    keys = Keys()
    keys.press("p")
    assert keys.stopped
    await keys.rest(HOUR)  # a key does not let it wait
    keys.press("P")
    assert not keys.stopped
    keys.press("x")
    assert not keys.ended.is_set()
    keys.press("q")
    assert keys.ended.is_set()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0, "0ms"), (0.0214, "21ms"), (1.24, "1.2s"), (59.9, "59s"), (250, "4m10s"), (11_100, "3h05m"),
     (198_000, "2d07h")],
)  # fmt: skip
def test_a_span_is_short(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (1204, "1,204"), (1.25, "1.2"), (True, "yes"), (["a", "b"], "a, b"), ({"a": 1}, '{"a": 1}')],
)
def test_a_value_is_plain(value: object, text: str) -> None:
    assert plain(value) == text


def test_a_share_is_a_percentage() -> None:
    assert (share(0.0412), share(None)) == ("4.1%", "–")


def at_terminal(folder: Path, answer: str, *words: str) -> int:
    """Call a command at a terminal and answer its question."""
    keyboard, screen = pty.openpty()
    command = [sys.executable, "-m", "corral.cli", *words]
    with subprocess.Popen(
        command, cwd=folder, env=surroundings(), stdin=screen, stdout=screen, stderr=screen
    ) as process:
        os.close(screen)
        os.write(keyboard, answer.encode())
        code = process.wait(PATIENCE)
    os.close(keyboard)
    return code


@pytest.mark.slow  # two interpreters
def test_a_person_is_asked_before_something_that_cannot_be_undone(folder: Path, url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    words = ("jobs", "remove", "1", "--url", url)
    assert at_terminal(folder, "n\n", *words) == 1
    assert len(told("jobs", "list", "--url", url)) == 1
    assert at_terminal(folder, "y\n", *words) == 0
    assert told("jobs", "list", "--url", url) == []


async def test_a_terminal_that_is_gone_ends_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        keys = Keys()
        with listening(keys):
            os.close(ours)
            await keys.rest(PATIENCE)
            assert keys.ended.is_set()
