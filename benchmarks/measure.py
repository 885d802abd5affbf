"""What all sides of a comparison share: clocks, percentiles, files, and worker processes that start on a word.

The drivers of the Python peers import this inside their own environments: the standard library only.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Numbers: TypeAlias = dict[str, float]

#: How long one worker process may take for its share before the run is given up.
PATIENCE_SECONDS = 600.0


def cpu_seconds() -> float:
    """Processor time of this process so far, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def server_seconds(pid: int) -> float:
    """Processor time of a server with all threads and of the processes it started. 0 without a server.

    From the scheduler's own books, in nanoseconds: `/proc/PID/stat` counts in hundredths of a second, which is half of
    what a Redis needs for 1,000 jobs.
    """
    if not pid:
        return 0.0
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    books = [book for process in (str(pid), *children) for book in Path(f"/proc/{process}/task").glob("*/schedstat")]
    return sum(int(book.read_text().split()[0]) for book in books) / 1e9


@dataclass
class Stopwatch:
    """Wall and processor time since it was made; that of the server too, when there is one."""

    server: int = 0  #: its process id
    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=cpu_seconds)
    served: float = 0.0

    def __post_init__(self) -> None:
        self.served = server_seconds(self.server)

    def rates(self, jobs: int) -> Numbers:
        """Jobs per second, and processor microseconds per job."""
        wall = time.perf_counter() - self.wall
        cpu = cpu_seconds() - self.cpu
        figures = {"per_second": jobs / wall, "cpu_us": cpu / jobs * 1e6}
        if self.server:
            figures["server_us"] = (server_seconds(self.server) - self.served) / jobs * 1e6
        return figures


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def delays(late: Sequence[float]) -> Numbers:
    """Percentiles of what was noted, without the first tenth: imports and cold caches."""
    warm = late[len(late) // 10 :]
    return {"p50": percentile(warm, 0.5), "p95": percentile(warm, 0.95), "p99": percentile(warm, 0.99)}


def size_of(path: Path) -> int:
    """Bytes of a database with whatever journal lies beside it."""
    return sum(part.stat().st_size for part in path.parent.glob(path.name + "*"))


def check_effects(seen: Sequence[int], jobs: int) -> None:
    """Every job ran exactly once. Raises: SystemExit when a figure would be worth nothing."""
    if len(seen) != jobs or set(seen) != set(range(jobs)):
        raise SystemExit(f"{jobs} jobs were added and {len(seen)} ran ({len(set(seen))} of them different)")


# -- worker processes --------------------------------------------------------------------------------------------------


def await_word() -> None:
    """In a worker process: say that everything is imported and open, and wait for the start."""
    print("ready", flush=True)
    sys.stdin.readline()


def report_share(
    seen: Sequence[int], ended: float, cpu: float, folder: str, *, served: float = 0.0, late: Sequence[float] = ()
) -> None:
    """In a worker process: what it ran goes to a file; when it ended, and the clocks' state then, to the parent."""
    Path(folder, f"seen-{os.getpid()}").write_text(json.dumps(list(seen)))
    share = {"ended": ended, "cpu": cpu, "served": served}
    print(json.dumps({**share, **delays(late)} if late else share), flush=True)


def drain_with(
    commands: Sequence[Sequence[str]], folder: str, jobs: int, *, server: int = 0,
    environment: Mapping[str, str] | None = None, meanwhile: Sequence[str] | None = None,
) -> Numbers:  # fmt: skip
    """Start worker processes, let them drain the queue together, and check that each job ran exactly once.

    `meanwhile` is a command that adds the jobs while they work; else they were added before.
    """
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for command in commands
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            if worker.stdout.readline() != "ready\n":
                raise SystemExit("a worker process did not start")
        served = server_seconds(server)
        began = time.monotonic()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        if meanwhile is not None:
            subprocess.run(meanwhile, stdout=subprocess.DEVNULL, env=environment, check=True, timeout=PATIENCE_SECONDS)
        answers = [worker.communicate(timeout=PATIENCE_SECONDS)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    if any(worker.returncode or not answer for worker, answer in zip(workers, answers, strict=True)):
        raise SystemExit("a worker process ended without an answer")
    shares = [json.loads(answer.splitlines()[-1]) for answer in answers]
    seen = [number for file in Path(folder).glob("seen-*") for number in json.loads(file.read_text())]
    check_effects(seen, jobs)
    wall = max(share.pop("ended") for share in shares) - began
    figures = {"per_second": jobs / wall, "cpu_us": sum(share.pop("cpu") for share in shares) / jobs * 1e6}
    after = max(share.pop("served") for share in shares)
    if server:
        figures["server_us"] = (after - served) / jobs * 1e6
    return {**figures, **shares[0]}  # what is left are percentiles
