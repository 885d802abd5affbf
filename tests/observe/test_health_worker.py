"""The health of real worker processes: what stops, blocks or wedges them shows, and nothing else does."""

import json
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.cli.helpers import Command
from tests.observe.helpers import APP, add, ask, at_work, becomes, until
from tests.redis_server import RedisServer

pytestmark = [
    pytest.mark.slow,  # real processes, and some seconds until an outage counts as one
    pytest.mark.timeout(240),
]
ENDPOINTS = ("/livez", "/readyz", "/startupz", "/healthz")


@pytest.mark.mission("M-AI-72")
def test_a_worker_tells_how_it_is(storage_url: str, tmp_path: Path) -> None:
    with at_work(storage_url, tmp_path) as (worker, port):
        assert [ask(port, path) for path in ENDPOINTS] == [(200, "ok")] * 4
        _, rows = ask(port, "/readyz?verbose&exclude=store")
        assert rows == "[+]started ok\n[+]accepting ok\n[+]consuming ok\n[ ]store left out\nreadyz check passed\n"
        assert ask(port, "/readyz/store") == (200, "ok")
        assert ask(port, "/readyz/nothing")[0] == 404
        status, document = ask(port, "/livez", accept="application/json")
        assert (status, json.loads(document)["status"]) == (200, "ok")
        assert ask(port, "/")[0] == 404
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


def test_a_worker_that_stops_is_not_ready_and_still_lives(storage_url: str, tmp_path: Path) -> None:
    with at_work(storage_url, tmp_path) as (worker, port):
        add(storage_url, "waiting", str(tmp_path / "go"))
        until(lambda: ask(port, "/metrics")[1], lambda page: 'corral_worker_slots_busy{queue="mail"} 1.0' in page)
        worker.signal(signal.SIGTERM)
        assert "the worker is stopping" in becomes(port, "/readyz", 503)
        assert ask(port, "/livez")[0] == 200
        (tmp_path / "go").touch()
        assert worker.end() == 0


def test_an_outage_of_redis_ends_readiness_and_no_life_and_its_return_brings_it_back(tmp_path: Path) -> None:
    with RedisServer() as server, at_work(server.url, tmp_path) as (_, port):
        server.kill()
        lost = time.monotonic()
        lives = [ask(port, "/livez")[0]]
        while ask(port, "/readyz")[0] != 503:
            lives.append(ask(port, "/livez")[0])
            assert time.monotonic() - lost < 30  # 5 s where nothing else runs
            time.sleep(0.1)
        lives.append(ask(port, "/livez")[0])
        server.start()
        becomes(port, "/readyz", 200)
        assert set(lives) == {200}


def test_a_redis_that_answers_nobody_is_an_outage_too(tmp_path: Path) -> None:
    with RedisServer() as server, at_work(server.url, tmp_path) as (_, port):
        server.suspend()
        assert "store failed" in becomes(port, "/readyz", 503)
        assert ask(port, "/livez")[0] == 200
        server.resume()
        becomes(port, "/readyz", 200)


def test_a_file_that_somebody_else_keeps_locked_is_an_outage(tmp_path: Path) -> None:
    file = tmp_path / "corral.db"
    with at_work(f"sqlite:///{file}", tmp_path) as (_, port):
        other = sqlite3.connect(file, isolation_level=None, timeout=60)
        try:
            other.execute("BEGIN IMMEDIATE")
            assert "[-]store failed" in becomes(port, "/readyz", 503)
            assert ask(port, "/livez")[0] == 200
            other.execute("ROLLBACK")
        finally:
            other.close()
        becomes(port, "/readyz", 200)


def test_a_file_that_is_gone_is_an_outage_until_it_is_put_back(tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "corral.db", tmp_path / "moved.db"
    with at_work(f"sqlite:///{file}", tmp_path) as (_, port):
        file.rename(elsewhere)
        becomes(port, "/readyz", 503)
        assert ask(port, "/livez")[0] == 200
        elsewhere.rename(file)
        becomes(port, "/readyz", 200)


def test_a_wedged_fetch_loop_is_dead_although_everything_answers(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_HEALTH_STUCK_AFTER", "12")  # 30 in earnest; below 10 a slow turn could pass for stuck
    with at_work(storage_url, tmp_path) as (_, port):
        add(storage_url, "wedging")
        rows = becomes(port, "/livez", 503)
        assert "[-]fetch failed: no step for 12 s in queues mail" in rows
        assert "[+]loop ok" in rows
        becomes(port, "/readyz/store", 200)
        assert "[-]consuming" in becomes(port, "/readyz", 503)


def test_a_handler_that_blocks_the_event_loop_is_seen_from_outside_of_it(storage_url: str, tmp_path: Path) -> None:
    with at_work(storage_url, tmp_path) as (_, port):
        add(storage_url, "blocking", str(tmp_path / "go"))
        rows = becomes(port, "/livez", 503)
        assert "a handler blocks it" in rows
        becomes(port, "/readyz/store", 200)  # leases are renewed meanwhile
        (tmp_path / "go").touch()
        becomes(port, "/livez", 200)


def test_a_worker_whose_slots_are_all_taken_for_long_is_well(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_HEALTH_STUCK_AFTER", "1")
    with at_work(storage_url, tmp_path, "-Q", "mail=1") as (_, port):
        add(storage_url, "waiting", str(tmp_path / "go"))
        until(lambda: ask(port, "/metrics")[1], lambda page: 'corral_worker_slots_busy{queue="mail"} 1.0' in page)
        until(lambda: float(_last_turn(port)), lambda age: age > 3)
        assert ask(port, "/livez")[0] == 200
        assert ask(port, "/readyz")[0] == 200


def _last_turn(port: int) -> float:
    """Seconds since the store answered the fetch loop."""
    name = "corral_worker_last_fetch_timestamp_seconds "
    return time.time() - next(
        float(row.removeprefix(name)) for row in ask(port, "/metrics")[1].splitlines() if row.startswith(name)
    )


def test_the_file_of_a_worker_that_lives_is_touched_and_goes_with_it(storage_url: str, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    with at_work(storage_url, tmp_path, "--health-file", str(alive)) as (worker, port):
        first = alive.stat().st_mtime_ns
        until(lambda: alive.stat().st_mtime_ns, lambda now: now > first)
        add(storage_url, "blocking", str(tmp_path / "go"))
        becomes(port, "/livez", 503)
        stale = alive.stat().st_mtime_ns
        assert ask(port, "/livez")[0] == 503
        (tmp_path / "go").touch()
        until(lambda: alive.stat().st_mtime_ns, lambda now: now > stale)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    assert not alive.exists()


def test_a_port_that_is_taken_is_said_at_once(storage_url: str, tmp_path: Path) -> None:
    words = ("--url", storage_url, "worker", APP, "--health-port")
    with at_work(storage_url, tmp_path) as (_, port), Command(*words, str(port), cwd=tmp_path) as other:
        assert f"cannot listen on 127.0.0.1:{port}" in other.line("cannot listen")
        assert other.end() == 2
