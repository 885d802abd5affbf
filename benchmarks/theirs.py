"""huey's side, at its defaults: SqliteHuey in WAL mode with SQLite's default `synchronous`, which is FULL."""

import os
import time
from pathlib import Path

from huey import SqliteHuey

from benchmarks.case import command
from benchmarks.measure import (
    Numbers,
    Stopwatch,
    await_word,
    cpu_seconds,
    drain_with,
    percentile,
    report_share,
    size_of,
)

#: A consumer has no way to say that it is done: it is when nothing ran for this many looks in a row.
QUIET_LOOKS, LOOK_SECONDS = 100, 0.005


class Bench:
    """A huey with one task that only counts."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder, "huey.db")
        self.huey = SqliteHuey(filename=str(self.path))
        self.seen: list[int] = []
        self.late: list[float] = []
        self.count = self.huey.task(name="count")(self.seen.append)
        self.empty = self.huey.task(name="empty")(lambda: None)
        self.timed = self.huey.task(name="timed")(self._note)

    def _note(self, number: int, at: int) -> None:
        self.late.append((time.monotonic_ns() - at) / 1e6)
        self.seen.append(number)

    def fill(self, jobs: int) -> None:
        """Put the rows there that `jobs` calls would, but in one transaction: filling is not what is measured."""
        storage = self.huey.storage
        rows = [(storage.name, memoryview(self.huey.serialize_task(self.count.s(number))), 0) for number in range(jobs)]
        with storage.db(commit=True) as cursor:
            cursor.executemany("insert into task (queue, data, priority) values (?, ?, ?)", rows)


def drain(folder: str, jobs: int, workers: int, processes: int = 1) -> Numbers:
    """Fill the queue, then let consumers empty it."""
    bench = Bench(folder)
    bench.fill(jobs)
    bench.huey.storage.close()
    share = command("theirs", "share", {"folder": folder, "workers": workers})
    return drain_with([share] * processes, folder, jobs)


def share(folder: str, workers: int) -> Numbers:
    """One consumer process of a drain. A task leaves huey's queue before it runs, so the last run is the end."""
    bench = Bench(folder)
    consumer = bench.huey.create_consumer(workers=workers, periodic=False)
    await_word()
    cpu = cpu_seconds()
    consumer.start()
    spent, ended, quiet, ran = 0.0, 0.0, 0, -1
    while quiet < QUIET_LOOKS:
        if len(bench.seen) != ran:
            ran, ended, spent, quiet = len(bench.seen), time.monotonic(), cpu_seconds() - cpu, 0
        else:
            quiet += 1
        time.sleep(LOOK_SECONDS)
    report_share(bench.seen, ended, spent, folder)
    os._exit(0)  # its threads would poll on


def add_one(folder: str, jobs: int) -> Numbers:
    """One caller, one task at a time, each on the disk before the next. It has no other way to add."""
    bench = Bench(folder)
    watch = Stopwatch()
    for number in range(jobs):
        bench.count(number)
    rates = watch.rates(jobs)
    if bench.huey.storage.queue_size() != jobs:
        raise SystemExit("tasks are missing")
    return rates


def bytes_per_job(folder: str, jobs: int) -> Numbers:
    """How much the file grows per waiting task without arguments."""
    bench = Bench(folder)
    bench.huey.storage.close()
    empty = size_of(bench.path)
    data = [(bench.huey.name, memoryview(bench.huey.serialize_task(bench.empty.s())), 0) for _ in range(jobs)]
    with bench.huey.storage.db(commit=True) as cursor:
        cursor.executemany("insert into task (queue, data, priority) values (?, ?, ?)", data)
    bench.huey.storage.close()
    return {"bytes": (size_of(bench.path) - empty) / jobs}


def latency(folder: str, jobs: int, gap: float) -> Numbers:
    """From the call of the task to its first line, producer and idle consumer in one process."""
    bench = Bench(folder)
    consumer = bench.huey.create_consumer(workers=1, periodic=False)
    consumer.start()
    for number in range(jobs):
        bench.timed(number, time.monotonic_ns())
        time.sleep(gap)
    while len(bench.seen) < jobs:
        time.sleep(0.01)
    late = bench.late[jobs // 10 :]
    return {"p50": percentile(late, 0.5), "p99": percentile(late, 0.99)}
