"""`corral dev`: the worker and the HTTP API in one process, an address that logs in once, and the samples."""

import http.client
import http.cookiejar
import json
import os
import signal
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from corral.cli import dev
from corral.cli.worker import SEAT

from .helpers import MAILER, PATIENCE, READY, Command, call, told
from .test_reload import write

pytestmark = pytest.mark.slow  # each test starts interpreters


def address(worker: Command) -> str:
    """What is printed."""
    line = worker.line("Dashboard: http://127.0.0.1:")
    return line.removeprefix("Dashboard: ")


class Visitor:
    """Somebody with a browser's cookies."""

    def __init__(self) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)

    def get(self, url: str) -> tuple[int, str, str]:
        """Status, body, and where one ended up."""
        try:
            with self._opener.open(url, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode(), answer.url
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), url


def test_the_printed_address_logs_in_once_and_shows_the_dashboard(folder: Path) -> None:
    with Command("dev", MAILER, "--port", "0", "--no-reload", cwd=folder) as worker:
        url = address(worker)
        worker.line(READY)
        base = url.partition("/api/")[0]
        somebody, nobody = Visitor(), Visitor()
        status, body, ended = somebody.get(url)
        assert (status, ended) == (200, f"{base}/")
        assert "<h1>Overview</h1>" in body
        assert "<code>/api/v1/queues/{q}/jobs</code>" in somebody.get(f"{base}/api/docs")[1]
        stats = json.loads(somebody.get(f"{base}/api/v1/stats")[1])
        assert (stats["workers"], stats["queues"]) == (1, 2), "it is about the worker's own store"
        assert nobody.get(url)[0] == 401, "the token is used up"
        assert nobody.get(f"{base}/api/v1/stats")[0] == 401
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    assert not [line for line in worker.lines if "Traceback" in line]


def test_a_session_and_the_port_outlive_a_reload(folder: Path) -> None:
    write(folder, "bicycle")
    with Command("dev", "shop", "--port", "0", cwd=folder) as worker:
        url = address(worker)
        worker.line(READY)
        somebody = Visitor()
        base = url.partition("/api/")[0]
        assert somebody.get(url)[0] == 200
        write(folder, "airship")
        worker.line("shop.py changed, starting again")
        # Asked before the new one serves: the parent holds the socket, so the connection waits and is not refused.
        assert somebody.get(f"{base}/api/v1/stats")[0] == 200
        again = address(worker)
        assert again.partition("/api/")[0] == base
        assert again != url, "the token is another one"
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


def test_open_shows_the_address_in_a_browser_and_not_again_after_a_reload(folder: Path) -> None:
    write(folder, "bicycle")
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {folder}/opened\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    with Command("dev", "shop", "--port", "0", "--open", cwd=folder, env={"BROWSER": f"{browser} %s"}) as worker:
        url = address(worker)
        worker.line(READY)
        write(folder, "airship")
        address(worker)
        worker.line(READY)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    assert (folder / "opened").read_text().split() == [url]


def test_demo_brings_jobs_that_succeed_fail_wait_and_depend_on_each_other(folder: Path) -> None:
    with Command("dev", "--demo", "--port", "0", "--no-reload", "--burst", cwd=folder) as worker:
        address(worker)
        assert worker.end() == 0
    url = ("--url", "sqlite:///.corral/dev.db")
    [total] = told("jobs", "show", "demo-reports/demo-sum", *url)
    assert (total["state"], total["result"]) == ("completed", 1_596)
    states = {row["id"]: row["state"] for row in told("jobs", "list", "--queue", "demo-mail", "--all", *url)}
    assert states["demo-0"] == "completed"
    assert states["demo-later"] == states["demo-nobody"] == "delayed", "the one is due later, the other is tried again"
    assert [row["key"] for row in told("schedules", "list", *url)] == ["demo-heartbeat"]


def test_demo_beside_an_application_runs_both(folder: Path) -> None:
    with Command("dev", MAILER, "--demo", "--port", "0", "--no-reload", "--burst", cwd=folder) as worker:
        assert worker.end() == 0
    served = "\n".join(worker.lines)
    assert "  send-email" in served
    assert "  demo-mail" in served


def test_the_usual_port_being_taken_the_next_one_is_served(folder: Path) -> None:
    with Command("dev", MAILER, "--port", "0", "--no-reload", cwd=folder) as first:
        taken = int(address(first).partition("/api/")[0].rpartition(":")[2])
        with Command("dev", MAILER, "--no-reload", cwd=folder, env={"CORRAL_API_PORT": str(taken)}) as second:
            other = address(second).partition("/api/")[0].rpartition(":")[2]
            assert int(other) != taken
            second.line(READY)
            second.signal(signal.SIGTERM)
            assert second.end() == 0
        with Command("dev", MAILER, "--port", str(taken), "--no-reload", cwd=folder) as third:
            assert third.end() == 2
        assert "Address already in use" in "\n".join(third.lines)
        first.line(READY)
        first.signal(signal.SIGTERM)
        assert first.end() == 0


def test_without_the_extra_there_is_only_the_worker_and_a_port_cannot_be_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "find_spec", lambda name: None)
    assert dev.take_seat(None, show=False) is None
    result = call("dev", MAILER, "--port", "0")
    assert result.exit_code == 2
    assert "pip install 'corral[web]'" in result.output


def test_the_socket_is_kept_from_what_a_handler_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = dev.take_seat(0, show=False)
    assert given is not None
    handed = os.dup(given.fileno())
    os.set_inheritable(handed, True)
    monkeypatch.setenv(SEAT, str(handed))
    taken = dev.take_seat(None, show=False)
    assert taken is not None
    with given, taken:
        assert taken.getsockname() == given.getsockname()
        assert not taken.get_inheritable()
    assert SEAT not in os.environ
