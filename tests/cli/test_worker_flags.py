"""How a worker may be told to run its handlers, from the command line: memory, threads, processes, tags."""

import json
import signal
from pathlib import Path

import pytest

from corral.job import NewJob
from corral.worker.vitals import memory

from .helpers import MAILER, READY, Command, call, put, told
from .test_worker import the

pytestmark = pytest.mark.slow  # each test starts interpreters

MEASURED = "tests.cli.apps.measured"
QUEUE = "measured"


def measured(name: str, **data: int) -> NewJob:
    return NewJob(queue=QUEUE, name=name, data=json.dumps(data))


def test_tags_are_shown_beside_the_workers_name(folder: Path, url: str) -> None:
    with Command("worker", MAILER, "--url", url, "--tag", "zone=eu-1", "--tag", "rack=7", cwd=folder) as worker:
        worker.line(READY)
        [row] = told("workers", "list", "--url", url)
        assert row["tags"] == ["zone=eu-1", "rack=7"]
        shown = call("workers", "show", str(row["name"]), "--url", url)
        assert "zone=eu-1" in shown.stdout
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


def test_a_setting_says_the_same(folder: Path, url: str) -> None:
    (folder / "corral.toml").write_text('tags = "zone=eu-1"\nmax_rss = "4GB"\nthreads = 2\nexecutor = "thread"\n')
    with Command("worker", MAILER, "--url", url, cwd=folder) as worker:
        worker.line(READY)
        assert told("workers", "list", "--url", url)[0]["tags"] == ["zone=eu-1"]
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--tag", "zone"), "'zone' is not a tag; write zone=eu"),
        (("--max-rss", "lots"), "'lots' is not a size"),
        (("--max-rss", "1MB"), "max_rss must be above the"),
        (("--threads", "0"), "--threads"),
        (("--executor", "fiber"), "--executor"),
    ],
)
def test_what_cannot_be_meant_ends_it_with_2(folder: Path, url: str, words: tuple[str, ...], complaint: str) -> None:
    with Command("worker", MAILER, "--url", url, *words, cwd=folder) as worker:
        assert worker.end() == 2
    assert complaint in "\n".join(worker.lines)


def test_a_child_that_holds_too_much_memory_ends_well_and_is_replaced(folder: Path, url: str) -> None:
    limit = memory() + 150_000_000  # the tests' own process holds more than a worker does
    words = ("worker", MEASURED, "--url", url, "--processes", "2", "--max-rss", str(limit))
    with Command(*words, cwd=folder) as worker:
        worker.line(READY)
        worker.line(READY)
        [job_id] = put(url, measured("hoard", bytes=limit))
        worker.line("bytes of memory, more than")
        worker.line("worker stopped")
        worker.line(READY)  # the one that takes its place
        assert the(url, job_id, QUEUE).state == "completed"
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


def test_executor_process_runs_a_handler_apart_from_the_worker(folder: Path, url: str) -> None:
    [apart] = put(url, measured("where"))
    with Command("worker", MEASURED, "--url", url, "--burst", "--executor", "process", cwd=folder) as worker:
        assert worker.end() == 0
    [here] = put(url, measured("where"))
    with Command("worker", MEASURED, "--url", url, "--burst", cwd=folder) as second:
        assert second.end() == 0
    assert json.loads(str(the(url, apart, QUEUE).result)) != worker.process.pid
    assert json.loads(str(the(url, here, QUEUE).result)) == second.process.pid
