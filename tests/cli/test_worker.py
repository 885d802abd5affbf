"""`corral worker` as its supervisors see it: a real process, its lines, its signals, its exit codes."""

import json
import signal
import sys
from pathlib import Path

import pytest

from corral.job import Job, NewJob
from corral.options import Keep
from corral.storage.port import QueueInfo, Storage
from tests.redis_server import RedisServer

from .helpers import HOUR, MAILER, READY, Command, call, finish, put, told, with_store

pytestmark = pytest.mark.slow  # each test starts an interpreter

MAIL = "send-email"


def mail(name: str = "welcome-email", **data: object) -> NewJob:
    return NewJob(queue=MAIL, name=name, data=json.dumps(data))


def hold(folder: Path) -> NewJob:
    """A job that says so when it runs, and runs until the file `go` exists."""
    return mail("hold", until=str(folder / "go"))


def the(url: str, job_id: str, queue: str = MAIL) -> Job:
    async def work(storage: Storage) -> Job | None:
        [job] = await storage.get(queue, [job_id])
        return job

    job = with_store(url, work)
    assert job is not None
    return job


@pytest.mark.mission("M-TS-15", "M-BI-49")
def test_m_ts_15_a_worker_says_what_it_serves_and_runs_its_jobs(folder: Path, url: str) -> None:
    [job_id] = put(url, mail(to="user@example.com"))
    with Command("worker", MAILER, "--url", url, "--log-format", "guide", cwd=folder) as worker:
        first = worker.line("corral ")
        assert first == f"corral 0.1.0 · sqlite @ {url} · python {sys.version.split()[0]}"
        worker.line(READY)
        banner = "\n".join(worker.lines)
        assert "  queue            slots  rate        handlers\n" in banner
        assert "  send-email           5  1000 / 1 s  welcome-email, failing, add-another, append, hold\n" in banner
        assert "  generate-report      2  –           weekly, computed\n" in banner
        assert "  schedules 2 · pid " in banner
        worker.line("Email sent successfully")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    assert the(url, job_id).result == '{"sentTo":"user@example.com"}'


@pytest.mark.mission("M-TS-32", "M-TS-33", "M-TS-34")
def test_m_ts_32_33_34_a_workers_lines_are_the_guides(folder: Path, url: str) -> None:
    put(url, mail("add-another"))
    with Command("worker", MAILER, "--url", url, "--burst", "--log-format", "guide", cwd=folder) as worker:
        assert worker.end() == 0
    said = [line.partition(" info: ")[2] for line in worker.lines]
    at = said.index("Job added to queue queue=send-email jobId=2")
    assert said[at + 1 : at + 3] == [
        "Processing email job jobId=2 to=second@example.com", "Email sent successfully jobId=2",
    ]  # fmt: skip


@pytest.mark.mission("M-TS-16")
def test_m_ts_16_sigterm_lets_the_running_job_finish_and_exits_0(folder: Path, url: str) -> None:
    [job_id] = put(url, hold(folder))
    with Command("worker", MAILER, "--url", url, cwd=folder) as worker:
        worker.line("holding now")
        worker.signal(signal.SIGTERM)
        worker.line("worker stopping")
        assert the(url, job_id).state == "active"
        (folder / "go").touch()
        assert worker.end() == 0
    assert the(url, job_id).state == "completed"


@pytest.mark.mission("M-TS-16")
def test_m_ts_16_a_second_sigterm_hands_the_job_back_and_exits_9(folder: Path, url: str) -> None:
    [job_id] = put(url, hold(folder))
    with Command("worker", MAILER, "--url", url, cwd=folder) as worker:
        worker.line("holding now")
        worker.signal(signal.SIGTERM)
        worker.line("worker stopping")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 9
    job = the(url, job_id)
    assert (job.state, job.attempts_made) == ("waiting", 0)


def test_signals_let_a_worker_say_where_it_is_and_take_no_more_jobs(folder: Path, url: str) -> None:
    with Command("worker", MAILER, "--url", url, cwd=folder) as worker:
        worker.line(READY)
        worker.signal(signal.SIGHUP)
        worker.signal(signal.SIGUSR2)
        worker.line("task corral-fetch-send-email")
        worker.signal(signal.SIGUSR1)
        worker.line("worker takes no more jobs")
        [job_id] = put(url, mail(to="user@example.com"))
        worker.signal(signal.SIGTTIN)
        worker.line("thread MainThread")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    assert the(url, job_id).state == "waiting"


def test_a_job_that_outlasts_the_time_to_stop_is_handed_back(folder: Path, url: str) -> None:
    [job_id] = put(url, hold(folder))
    with Command("worker", MAILER, "--url", url, "--shutdown-timeout", "200ms", cwd=folder) as worker:
        worker.line("holding now")
        worker.signal(signal.SIGINT)
        assert worker.end() == 9
    assert the(url, job_id).state == "waiting"


def test_whoever_adds_a_job_can_wait_for_its_result(folder: Path, url: str) -> None:
    with Command("worker", MAILER, "--url", url, cwd=folder) as worker:
        worker.line(READY)
        words = ("add", MAIL, "welcome-email", "to=user@example.com", "--wait", "--exit-status", "--url", url)
        [done] = told(*words)
        assert (done["state"], done["result"]) == ("completed", {"sentTo": "user@example.com"})
        failed = call("add", MAIL, "failing", "--wait", "--url", url)
        assert (failed.exit_code, "RuntimeError: 550 no such mailbox" in failed.stdout) == (0, True)
        assert call("add", MAIL, "failing", "--wait", "--exit-status", "--url", url).exit_code == 8
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


def test_a_burst_does_what_there_is_and_exits_0(folder: Path, url: str) -> None:
    jobs = put(url, *[mail(to=f"user{number}@example.com") for number in range(20)])
    with Command("worker", MAILER, "--url", url, "--burst", cwd=folder) as worker:
        assert worker.end() == 0
    assert {the(url, job_id).state for job_id in jobs} == {"completed"}


def test_only_the_named_queues_are_served_with_their_slots(folder: Path, url: str) -> None:
    put(url, mail(to="a@example.com"), NewJob(queue="generate-report", name="weekly"))
    with Command("worker", MAILER, "-Q", f"{MAIL}=3", "-c", "9", "--url", url, "--burst", cwd=folder) as worker:
        assert worker.end() == 0
    assert "  send-email      3  " in "\n".join(worker.lines)
    waiting = {row["queue"]: row["waiting"] for row in told("queues", "list", "--url", url)}
    assert waiting == {MAIL: 0, "generate-report": 1}


def test_all_queues_are_served_with_slots_set_for_some(folder: Path, url: str) -> None:
    environment = {"CORRAL_QUEUES": MAIL, "CORRAL_URL": url}
    with Command("worker", MAILER, "--all", "--set", f"{MAIL}=4", "--burst", cwd=folder, env=environment) as worker:
        assert worker.end() == 0
    slots = {line.split()[0]: line.split()[1] for line in worker.lines if line.startswith(("  send-", "  generate-"))}
    assert slots == {MAIL: "4", "generate-report": "2"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("-Q", "generate-report", "--set", f"{MAIL}=4"), "which --queues does not name"),
        (("--set", "send-mail=4"), "send-email"),
        (("--set", MAIL), "has no number of slots"),
        (("--all", "-Q", MAIL), "say one of them"),
    ],
)
def test_slots_that_cannot_be_meant_are_refused(url: str, words: tuple[str, ...], complaint: str) -> None:
    result = call("worker", MAILER, "--url", url, "--burst", *words)
    assert result.exit_code in (2, 4), result.output
    assert complaint in result.output


@pytest.mark.mission("M-TS-56")
def test_m_ts_56_worker_concurrency_sets_the_slots(folder: Path, url: str) -> None:
    environment = {"WORKER_CONCURRENCY": "7", "CORRAL_URL": url}
    with Command("worker", MAILER, "--burst", cwd=folder, env=environment) as worker:
        assert worker.end() == 0
    slots = [line.split()[1] for line in worker.lines if line.startswith(("  send-email", "  generate-report"))]
    assert slots == ["7", "7"]


@pytest.mark.mission("M-TS-57")
def test_m_ts_57_job_retention_hours_holds_for_finished_jobs_of_a_worker(folder: Path, url: str) -> None:
    put(url, mail(to="a@example.com"))
    finish(url, MAIL, 1, ago=3 * HOUR)
    environment = {"JOB_RETENTION_HOURS": "2"}
    with Command("worker", MAILER, "--url", url, "--burst", cwd=folder, env=environment) as worker:
        assert worker.end() == 0
    assert told("queues", "show", MAIL, "--url", url)[0]["completed"] == 1, "the older one went when the new one ended"

    async def stored(storage: Storage) -> list[QueueInfo]:
        return await storage.queues()

    [info] = [one for one in with_store(url, stored) if one.name == MAIL]
    assert (info.keep_completed, info.keep_failed) == (Keep(age=7_200, count=1_000), Keep(age=7_200, count=5_000))


def test_a_worker_stops_after_so_many_jobs(folder: Path, url: str) -> None:
    put(url, *[mail(to="a@example.com")] * 3)
    with Command("worker", MAILER, "--url", url, "--max-jobs", "2", cwd=folder) as worker:
        assert worker.end() == 0
    assert int(str(told("queues", "show", MAIL, "--url", url)[0]["completed_total"])) >= 2


def test_a_worker_stops_after_so_long(folder: Path, url: str) -> None:
    with Command("worker", MAILER, "--url", url, "--max-time", "100ms", cwd=folder) as worker:
        worker.line(READY)
        assert worker.end() == 0


def test_without_the_scheduler_no_schedule_is_stored(folder: Path, url: str) -> None:
    with Command("worker", MAILER, "--url", url, "--burst", "--no-scheduler", cwd=folder) as worker:
        assert worker.end() == 0
    assert told("schedules", "list", "--url", url) == []


def test_json_logs_are_json_from_the_first_line_to_the_last(folder: Path, url: str) -> None:
    put(url, mail(to="user@example.com"), mail("failing"))
    environment = {"CORRAL_LOG_FORMAT": "json", "NODE_ENV": "production"}
    with Command("worker", MAILER, "--url", url, "--burst", cwd=folder, env=environment) as worker:
        assert worker.end() == 0
    entries = [json.loads(line) for line in worker.lines]
    assert [entry["event"] for entry in entries if entry.get("event", "").startswith("worker.")] == [
        "worker.started", "worker.ready", "worker.stopping", "worker.stopped",
    ]  # fmt: skip
    assert {entry["env"] for entry in entries} == {"production"}
    [failed] = [entry for entry in entries if entry["msg"] == "Job failed"]
    assert (failed["level"], failed["job"], failed["job_id"]) == ("error", "failing", "2")
    assert failed["error"] == "RuntimeError: 550 no such mailbox"
    [sent] = [entry for entry in entries if entry["msg"] == "Email sent successfully"]
    assert (sent["logger"], sent["queue"], sent["job_id"]) == ("teamspark", MAIL, "1")


def test_whatever_level_is_logged_the_worker_says_that_it_runs(folder: Path, url: str) -> None:
    put(url, mail(to="user@example.com"))
    with Command("worker", MAILER, "--url", url, "--burst", "--log-level", "error", cwd=folder) as worker:
        assert worker.end() == 0
    assert worker.lines[-1] == READY


@pytest.mark.slow  # it waits for a server that is not there
@pytest.mark.mission("M-BI-37")
def test_a_worker_that_starts_before_its_redis_goes_on_trying(folder: Path) -> None:
    with RedisServer() as redis:
        redis.kill()
        with Command("worker", MAILER, "--url", f"{redis.url}?timeout=0.5", cwd=folder) as worker:
            assert str(redis.port) in worker.line("the worker goes on trying")
            worker.line("the worker goes on trying")
            redis.start()
            worker.line(READY)
            worker.signal(signal.SIGTERM)
            assert worker.end() == 0


@pytest.mark.mission("M-TS-19")
def test_m_ts_19_an_instance_is_named_after_its_number(folder: Path, url: str) -> None:
    environment = {"NODE_APP_INSTANCE": "2"}
    with Command("worker", MAILER, "--url", url, "--burst", "--name", "mailer", cwd=folder, env=environment) as worker:
        assert worker.end() == 0
    assert any(line.endswith("· mailer.2") for line in worker.lines)


def test_an_application_on_another_store_is_warned_about(folder: Path, url: str) -> None:
    with Command("worker", "tests.cli.apps.named_store", "--url", url, "--burst", cwd=folder) as worker:
        warning = worker.line(" warn: ")
        assert "the application names sqlite:///own.db" in warning
        assert worker.end() == 0
    assert not (folder / "own.db").exists()


def test_an_applications_own_store_is_used(folder: Path) -> None:
    with Command("worker", "tests.cli.apps.named_store", "--burst", cwd=folder) as worker:
        assert worker.end() == 0
    assert (folder / "own.db").exists()
    assert not any(" warn: " in line for line in worker.lines)


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("tests.cli.apps.broken",), 2, "KeyError"),
        ((MAILER, "--burst", "--url", "redis://127.0.0.1:1/0?timeout=0.2"), 3, "no Redis server could be reached"),
        ((MAILER, "--url", "redis://127.0.0.1:1/0?tiemout=1"), 2, "did you mean 'timeout'"),
        ((MAILER, "--url", "sqlite:////proc/nowhere/x.db"), 3, "Error: "),
    ],
)
@pytest.mark.mission("M-TS-16")
def test_m_ts_16_a_fatal_error_ends_the_worker_with_its_code(
    folder: Path, words: tuple[str, ...], code: int, complaint: str
) -> None:
    with Command("worker", *words, cwd=folder) as worker:
        assert worker.end() == code
    assert complaint in "\n".join(worker.lines)


def test_development_has_a_store_of_its_own_that_git_does_not_see(folder: Path) -> None:
    with Command("dev", MAILER, "--no-reload", "--burst", "--port", "0", cwd=folder) as worker:
        assert worker.end() == 0
    assert any("corral --url sqlite:///.corral/dev.db add QUEUE NAME" in line for line in worker.lines)
    assert (folder / ".corral" / "dev.db").exists()
    assert (folder / ".corral" / ".gitignore").read_text() == "*\n"


@pytest.mark.mission("M-TS-58")
def test_m_ts_58_there_is_no_development_in_production(folder: Path) -> None:
    with Command("dev", MAILER, cwd=folder, env={"NODE_ENV": "production"}) as worker:
        assert worker.end() == 2
    assert list(folder.iterdir()) == []
