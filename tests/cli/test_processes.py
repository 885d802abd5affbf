"""Several worker processes, M-TS-19, and the parent that looks after them."""

import json
import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from corral.cli.supervise import ECHO, how, normal
from corral.job import NewJob

from .helpers import MAILER, READY, Command, put, told
from .test_worker import MAIL, hold, the

pytestmark = pytest.mark.slow  # each test starts several interpreters

JOBS = 200


def writing(folder: Path) -> list[NewJob]:
    """Jobs that each leave a line in a file."""
    file = str(folder / "lines")
    return [
        NewJob(queue=MAIL, name="append", data=json.dumps({"file": file, "line": str(number)}))
        for number in range(JOBS)
    ]


def check(folder: Path) -> None:
    """Every job has run, and none twice."""
    lines = (folder / "lines").read_text().splitlines()
    assert sorted(map(int, lines)) == list(range(JOBS))


def two(url: str, folder: Path, *words: str, env: dict[str, str] | None = None) -> Command:
    return Command("worker", MAILER, "--url", url, "--processes", "2", *words, cwd=folder, env=env)


def ready(command: Command) -> None:
    """Wait until both children run."""
    command.line(READY)
    command.line(READY)


def children(url: str) -> dict[str, int]:
    """The living workers' names and process numbers."""
    return {str(row["name"]): int(str(row["pid"])) for row in told("workers", "list", "--url", url)}


@pytest.mark.mission("M-TS-19")
def test_m_ts_19_processes_of_one_parent_share_a_queue_and_run_no_job_twice(folder: Path, url: str) -> None:
    put(url, *writing(folder))
    with two(url, folder, "--burst", "--name", "mailer") as worker:
        assert worker.end() == 0
    check(folder)
    stopped = {line.split("worker=")[1].split()[0] for line in worker.lines if "worker stopped" in line}
    assert stopped == {"mailer.0", "mailer.1"}


@pytest.mark.mission("M-TS-19")
def test_m_ts_19_instances_of_a_process_manager_share_a_queue_and_run_no_job_twice(folder: Path, url: str) -> None:
    put(url, *writing(folder))
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                Command("worker", MAILER, "--url", url, "--burst", cwd=folder, env={"NODE_APP_INSTANCE": str(number)})
            )
            for number in range(3)
        ]
        assert [worker.end() for worker in workers] == [0, 0, 0]
    check(folder)


def test_sigterm_to_the_parent_stops_every_child_well(folder: Path, url: str) -> None:
    with two(url, folder) as worker:
        ready(worker)
        assert set(children(url)) == {"teamspark.0", "teamspark.1"}
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    assert sum("worker stopped" in line for line in worker.lines) == 2


def test_ctrl_c_reaches_the_whole_group_and_still_counts_once(folder: Path, url: str) -> None:
    with two(url, folder) as worker:
        ready(worker)
        [job_id] = put(url, hold(folder))
        worker.line("holding now")
        os.killpg(worker.process.pid, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):  # it waits for the job
            worker.process.wait(4 * ECHO)
        (folder / "go").touch()
        assert worker.end() == 0
    assert the(url, job_id).state == "completed"


def test_a_second_sigterm_to_the_parent_hands_jobs_back(folder: Path, url: str) -> None:
    with two(url, folder) as worker:
        ready(worker)
        [job_id] = put(url, hold(folder))
        worker.line("holding now")
        worker.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.process.wait(2 * ECHO)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 9
    assert the(url, job_id).state == "waiting"


def test_the_parent_passes_on_what_signals_ask(folder: Path, url: str) -> None:
    with two(url, folder) as worker:
        ready(worker)
        worker.signal(signal.SIGUSR2)
        worker.line("where the worker is")
        worker.signal(signal.SIGTSTP)
        worker.line("worker takes no more jobs")
        worker.line("worker takes no more jobs")
        [job_id] = put(url, hold(folder))
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    assert the(url, job_id).state == "waiting"


def test_the_worst_exit_code_of_the_children_is_the_parents(folder: Path, url: str) -> None:
    with two(url, folder, "--shutdown-timeout", "100ms") as worker:
        ready(worker)
        put(url, hold(folder))
        worker.line("holding now")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 9
    handed_back = sorted(line.split("handed_back=")[1] for line in worker.lines if "handed_back=" in line)
    assert handed_back == ["0", "1"]


def test_a_crashed_child_is_replaced(folder: Path, url: str) -> None:
    with two(url, folder) as worker:
        ready(worker)
        before = children(url)
        os.kill(before["teamspark.1"], signal.SIGKILL)
        worker.line("worker 1 was killed by SIGKILL; another one takes its place in 1 s")
        worker.line(READY)
        assert children(url)["teamspark.0"] == before["teamspark.0"]
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


def test_children_stop_well_when_their_parent_is_killed(folder: Path, url: str) -> None:
    with two(url, folder) as worker:
        ready(worker)
        worker.signal(signal.SIGKILL)
        assert worker.end() == -signal.SIGKILL  # and all output has ended: nobody holds the pipe any more
    assert sum("worker stopped" in line for line in worker.lines) == 2


@pytest.mark.mission("M-TS-16")
def test_m_ts_16_what_cannot_start_is_not_started_again_and_again(folder: Path, url: str) -> None:
    with Command("worker", "tests.cli.apps.broken", "--processes", "2", "--url", url, cwd=folder) as worker:
        assert worker.end() == 2
    assert sum("KeyError: 'url'" in line for line in worker.lines if line.startswith("Error")) <= 2


def test_a_store_in_memory_cannot_be_shared(folder: Path) -> None:
    with two("sqlite:///:memory:", folder) as worker:
        assert worker.end() == 2
    assert any("lives in one process" in line for line in worker.lines)


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, "ended with exit code 1"), (-9, "was killed by SIGKILL"), (255, "ended with exit code 255")],
)  # fmt: skip
def test_how_a_child_ended_is_said_in_words(code: int, words: str) -> None:
    assert how(normal(code)) == words
