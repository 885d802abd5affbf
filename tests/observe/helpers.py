"""Asking worker processes how they are."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from corral.job import JobId, NewJob
from corral.payload import to_json
from tests.cli.helpers import Command, put

T = TypeVar("T")
APP = "tests.observe.wares:app"
#: Seconds. Generous, because the machine may be busy: a test that needs this long has failed anyway.
PATIENCE = 60.0


def ask(port: int, path: str, *, accept: str = "") -> tuple[int, str]:
    """GET from a worker: status and body; (0, "") when nobody listens."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept} if accept else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def becomes(port: int, path: str, status: int) -> str:
    """Wait until a path answers with this status; gives the body."""
    return until(lambda: ask(port, path), lambda answer: answer[0] == status)[1]


def until(look: Callable[[], T], enough: Callable[[T], bool]) -> T:
    """Look until it is enough; gives what was seen."""
    deadline = time.monotonic() + PATIENCE
    while not enough(seen := look()):
        assert time.monotonic() < deadline, f"in vain: {seen}"
        time.sleep(0.05)
    return seen


@contextmanager
def at_work(url: str, folder: Path, *words: str) -> Iterator[tuple[Command, int]]:
    """A worker of `wares` in a process of its own, ready, and the port of its health and metrics."""
    options = ("--health-port", "0", "--metrics-port", "0", "--log-format", "logfmt", *words)
    with Command("--url", url, "worker", APP, *options, cwd=folder) as worker:
        port = int(field(worker.line("event=worker.listening"), "health_port"))
        becomes(port, "/readyz", 200)
        yield worker, port


def field(line: str, name: str) -> str:
    """A field of a logfmt line."""
    return next(part.partition("=")[2] for part in line.split() if part.startswith(f"{name}="))


def add(url: str, name: str, data: object = None, *, count: int = 1) -> list[JobId]:
    """Add jobs to the queue `mail`."""
    return put(url, *[NewJob(queue="mail", name=name, data=to_json(data, "payload"))] * count)
