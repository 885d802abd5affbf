"""`corral move`."""

import os
import pty
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path

import pytest

from corral.job import NewJob
from corral.storage.port import Claim, Storage, Token
from tests.redis_server import fresh_prefix, with_prefix

from .helpers import FAILED, HOUR, PATIENCE, call, columns, finish, put, succeed, surroundings, told, with_store


@pytest.fixture
def other(redis_url: str) -> str:
    """A store on the other engine."""
    return with_prefix(redis_url, fresh_prefix())


def run_one(url: str, queue: str) -> None:
    """Have a job running, whose worker is alive."""

    async def work(storage: Storage) -> None:
        await storage.claim(queue, Claim(count=1, token=Token("t"), lease_ms=HOUR))

    with_store(url, work)


def test_an_application_moves_to_redis_and_back(url: str, other: str, folder: Path) -> None:
    finish(url, "mail", 2)
    finish(url, "mail", 1, FAILED)
    put(url, NewJob(queue="mail", name="a"), NewJob(queue="reports", name="b", delay_ms=HOUR))
    lines = columns(succeed("move", url, other))
    assert lines == [
        ["QUEUE", "NEW", "UPDATED", "THERE", "NEWER", "STALE", "LEFT", "SCHEDULES", "NOTES", "COMPLETE"],
        ["mail", "4", "0", "0", "0", "0", "0", "0", "0", "yes"],
        ["reports", "1", "0", "0", "0", "0", "0", "0", "0", "yes"],
    ]
    here, there = (told("queues", "list", "--url", one) for one in (url, other))
    shown = ("queue", "waiting", "delayed", "completed", "failed")
    assert [[row[key] for key in shown] for row in there] == [["mail", 1, 0, 2, 1], ["reports", 0, 1, 0, 0]]
    assert [row["state"] for row in here] == ["paused", "paused"]
    assert [row["state"] for row in there] == ["active", "active"]
    succeed("jobs", "remove", "4", "--queue", "mail", "--yes", "--url", other)
    assert [row["stale"] for row in told("move", other, url)] == [1, 0]
    assert [row["waiting"] for row in told("queues", "list", "--url", url)] == [0, 0]


def test_it_says_where_to_go_on(url: str, folder: Path) -> None:
    put(url, NewJob(queue="mail", name="a"))
    result = call("move", url, f"sqlite:///{folder}/new.db")
    assert (result.exit_code, "CORRAL_URL=sqlite:///" in result.stderr) == (0, True)
    assert call("move", url, f"sqlite:///{folder}/new.db", "-q").stderr == ""


def test_what_still_runs_is_reported_and_the_exit_code_says_so(url: str, folder: Path) -> None:
    put(url, NewJob(queue="mail", name="a"), NewJob(queue="mail", name="b"))
    run_one(url, "mail")
    result = call("move", url, f"sqlite:///{folder}/new.db", "--timeout", "0", "-o", "ndjson")
    assert result.exit_code == 1
    assert '"new": 1' in result.stdout
    assert '"running": 1' in result.stdout
    assert "mail: 1 job stays behind" in result.stderr
    assert "run it again" in result.stderr


def test_a_dry_run_and_a_first_pass(url: str, folder: Path) -> None:
    new = f"sqlite:///{folder}/new.db"
    put(url, NewJob(queue="mail", name="a"), NewJob(queue="reports", name="b"))
    [row] = told("move", url, new, "--queue", "mail", "--dry-run")
    assert (row["queue"], row["new"]) == ("mail", 1)
    assert not (folder / "new.db").exists()
    assert [row["new"] for row in told("move", url, new, "--keep-running")] == [1, 1]
    assert [row["state"] for row in told("queues", "list", "--url", url)] == ["active", "active"]
    assert [row["state"] for row in told("queues", "list", "--url", new)] == ["paused", "paused"]
    assert [row["there"] for row in told("move", url, new)] == [1, 1]
    assert [row["state"] for row in told("queues", "list", "--url", new)] == ["active", "active"]


def test_an_empty_store_is_moved_in_no_time(url: str, folder: Path) -> None:
    with_store(url, lambda storage: storage.queues())
    assert told("move", url, f"sqlite:///{folder}/new.db") == []


def test_what_cannot_be_meant(url: str, folder: Path) -> None:
    new = f"sqlite:///{folder}/new.db"
    assert call("move", url, new).exit_code == 3  # there is no such file, and none is made
    assert not (folder / "new.db").exists()
    put(url, NewJob(queue="mail", name="a"))
    assert call("move", url, url).exit_code == 2
    assert call("move", url, "mysql://box").exit_code == 2
    assert call("move", url, new, "--timeout", "soon").exit_code == 2
    result = call("move", url, new, "--queue", "mial")
    assert (result.exit_code, "'mail'" in result.stderr) == (4, True)
    assert call("move", url, "redis://127.0.0.1:1/0?timeout=0.2").exit_code == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "its queues are paused"), (("--keep-running",), "Run it again"), (("--dry-run",), "nothing was changed")],
)
def test_an_interrupted_move_says_how_things_stand(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    put(url, NewJob(queue="mail", name="a"))

    def broken_off(work: Coroutine[object, object, object]) -> object:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr("corral.cli.move.run", broken_off)
    result = call("move", url, f"sqlite:///{folder}/new.db", *words)
    assert result.exit_code == 130
    assert said in result.stderr


def test_a_terminal_sees_how_far_each_queue_has_come(url: str, folder: Path) -> None:
    put(url, *(NewJob(queue="mail", name="a") for _ in range(300)))
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "corral.cli", "move", url, f"sqlite:///{folder}/new.db"],
        stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=surroundings(TERM="xterm", COLUMNS="160"),
    ) as process:  # fmt: skip
        os.close(slave)
        seen = b""
        while chunk := _read(master):
            seen += chunk
        assert process.wait(PATIENCE) == 0
    os.close(master)
    assert b"300/300" in seen
    assert b"QUEUE" in seen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4_096)
    except OSError:  # the other side is closed: that is how Linux says so
        return b""
