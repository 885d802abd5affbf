"""What the fault tests share: processes that a test starts, hurts and ends, and small file systems."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from corral.job import Job
from corral.storage.connect import connect
from corral.storage.port import Storage
from tests.faults.forks import lines
from tests.faults.scripts import url_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0

#: Mounting a file system is the one thing here that an ordinary user may not do.
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which only root may do")


class Script:
    """A running script of `scripts.py`. It is killed at the end of its `with` block, whatever happened."""

    def __init__(self, name: str, folder: Path, *words: object) -> None:
        self._errors = (folder / f"{name}-errors").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.scripts", name, str(folder), *map(str, words)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            assert stream is not None
            stream.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready(self) -> Self:
        """Wait until it is at work."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", Path(self._errors.name).read_text()
        return self

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def rest(self) -> list[str]:
        """Wait for its end; the lines it printed since it was ready."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        output = self.process.stdout.read()  # not communicate(): it would miss what was read ahead with "ready"
        assert self.process.wait(PATIENCE) == 0, Path(self._errors.name).read_text()
        return output.splitlines()


def effects(folder: Path) -> list[tuple[str, int, int]]:
    """What handlers did: (job id, fence, pid)."""
    return [
        (job_id, int(fence), int(pid)) for job_id, fence, pid in (line.split() for line in lines(folder / "effects"))
    ]


async def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> float:
    """Wait for something in other processes; answers how long it took. Raises: AssertionError when it never comes."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def finished(folder: Path, jobs: int, seconds: float = 20.0) -> float:
    """Wait until so many jobs of the store have been completed."""
    began = time.monotonic()
    async with connect(url_of(folder)) as storage:
        while (counts := (await storage.counts(["work"]))[0]).completed_total < jobs:
            assert time.monotonic() - began < seconds, f"not within {seconds} s: {counts}"
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def job_of(storage: Storage, job_id: str) -> Job:
    """The job as it stands."""
    job = (await storage.get("work", [job_id]))[0]
    assert job is not None
    return job


def torture(*words: object) -> dict[str, object]:
    """Run a torture in a process of its own (it forks, and pytest has threads); its summary."""
    command = [sys.executable, "-m", *map(str, words)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert answer.stdout, answer.stderr
    tally: dict[str, object] = json.loads(answer.stdout)
    assert answer.returncode == 0, tally
    return tally


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes, in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)  # lazy: a failed test may leave a file open


def make_read_only(disk: Path) -> None:
    """Forbid all writing to a mounted file system."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


def fill(disk: Path) -> Path:
    """Take what room is left; the file that holds it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return ballast
