"""What the tests of the command line say again and again."""

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pytest
from click.testing import CliRunner, Result

from corral.cli.backend.port import Backend
from corral.cli.main import corral
from corral.cli.session import ask
from corral.job import JobId, NewJob
from corral.outcome import Completed, Failed, Outcome
from corral.storage.connect import connect
from corral.storage.port import Claim, Settlement, Storage, Token
from corral.timing import Millis, now_ms

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
MAILER = "tests.cli.apps.mailer"
HOUR: Millis = 3_600_000
READY = "Queue Worker is now running. Ctrl-C to stop."
#: Generous, because the machine may be busy: a test that needs this long has failed anyway.
PATIENCE = 30.0


def call(*words: str, typed: str | None = None) -> Result:
    """Call the command line in this process."""
    return CliRunner().invoke(corral, list(words), input=typed, catch_exceptions=False)


def succeed(*words: str, typed: str | None = None) -> str:
    """Call the command line, which must end with 0; gives what it printed."""
    result = call(*words, typed=typed)
    assert result.exit_code == 0, result.output
    return result.stdout


def told(*words: str) -> list[dict[str, object]]:
    """What a command prints as NDJSON."""
    return [json.loads(line) for line in succeed(*words, "-o", "ndjson").splitlines()]


def with_store(url: str, work: Callable[[Storage], Awaitable[T]]) -> T:
    """Do something with the store behind the command line's back."""

    async def run() -> T:
        async with connect(url) as storage:
            return await work(storage)

    return asyncio.run(run())


def put(url: str, *jobs: NewJob) -> list[JobId]:
    """Add jobs."""

    async def work(storage: Storage) -> list[JobId]:
        return [added.id for added in await storage.add(jobs)]

    return with_store(url, work)


def finish(
    url: str, queue: str, count: int, outcome: Outcome | None = None, *, ago: Millis = 0, waited: Millis = 0,
    ran: Millis = 0,
) -> list[JobId]:  # fmt: skip
    """Have jobs that ended `ago`, after they waited and ran for so long."""
    ended = now_ms() - ago
    verdict = Completed() if outcome is None else outcome

    async def work(storage: Storage) -> list[JobId]:
        token = Token(f"{queue}-{ended}-{verdict}")
        await storage.add([NewJob(queue=queue, name="seeded")] * count, now=ended - ran - waited)
        claim = Claim(count=count, token=token, lease_ms=ran + HOUR)
        jobs = (await storage.claim(queue, claim, now=ended - ran)).jobs
        settlements = [Settlement(job_id=job.id, token=token, outcome=verdict) for job in jobs]
        settled = await storage.settle(queue, settlements, now=ended)
        assert not settled.refused
        return [job.id for job in jobs]

    return with_store(url, work)


FAILED = Failed("RuntimeError: 550 no such mailbox")


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a process that is to find this corral and these tests, wherever it stands."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **more}


def heed_cancel(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Let a command of this module whose task is cancelled end as it does on Ctrl-C, which no test can press."""

    def asked(work: Callable[[Backend], Awaitable[T]]) -> T:
        try:
            return ask(work)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(f"corral.cli.{module}.ask", asked)


async def press_ctrl_c() -> None:
    """Cancel the task that runs, as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


class Command:
    """A command in a process of its own, whose lines can be waited for. Ends with the test."""

    def __init__(self, *words: str, cwd: Path, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "corral.cli", *words],
            cwd=cwd,
            env=surroundings(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a signal to the group must not reach the tests
        )
        self.lines: list[str] = []
        self._coming: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._coming.put(line.rstrip("\n"))
        self._coming.put(None)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def line(self, part: str) -> str:
        """The next line with this in it; every line before it is read over."""
        while True:
            line = self._coming.get(timeout=PATIENCE)
            assert line is not None, f"ended without a line with {part!r}:\n" + "\n".join(self.lines)
            self.lines.append(line)
            if part in line:
                return line

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; gives the exit code. All lines are read then."""
        code = self.process.wait(PATIENCE)
        while (line := self._coming.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        return code


def columns(text: str) -> list[Sequence[str]]:
    """The cells of tab-separated output."""
    return [line.split("\t") for line in text.splitlines()]
