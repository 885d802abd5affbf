"""What both sides of a comparison share: clocks, percentiles, files, and worker processes that start on a word."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
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


@dataclass
class Stopwatch:
    """Wall and processor time since it was made."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=cpu_seconds)

    def rates(self, jobs: int) -> Numbers:
        """Jobs per second, and processor microseconds per job."""
        wall = time.perf_counter() - self.wall
        return {"per_second": jobs / wall, "cpu_us": (cpu_seconds() - self.cpu) / jobs * 1e6}


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


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


def report_share(seen: Sequence[int], ended: float, cpu: float, folder: str) -> None:
    """In a worker process: what it ran goes to a file, when it ended to the parent."""
    Path(folder, f"seen-{os.getpid()}").write_text(json.dumps(list(seen)))
    print(json.dumps({"ended": ended, "cpu": cpu}), flush=True)


def drain_with(commands: Sequence[Sequence[str]], folder: str, jobs: int) -> Numbers:
    """Start worker processes, let them drain the queue together, and check that each job ran exactly once."""
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in commands
    ]
    for worker in workers:
        assert worker.stdout is not None
        if worker.stdout.readline() != "ready\n":
            raise SystemExit("a worker process did not start")
    began = time.monotonic()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    shares = [json.loads(worker.communicate(timeout=PATIENCE_SECONDS)[0]) for worker in workers]
    seen = [number for file in Path(folder).glob("seen-*") for number in json.loads(file.read_text())]
    check_effects(seen, jobs)
    wall = max(share["ended"] for share in shares) - began
    return {"per_second": jobs / wall, "cpu_us": sum(share["cpu"] for share in shares) / jobs * 1e6}
