"""Restarts: the server goes away and comes back, again and again, while everybody works.

    python -m tests.faults.restarts --restarts 50 --seed 1

Every other time it is told to shut down, else it is killed. It writes every command to its disk before it answers
(`appendfsync always`), so whatever was acknowledged must be there afterwards, and the first job after it answers again
must be completed within three seconds. Prints one line of JSON; ends with 1 when an invariant was violated.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import crew
from tests.faults.actors import Scene
from tests.faults.forks import PATIENCE
from tests.faults.servers import DURABLE, ToughServer

#: Long enough that no restart ends a lease: every job must run once, then.
LEASE = 10.0
#: Seconds of work before each blow, and of absence after it: up to so many.
MOMENT = 0.5
AWAY = 1.0


@dataclass
class Tally(crew.Tally):
    """What happened. `resume_ms`: from the first answer to a ping until the next job was completed."""

    restarts: int = 0
    shutdowns: int = 0
    resume_ms: dict[str, float] = field(default_factory=dict)
    loading_ms: float = 0.0


class Restarts:
    """One server, one crew."""

    def __init__(self, server: ToughServer, folder: Path, tally: Tally, *, workers: int, slowest_ms: float) -> None:
        scene = Scene(folder, server=server.store, lease=LEASE, crafts=True)
        self._server = server
        self._crew = crew.Crew(scene, tally, workers=workers)
        self._tally = tally
        self._random = random.Random(tally.seed)
        self._slowest_ms = slowest_ms
        self._resumed: list[float] = []
        self._loading: list[float] = []

    def run(self, restarts: int) -> None:
        """Blow after blow, then the books."""
        with self._crew:
            self._run(restarts)

    def _run(self, restarts: int) -> None:
        began = time.monotonic()
        self._crew.start()
        self._crew.ready()
        for _ in range(restarts):
            self._one()
            if self._tally.violations:
                break
        self._crew.stop_producer()
        self._crew.drain()
        self._crew.stop_workers()
        self._crew.check()
        self._crew.close()
        self._tally.resume_ms = {
            "median": round(statistics.median(self._resumed), 1), "max": round(max(self._resumed), 1),
        }  # fmt: skip
        self._tally.loading_ms = round(max(self._loading), 1)
        self._tally.seconds = round(time.monotonic() - began, 1)

    def _one(self) -> None:
        self._completed_after(self._completions())
        time.sleep(self._random.uniform(0, MOMENT))
        if self._tally.restarts % 2:
            self._server.shut_down()
            self._tally.shutdowns += 1
        else:
            self._server.kill()
        time.sleep(self._random.uniform(0, AWAY))
        before = self._completions()
        began = time.monotonic()
        self._server.start()
        self._loading.append((time.monotonic() - began) * 1000)
        took = self._completed_after(before)
        self._resumed.append(took)
        if took > self._slowest_ms:
            self._tally.blame([f"slow: no job was completed for {took:.0f} ms after the server was back"])
        self._tally.restarts += 1

    def _completions(self) -> int:
        path = self._crew.scene.verdicts
        return path.stat().st_size if path.exists() else 0

    def _completed_after(self, before: int) -> float:
        """Milliseconds until somebody hears of one more completed job."""
        began = time.monotonic()
        while self._completions() == before:
            if time.monotonic() - began > PATIENCE:
                self._tally.blame([f"stuck: no job was completed for {PATIENCE:.0f} s"])
                break
            time.sleep(0.001)
        return (time.monotonic() - began) * 1000


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.restarts", description=__doc__)
    parser.add_argument("--restarts", type=int, default=50)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--slowest", type=float, default=3_000, help="ms after which resuming is a violation")
    arguments = parser.parse_args()
    tally = Tally(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="corral-restarts-") as folder, ToughServer(*DURABLE) as server:
        Restarts(
            server, Path(folder), tally, workers=arguments.workers, slowest_ms=arguments.slowest
        ).run(arguments.restarts)  # fmt: skip
    print(json.dumps(vars(tally)))
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
