"""The demo, as people start it: a process of its own, on a folder of its own."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from corral import Event, EventType, Job, JobState, connect
from examples.demo.transport import BUSY, GONE
from examples.demo.watch import windows

# Two retries of a busy mailbox take 2 s and 4 s; nothing can make that shorter without making it untrue.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BURST = 30
#: Beside the burst: welcome, team update, reminder, busy mailbox, urgent; two reports and the kudos.
OTHER_MAILS = 8
#: Clean-up, check-in, kudos, calculation, Slack, report.
OTHER_JOBS = 6


class Played(NamedTuple):
    """A demo that has ended."""

    code: int
    lines: list[str]
    folder: Path


def command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "examples.demo", "teamspark", "--dir", str(folder), *more]


def environment(**more: str) -> dict[str, str]:
    return {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PATH": os.environ["PATH"], **more}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """`make demo ONCE=1` with a smaller burst, in an environment that means other things by it."""
    folder = tmp_path_factory.mktemp("demo")
    distracting = environment(REDIS_URL="redis://localhost:1", SMTP_HOST="localhost")
    run = subprocess.run(
        command(folder / "files", "--once", "--burst", str(BURST)),
        cwd=folder, env=distracting, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert run.stderr == ""
    return Played(run.returncode, run.stdout.splitlines(), folder)


def stored(folder: Path) -> tuple[list[Event], dict[str, Job]]:
    """The events and the jobs of `send-email`."""

    async def read() -> tuple[list[Event], dict[str, Job]]:
        async with connect(f"sqlite:///{folder}/files/demo.db") as storage:
            events, _ = await storage.events("send-email", after="", limit=100_000)
            page = await storage.page("send-email", tuple(JobState), limit=10_000)
            return events, {job.id: job for job in page.items}

    return asyncio.run(read())


def test_the_demo_ends_by_itself_and_its_last_line_says_what_became_of_every_job(played: Played) -> None:
    assert (
        played.lines[-1]
        == f"demo: {BURST + OTHER_MAILS + OTHER_JOBS} completed, 2 retried, 1 failed as intended, 0 lost"
    )
    assert played.code == 0


def test_every_mail_that_left_is_a_file(played: Played) -> None:
    assert len(list((played.folder / "files" / "mail").glob("*.eml"))) == BURST + OTHER_MAILS


def test_the_demo_writes_into_its_folder_only_whatever_the_environment_says(played: Played) -> None:
    assert [path.name for path in played.folder.iterdir()] == ["files"]


def starts(played: Played) -> Iterator[Event]:
    return (event for event in stored(played.folder)[0] if event.type is EventType.ACTIVE)


@pytest.mark.mission("M-TS-12")
def test_m_ts_12_ten_mails_a_second_are_started_and_no_more(played: Played) -> None:
    times = [event.at for event in starts(played)]
    assert (
        len(times) == BURST + OTHER_MAILS + 3
    )  # the busy mailbox takes three attempts, the one that is gone takes one
    assert max(windows(times)) == 10
    # A stretch of n seconds touches at most n + 1 windows: one burst more than the rate allows, never two.
    crowded = [
        (first, last)
        for i, first in enumerate(times)
        for j, last in enumerate(times[i:], start=i)
        if j - i + 1 > 10 * ((last - first) // 1000 + 2)
    ]
    assert crowded == []


@pytest.mark.mission("M-TS-21")
def test_m_ts_21_the_reminder_waits_for_its_time(played: Played) -> None:
    _, jobs = stored(played.folder)
    [reminder] = [job for job in jobs.values() if job.name == "reminder"]
    assert reminder.started_at is not None
    assert reminder.started_at - reminder.created_at >= 3_000


@pytest.mark.mission("M-TS-22")
def test_m_ts_22_the_urgent_mail_goes_before_a_burst_that_was_added_earlier(played: Played) -> None:
    order = [event.name for event in starts(played)]
    # What the worker took while all this was being added is ahead of it: a window's worth, or two on a busy machine.
    assert order.index("urgent") <= 20


@pytest.mark.mission("M-TS-44")
def test_m_ts_44_a_busy_mailbox_is_tried_again_after_two_and_four_seconds(played: Played) -> None:
    events, jobs = stored(played.folder)
    [busy] = [job for job in jobs.values() if BUSY in job.data]
    seen = [(event.type, event.at) for event in events if event.job_id == busy.id]
    failures = [at for kind, at in seen if kind is EventType.RETRYING]
    again = [at for kind, at in seen if kind is EventType.ACTIVE][1:]
    waits = [start - failure for failure, start in zip(failures, again, strict=True)]
    assert [waits[0] >= 2_000, waits[1] >= 4_000] == [True, True]
    assert (busy.state, busy.attempts_made) == (JobState.COMPLETED, 3)


def test_a_mailbox_that_is_gone_fails_the_job_at_once(played: Played) -> None:
    _, jobs = stored(played.folder)
    [gone] = [job for job in jobs.values() if GONE in job.data]
    assert (gone.state, gone.attempts_made) == (JobState.FAILED, 1)
    assert "550 no such mailbox" in (gone.failed_reason or "")


@pytest.mark.mission("M-TS-33", "M-TS-34")
def test_m_ts_32_33_34_the_log_has_the_lines_people_look_for(played: Played) -> None:
    log = (played.folder / "files" / "demo.log").read_text()
    stamp = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info: "
    assert re.search(stamp + r"Job added to queue queue=send-email job=welcome-email jobId=1$", log, re.MULTILINE)
    assert re.search(stamp + r"Processing email job jobId=1 to=user@example\.com$", log, re.MULTILINE)
    assert re.search(stamp + r"Email sent successfully jobId=1$", log, re.MULTILINE)


@pytest.mark.parametrize(("number", "once", "code"), [(signal.SIGINT, (), 0), (signal.SIGTERM, ("--once",), 130)])
def test_a_demo_that_is_stopped_ends_gracefully_and_loses_nothing(
    tmp_path: Path, number: signal.Signals, once: tuple[str, ...], code: int
) -> None:
    arguments = command(tmp_path / "files", "--burst", "60", *once)
    with subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        before = next(line for line in demo.stdout if "starts/s" in line)
        demo.send_signal(number)
        lines = demo.stdout.read().splitlines()
    assert demo.returncode == code
    assert "send-email: " in before
    assert lines[-1].endswith("1 failed as intended, 0 lost")
    states = [job.state for job in stored(tmp_path)[1].values()]
    assert JobState.ACTIVE not in states
    left = states.count(JobState.WAITING) + states.count(JobState.DELAYED)
    assert lines[-2] == f"{left} jobs are still in the store: the next run goes on with them"
    assert left >= 20
