"""`corral doctor` finds what contradicts itself in a store, and with `--fix` puts it right. On each engine."""

import json
import sqlite3
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from redis import Redis

from corral.job import JobState, NewJob
from corral.schedule import Every, Schedule
from corral.storage.port import Claim, Storage, Token, WorkerInfo
from corral.timing import now_ms

from .helpers import HOUR, call, put, told, with_store

MAIL = "send-email"
#: What the machine and the server of the tests are like is not this page's business.
SURROUNDINGS = ("server", "latency", "eviction", "persistence", "memory", "disk", "clock", "clients", "access")


def findings(url: str, *words: str) -> dict[str, dict[str, object]]:
    """What is wrong, by check."""
    result = call("doctor", "--url", url, "-o", "ndjson", *words)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return {str(row["check"]): row for row in rows if row["verdict"] != "ok" and row["check"] not in SURROUNDINGS}


def spoil(url: str, *, sql: str, redis: Callable[[Redis, str], object]) -> None:
    """Break something behind corral's back: with SQL in a file, with commands on a server."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        with sqlite3.connect(parts.path[1:]) as file:
            file.execute(sql)
        file.close()
        return
    with Redis.from_url(url.partition("?")[0]) as server:
        redis(server, parse_qs(parts.query)["prefix"][0])


def alive(url: str, *queues: str, handlers: tuple[str, ...] = (), name: str = "box") -> None:
    """A worker that has just been seen."""

    async def work(storage: Storage) -> None:
        info = WorkerInfo(
            id=name, name=name, host="here", pid=1, queues=queues, slots=5, started_at=now_ms(), handlers=handlers
        )
        await storage.heartbeat(info, [], lease_ms=HOUR)

    with_store(url, work)


def test_a_count_that_is_wrong_is_found_and_mended(storage_url: str) -> None:
    put(storage_url, *[NewJob(queue=MAIL, name="waits")] * 2)
    alive(storage_url, MAIL)
    spoil(
        storage_url,
        sql="UPDATE corral_queue SET waiting = waiting + 3",
        redis=lambda server, prefix: server.lpush(f"{prefix}:{MAIL}:wait", "901", "902", "903"),
    )
    [before] = told("queues", "list", "--url", storage_url)
    assert before["waiting"] == 5
    found = findings(storage_url)
    [name] = {"counts", "orphans"} & set(found)
    assert str(found[name]["message"]).startswith(f"{MAIL}: ")
    assert found[name]["fix"] == f"corral doctor --fix --only {found[name]['code']}"
    assert call("doctor", "--fix", "--only", name, "--url", storage_url).exit_code == 0
    assert findings(storage_url) == {}
    [after] = told("queues", "list", "--url", storage_url)
    assert after["waiting"] == 2


def test_jobs_in_every_place_are_no_contradiction(storage_url: str) -> None:
    async def fill(storage: Storage) -> None:
        await storage.add(
            [
                NewJob(queue=MAIL, name="plain"),
                NewJob(queue=MAIL, name="first", priority=5),
                NewJob(queue=MAIL, name="later", delay_ms=HOUR),
                NewJob(queue=MAIL, name="grouped", group="ann"),
                NewJob(queue=MAIL, name="runs", lifo=True),
            ]
        )
        token = Token("t")
        claimed = await storage.claim(MAIL, Claim(count=1, token=token, lease_ms=HOUR))
        assert len(claimed.jobs) == 1
        await storage.put_schedules(
            [Schedule(key="k", queue=MAIL, name="x", timing=Every(60), next_at=now_ms() + HOUR)]
        )

    with_store(storage_url, fill)
    alive(storage_url, MAIL)
    assert findings(storage_url) == {}


def test_a_lock_that_nobody_holds_is_found_and_mended(storage_url: str) -> None:
    [job_id] = put(storage_url, NewJob(queue=MAIL, name="waits"))
    alive(storage_url, MAIL)
    spoil(
        storage_url,
        sql="UPDATE corral_job SET token = 'gone'",
        redis=lambda server, prefix: server.set(f"{prefix}:{MAIL}:{job_id}:lock", "gone"),
    )
    found = findings(storage_url)
    assert found["locks"]["message"] == f"{MAIL}: 1 locks of jobs that nobody runs ({job_id})"
    assert found["locks"]["fix"] == "corral doctor --fix --only D13"
    assert call("doctor", "--fix", "--only", "D13", "--url", storage_url).exit_code == 0
    assert findings(storage_url) == {}


def test_the_lock_of_a_running_job_stays(storage_url: str) -> None:
    async def start(storage: Storage) -> None:
        await storage.add([NewJob(queue=MAIL, name="runs")])
        await storage.claim(MAIL, Claim(count=1, token=Token("t"), lease_ms=HOUR))

    with_store(storage_url, start)
    alive(storage_url, MAIL)
    result = call("doctor", "--fix", "--url", storage_url)
    assert result.exit_code == 0
    assert "nothing was to be put right" in result.stderr


@pytest.mark.mission("M-BI-40")
def test_jobs_of_a_worker_that_is_gone_are_put_back(storage_url: str) -> None:
    async def die(storage: Storage) -> None:
        await storage.add([NewJob(queue=MAIL, name="runs")])
        now = now_ms()
        await storage.claim(MAIL, Claim(count=1, token=Token("t"), lease_ms=1_000), now=now - HOUR)

    with_store(storage_url, die)
    alive(storage_url, MAIL)
    assert "1 job is back in the queue, of workers that are gone" in call(
        "doctor", "--fix", "--only", "stalled", "--url", storage_url
    ).stderr.replace(f"{MAIL}: ", "")

    async def waiting(storage: Storage) -> int:
        return (await storage.page(MAIL, [JobState.WAITING])).total

    assert with_store(storage_url, waiting) == 1


def test_a_schedule_that_has_lost_its_next_run_gets_one(storage_url: str) -> None:
    async def lose(storage: Storage) -> None:
        await storage.put_schedules([Schedule(key="daily", queue=MAIL, name="x", timing=Every(3600))])

    with_store(storage_url, lose)
    found = findings(storage_url)["schedules"]
    assert found["message"] == f"daily of {MAIL} has no next run although it has not ended"
    assert "corral schedules repair daily" in str(found["fix"])
    assert call("doctor", "--fix", "--only", "D18", "--url", storage_url).exit_code == 0
    [row] = told("schedules", "list", "--url", storage_url)
    assert row["next_at"] is not None


def test_a_worker_that_was_started_before_a_handler_was_there_is_found(storage_url: str) -> None:
    put(storage_url, *[NewJob(queue=MAIL, name="brand-new")] * 2, NewJob(queue=MAIL, name="old"))
    alive(storage_url, MAIL, handlers=(f"{MAIL}/old",), name="mailer-1")
    found = findings(storage_url)["handlers"]
    assert "2 waiting jobs are called brand-new, and none of its 1 workers has a handler" in str(found["message"])
    assert str(found["fix"]).endswith("mailer-1")
    assert found["verdict"] == "failed"


def test_a_worker_behind_the_application_is_found(storage_url: str) -> None:
    alive(storage_url, MAIL, handlers=(f"{MAIL}/welcome-email",), name="mailer-1")
    found = findings(storage_url, "--app", "tests.cli.apps.mailer")["handlers"]
    assert "worker mailer-1 runs older code" in str(found["message"])
    assert found["fix"] == "restart it: corral workers stop mailer-1"


def test_a_worker_that_takes_every_name_lacks_none(storage_url: str) -> None:
    put(storage_url, NewJob(queue=MAIL, name="brand-new"))
    alive(storage_url, MAIL, handlers=(f"{MAIL}/*",))
    assert "handlers" not in findings(storage_url)


def test_a_queue_that_keeps_everything_is_found(storage_url: str) -> None:
    from corral.options import Keep, QueueSettings

    async def keep(storage: Storage) -> None:
        await storage.configure(MAIL, QueueSettings(keep_completed=Keep()))

    with_store(storage_url, keep)
    assert "nothing bounds them" in str(findings(storage_url)["retention"]["message"])


def test_only_the_checks_that_are_asked_for_are_shown(storage_url: str) -> None:
    put(storage_url, NewJob(queue=MAIL, name="waits"))
    rows = told_anyway(storage_url, "--only", "D11", "--only", "worker")
    assert {row["check"] for row in rows} == {"orphans", "worker"}
    result = call("doctor", "--only", "wroker", "--url", storage_url)
    assert result.exit_code == 2
    assert "did you mean 'worker'?" in result.stderr


def told_anyway(url: str, *words: str) -> list[dict[str, object]]:
    result = call("doctor", "--url", url, "-o", "ndjson", *words)
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("dry", [True, False])
def test_a_dry_run_mends_nothing(storage_url: str, dry: bool) -> None:
    put(storage_url, NewJob(queue=MAIL, name="waits"))
    alive(storage_url, MAIL)
    spoil(
        storage_url,
        sql="UPDATE corral_job SET token = 'gone'",
        redis=lambda server, prefix: server.set(f"{prefix}:{MAIL}:1:lock", "gone"),
    )
    call("doctor", "--fix", *["--dry-run"] * dry, "--url", storage_url)
    assert ("locks" in findings(storage_url)) is dry
