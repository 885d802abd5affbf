"""The commands that touch a store, on each engine: the same words, the same answers."""

import json
import signal
from pathlib import Path

import pytest

from corral.job import JobState, NewJob
from corral.storage.port import Storage
from tests.redis_server import RedisServer

from .helpers import FAILED, HOUR, MAILER, READY, Command, call, finish, put, succeed, told, with_store
from .test_queues import beat


def test_a_job_is_added_shown_and_counted(storage_url: str) -> None:
    assert succeed("add", "send-email", "welcome-email", "to=ann@example.com", "--url", storage_url) == (
        "send-email/1 added\n"
    )
    shown = json.loads(succeed("jobs", "show", "1", "--queue", "send-email", "--url", storage_url, "-o", "json"))
    assert (shown["state"], shown["data"]) == ("waiting", {"to": "ann@example.com"})
    [row] = told("stats", "--url", storage_url)
    assert (row["queue"], row["waiting"]) == ("send-email", 1)


@pytest.mark.mission("M-TS-37", "M-TS-36")
def test_m_ts_37_old_jobs_are_cleaned(storage_url: str) -> None:
    finish(storage_url, "send-email", 5, ago=25 * HOUR)
    finish(storage_url, "send-email", 2, FAILED, ago=25 * HOUR)
    finish(storage_url, "send-email", 1)
    assert succeed("jobs", "clean", "--url", storage_url).splitlines()[1:] == [
        "✅ Cleaned 5 completed jobs from send-email",
        "❌ Cleaned 2 failed jobs from send-email",
        "📊 send-email: waiting=0, active=0, completed=1, failed=0",
    ]


def test_rates_come_with_a_line_about_the_store(storage_url: str) -> None:
    finish(storage_url, "send-email", 30, waited=2_000, ran=500)
    result = call("stats", "--url", storage_url, "-o", "ndjson")
    row = json.loads(result.stdout)
    assert (row["completed"], row["mean_wait_s"], row["mean_run_s"]) == (30, 2.0, 0.5)
    assert "; server: " in result.stderr
    assert "persistence: " in result.stderr


@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_serves_the_store_until_it_is_told_to_stop(storage_url: str, folder: Path, processes: int) -> None:
    put(storage_url, *[NewJob(queue="send-email", name="welcome-email", data='{"to": "ann@example.com"}')] * 4)
    words = ("worker", MAILER, "--url", storage_url, "--processes", str(processes))
    with Command(*words, cwd=folder) as worker:
        for _ in range(processes):
            worker.line(READY.partition(".")[0])
        done = with_store(storage_url, all_done)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    assert done == 4
    assert told("schedules", "list", "--url", storage_url)


async def all_done(storage: Storage) -> int:
    """How many have completed, as soon as none is left."""
    cursor = ""
    while (await storage.page("send-email", [JobState.WAITING, JobState.ACTIVE], limit=1)).total:
        _, cursor = await storage.events("send-email", after=cursor, timeout=5)
    return (await storage.counts(["send-email"]))[0].completed


def test_schedules_are_listed_paused_and_run_now(storage_url: str, folder: Path) -> None:
    with Command("worker", MAILER, "--url", storage_url, cwd=folder) as worker:
        worker.line(READY.partition(".")[0])
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    keys = {str(row["key"]) for row in told("schedules", "list", "--url", storage_url)}
    assert "weekly-team-reports" in keys
    succeed("schedules", "pause", "weekly-team-reports", "--url", storage_url)
    [shown] = told("schedules", "show", "weekly-team-reports", "--url", storage_url)
    assert shown["state"] == "paused"
    succeed("schedules", "run", "weekly-team-reports", "--url", storage_url)
    assert told("jobs", "list", "--queue", "generate-report", "--url", storage_url)


@pytest.mark.mission("M-TS-61", "M-BI-41")
def test_m_ts_61_the_doctor_looks_at_the_store_and_its_queues(storage_url: str) -> None:
    put(storage_url, NewJob(queue="send-email", name="waits"))
    result = call("doctor", "--url", storage_url, "-o", "ndjson")
    rows = {row["check"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert {"store", "server", "persistence", "worker", "paused", "schedules"} <= set(rows)
    assert (result.exit_code, rows["worker"]["verdict"], rows["store"]["verdict"]) == (8, "failed", "ok")
    beat(storage_url, "send-email")
    assert call("doctor", "--url", storage_url).exit_code == 0


# -- a server's own troubles -------------------------------------------------------------------------------------------


def checks(url: str) -> dict[str, tuple[str, str, str]]:
    result = call("doctor", "--url", url, "-o", "ndjson")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return {row["check"]: (row["verdict"], row["message"], row["fix"] or "") for row in rows}


def test_a_server_that_is_set_up_well_has_nothing_to_mend() -> None:
    with RedisServer("--appendonly", "yes", "--maxmemory", "200mb") as server:
        found = checks(server.url)
    assert {verdict for verdict, _, _ in found.values()} == {"ok"}
    assert found["server"][1].partition(" ")[0] in ("Redis", "Valkey")
    assert found["persistence"][1] == "append-only file, fsync everysec"
    assert found["memory"][1].endswith(" of 210 MB")
    assert found["latency"][1].endswith(" ms a call")


def test_a_server_that_throws_jobs_away_or_saves_nothing_is_found() -> None:
    with RedisServer("--maxmemory-policy", "allkeys-lru", "--maxmemory", "200mb") as server:
        found = checks(server.url)
    assert (found["eviction"][0], found["persistence"][0]) == ("failed", "warning")
    assert "allkeys-lru throws jobs away" in found["eviction"][1]
    assert "maxmemory-policy noeviction" in found["eviction"][2]
    assert found["persistence"][1] == "nothing is saved: a restart loses everything"
    assert "appendonly yes" in found["persistence"][2]


def test_a_server_whose_memory_is_nearly_full_is_found() -> None:
    with RedisServer("--appendonly", "yes") as server:
        used = int(server.ask("INFO", "memory").partition(b"used_memory:")[2].split()[0])
        server.ask("CONFIG", "SET", "maxmemory", str(used * 10 // 9))
        found = checks(server.url)
    assert found["memory"][0] in ("warning", "failed")
    assert "corral jobs clean" in found["memory"][2]


def test_a_server_that_tells_nothing_is_believed() -> None:
    with RedisServer() as server:
        server.ask("ACL", "SETUSER", "default", "-info", "-config")
        found = checks(server.url)
    assert (found["store"][0], found["latency"][0]) == ("ok", "ok")
    assert not {"eviction", "memory", "persistence"} & set(found)


def test_a_server_that_is_not_there_is_found_without_telling_the_password() -> None:
    with RedisServer() as server:
        url = server.url
    result = call("doctor", "--url", url.replace("//", "//:s3cret@") + "?timeout=0.2", "-o", "ndjson")
    assert result.exit_code == 8
    assert json.loads(result.stdout)["verdict"] == "failed"
    assert "s3cret" not in result.stdout
