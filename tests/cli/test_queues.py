"""`corral queues`, `corral stats` and `corral workers`: M-TS-50 and 63."""

import signal
from pathlib import Path

import pytest

from corral.admin import Actor, Admin
from corral.cli.backend.direct_acts import DirectActs
from corral.job import NewJob
from corral.monitor.monitor import Monitor
from corral.outcome import Retried
from corral.storage.port import Storage, WorkerInfo
from corral.timing import now_ms

from .helpers import (
    FAILED,
    HOUR,
    Command,
    call,
    columns,
    finish,
    heed_cancel,
    press_ctrl_c,
    put,
    succeed,
    told,
    with_store,
)

MINUTE = 60_000


def beat(url: str, *queues: str) -> None:
    """Let a worker be seen."""
    worker = WorkerInfo(id="w", name="mailer.0", host="box", pid=7, queues=queues, slots=5, started_at=now_ms() - HOUR)

    async def work(storage: Storage) -> None:
        await storage.heartbeat(worker, [], lease_ms=15_000)

    with_store(url, work)


@pytest.mark.mission("M-TS-50")
def test_m_ts_50_rates_and_means_of_a_queue(url: str) -> None:
    finish(url, "send-email", 12, ago=MINUTE, waited=2_000, ran=500)
    finish(url, "send-email", 4, FAILED, ago=MINUTE, waited=4_000, ran=1_500)
    finish(url, "send-email", 1, ago=HOUR)
    put(url, NewJob(queue="send-email", name="waits"))
    [row] = told("stats", "--window", "10m", "--url", url)
    depth = {key: row[key] for key in ("waiting", "completed", "failed", "completed_total", "failed_total")}
    assert depth == {"waiting": 1, "completed": 13, "failed": 4, "completed_total": 13, "failed_total": 4}
    assert (row["done_per_min"], row["failed_per_min"], row["failed_rate"]) == (1.2, 0.4, 0.25)
    assert (row["mean_wait_s"], row["mean_run_s"]) == pytest.approx((2.5, 0.75), rel=0.02)  # of times in buckets


@pytest.mark.mission("M-TS-63")
def test_m_ts_63_the_time_in_the_queue_and_the_time_of_the_handler_are_told_apart(url: str) -> None:
    finish(url, "send-email", 12, ago=MINUTE, waited=2_000, ran=500)
    finish(url, "send-email", 4, Retried(HOUR, "busy"), ago=MINUTE, waited=4_000, ran=1_500)
    [row] = told("stats", "--url", url)
    assert (row["mean_wait_s"], row["mean_run_s"]) == (2.5, 0.75)
    header, cells = columns(succeed("stats", "--url", url))
    shown = dict(zip(header, cells, strict=True))
    assert (shown["WAIT"], shown["RUN"]) == ("2.5s", "750ms")


def test_the_age_of_the_oldest_waiting_job_is_shown(url: str) -> None:
    async def work(storage: Storage) -> None:
        await storage.add([NewJob(queue="send-email", name="old")], now=now_ms() - 18 * MINUTE)

    with_store(url, work)
    header, cells = columns(succeed("stats", "--url", url))
    assert dict(zip(header, cells, strict=True))["OLDEST"].startswith("18m0")


def test_a_queue_shows_what_it_is_for_and_how_long_a_job_may_wait(url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    [plain] = told("queues", "show", "send-email", "--url", url)
    assert (plain["description"], plain["slo_s"]) == ("", None)

    async def describe(storage: Storage) -> None:
        desk = Admin(storage, Monitor(storage)).by(Actor(sub="ana"))
        await desk.describe("send-email", description="letters to customers", slo=30)

    with_store(url, describe)
    [said] = told("queues", "show", "send-email", "--url", url)
    assert (said["description"], said["slo_s"]) == ("letters to customers", 30.0)


def test_figures_of_an_idle_queue_are_dashes_and_not_zeros(url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    [row] = told("stats", "--url", url)
    assert (row["failed_rate"], row["mean_wait_s"], row["mean_run_s"]) == (None, None, None)


@pytest.mark.parametrize("words", [("stats",), ("queues", "list"), ("jobs", "list")])
def test_interrupting_what_is_watched_is_its_way_out(
    url: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    put(url, NewJob(queue="send-email", name="waits"))

    async def once(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("stats", "queues", "jobs"):
        monkeypatch.setattr(f"corral.cli.{place}.watch", once)
    assert call(*words, "--watch", "--url", url).exit_code == 0


def test_stats_come_again_and_again_until_interrupted(folder: Path, url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    with Command("stats", "--watch", "100ms", "-o", "ndjson", "--url", url, cwd=folder) as command:
        command.line('"waiting": 1')
        put(url, NewJob(queue="send-email", name="waits"))
        command.line('"waiting": 2')
        command.signal(signal.SIGINT)
        assert command.end() == 0


@pytest.mark.parametrize(("words", "code"), [(("--queue", "nix"), 4), (("--window", "30s"), 2), (("--watch", "x"), 2)])
def test_figures_that_do_not_exist_are_refused(url: str, words: tuple[str, ...], code: int) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    assert call("stats", *words, "--url", url).exit_code == code


def test_a_queue_is_paused_with_a_reason_and_resumed(url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    result = call("queues", "pause", "send-email", "--reason", "migration", "--url", url)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "paused send-email\n")
    [shown] = told("queues", "show", "send-email", "--url", url)
    assert (shown["state"], shown["paused_reason"]) == ("paused", "migration")
    succeed("queues", "resume", "send-email", "--url", url)
    assert told("queues", "list", "--url", url)[0]["state"] == "active"


def test_quiet_leaves_the_messages_out(url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    assert call("-q", "queues", "pause", "send-email", "--url", url).output == ""


def test_draining_deletes_what_waits_and_spares_what_is_due_later(url: str) -> None:
    put(url, *[NewJob(queue="a", name="x")] * 3, NewJob(queue="a", name="x", delay_ms=HOUR))
    assert told("queues", "drain", "a", "-y", "--url", url) == [{"queue": "a", "removed": 3}]
    assert told("queues", "drain", "a", "--delayed", "-y", "--url", url) == [{"queue": "a", "removed": 1}]


def test_a_misspelled_queue_is_not_made_by_pausing_it(url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    assert call("queues", "pause", "send-mail", "--url", url).exit_code == 4
    assert [row["queue"] for row in told("queues", "list", "--url", url)] == ["send-email"]


def test_living_workers_are_listed_and_counted(url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"), NewJob(queue="other", name="waits"))
    beat(url, "send-email")
    [worker] = told("workers", "list", "--url", url)
    assert (worker["name"], worker["queues"], worker["slots"]) == ("mailer.0", ["send-email"], 5)
    assert {row["queue"]: row["workers"] for row in told("stats", "--url", url)} == {"send-email": 1, "other": 0}


def test_an_order_stands_when_nobody_waits_for_the_answer_any_more(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    beat(url, "send-email")

    async def answer(back: DirectActs, worker: str, command_id: str) -> str | None:
        await press_ctrl_c()
        return None

    monkeypatch.setattr(DirectActs, "answer", answer)
    heed_cancel(monkeypatch, "workers")
    result = call("workers", "quiet", "--all", "--url", url)
    assert (result.exit_code, result.stderr) == (130, "interrupted: told to quiet all the same: mailer.0\n")


def test_a_store_without_workers_says_how_to_start_one(url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    assert "corral worker APP" in call("workers", "list", "--url", url).stderr


@pytest.mark.parametrize(
    "words", [("queues", "list"), ("stats",), ("jobs", "list"), ("jobs", "clean"), ("schedules", "list")]
)
def test_a_store_that_is_not_there_is_unreachable_and_is_not_made(
    folder: Path, url: str, words: tuple[str, ...]
) -> None:
    result = call(*words, "--url", url)
    assert result.exit_code == 3
    assert "there is no store at sqlite:///" in result.stderr
    assert list(folder.iterdir()) == []


def test_a_file_that_is_no_store_is_unreachable_and_left_alone(folder: Path, url: str) -> None:
    (folder / "test.db").write_text("not a database, but a letter to my mother\n" * 50)
    before = (folder / "test.db").read_bytes()
    assert call("queues", "list", "--url", url).exit_code == 3
    assert (folder / "test.db").read_bytes() == before


@pytest.mark.parametrize("address", ["postgres://x", "corral.db", "sqlite:///x.db?sync=off"])
def test_a_url_that_cannot_be_meant_is_a_usage_error(address: str) -> None:
    assert call("queues", "list", "--url", address).exit_code == 2
