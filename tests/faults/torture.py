"""The crash loop: kill workers at random moments, thousands of times, and check that nothing was lost or done twice.

Now and then the producer is killed too, or a worker is frozen until its leases are over and then woken. The jobs are of
every kind there is: plain ones, in groups with limits of their own, unique ones, flows, batches, jobs with steps and
jobs that add others when they complete.

    python -m tests.faults.torture --kills 10000 --workers 4 --seed 1
    python -m tests.faults.torture --kills 10000 --engine redis          # on a server of its own
    python -m tests.faults.torture --kills 500 --url redis://localhost:6379/0?prefix=torture

Prints one line of JSON; ends with 1 when an invariant was violated.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corral.storage.connect import connect
from tests.faults import crew
from tests.faults.actors import Scene
from tests.faults.forks import PATIENCE, Actor
from tests.faults.servers import ToughServer

#: Kills between two checks of the books.
EVERY = 500
#: A worker is killed up to this many seconds after it began to take jobs.
MOMENT = 0.03
#: The share of kills that do not wait until their victim works: those hit it while it starts.
EARLY = 0.15
#: One step in so many kills the producer instead.
PRODUCER = 40
#: One step in so many freezes a worker for two leases instead: it wakes up with jobs that are others' by then.
FREEZE = 25
#: Seconds a woken worker is left alone.
AWAKE = 0.1


@dataclass
class Tally(crew.Tally):
    """What happened."""

    kills: int = 0
    producer_kills: int = 0
    freezes: int = 0
    checks: int = 0
    reopen_ms: float = 0.0


class Torture:
    """Kills, freezes and checks."""

    def __init__(self, scene: Scene, *, workers: int, seed: int, slowest_open_ms: float) -> None:
        self.tally = Tally(seed)
        self._crew = crew.Crew(scene, self.tally, workers=workers)
        self._random = random.Random(seed)
        self._slowest_open_ms = slowest_open_ms
        self._frozen: dict[int, float] = {}

    def run(self, kills: int, every: int) -> Tally:
        """Kill, check, and kill again."""
        with self._crew:
            return self._run(kills, every)

    def _run(self, kills: int, every: int) -> Tally:
        began = time.monotonic()
        self._crew.start()
        while self.tally.kills < kills and not self.tally.violations:
            self._kill_one()
            if self.tally.kills % every == 0 or self.tally.kills == kills:
                self._check()
                if self.tally.kills < kills:
                    self._crew.start()
        self._crew.kill_all()
        self._crew.close()
        self.tally.seconds = round(time.monotonic() - began, 1)
        return self.tally

    # -- killing ---------------------------------------------------------------------------------------------------

    def _kill_one(self) -> None:
        producer = self._crew.producer
        if producer is not None and self._random.random() < 1 / PRODUCER:
            self._crew.kill(producer)
            self.tally.producer_kills += 1
            self._crew.producer = self._crew.new_producer()
            return
        workers = self._crew.workers
        index = self._random.choice([i for i, one in enumerate(workers) if one.pid not in self._frozen])
        victim = workers[index]
        early = self._random.random() < EARLY
        if not early and not self._wait_ready(victim):
            self.tally.blame([f"died: worker {victim.pid} never began to work"])
        if victim.ready and len(self._frozen) < len(workers) - 1 and self._random.random() < 1 / FREEZE:
            self._freeze(victim)
            return
        time.sleep(self._random.uniform(0, MOMENT))
        self._kill(victim)
        self.tally.kills += 1
        workers[index] = self._crew.new_worker()

    def _wait_ready(self, actor: Actor) -> bool:
        """Wait until it works. Meanwhile the frozen must be woken: one may hold the lock that this one waits for."""
        deadline = time.monotonic() + PATIENCE
        while not actor.wait_ready(0.02) and time.monotonic() < deadline:
            self._wake_frozen()
        self._wake_frozen()
        return actor.ready

    def _freeze(self, actor: Actor) -> None:
        os.kill(actor.pid, signal.SIGSTOP)
        self._frozen[actor.pid] = time.monotonic() + 2 * self._crew.scene.lease
        self.tally.freezes += 1

    def _wake_frozen(self) -> None:
        """Wake those whose time has come, and let them meet what happened meanwhile before they may be killed."""
        for pid, until in list(self._frozen.items()):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGCONT)
            if time.monotonic() > until + AWAKE:
                del self._frozen[pid]

    def _kill(self, actor: Actor) -> None:
        self._frozen.pop(actor.pid, None)
        self._crew.kill(actor)

    # -- checking --------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Kill everybody in full flight, open the store again and read the books; once more when all work is done."""
        self._frozen.clear()
        self._crew.kill_all()
        self.tally.reopen_ms = max(self.tally.reopen_ms, round(float(self._crew.ask(_reopen)), 1))
        if self.tally.reopen_ms > self._slowest_open_ms:
            self.tally.blame([f"slow: opening the store after a crash took {self.tally.reopen_ms} ms"])
        self._crew.check(drained=False)
        self._crew.start_workers()
        self._crew.drain()
        self._crew.stop_workers()
        self._crew.check()
        self.tally.checks += 1


def _reopen(scene: Scene) -> str:
    """Milliseconds from nothing to the first answer."""

    async def measure() -> float:
        began = time.perf_counter()
        async with connect(scene.url) as storage:
            await storage.counts(["main"])
            return (time.perf_counter() - began) * 1000

    return str(asyncio.run(measure()))


@contextmanager
def a_server(engine: str, url: str | None) -> Iterator[str]:
    """The URL of a store on a server: the one that is named, or a fresh one. Empty for an engine that needs none."""
    if url is not None or engine == "sqlite":
        yield url or ""
    else:
        with ToughServer() as server:
            yield server.store


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--every", type=int, default=EVERY, help="kills between two checks")
    parser.add_argument("--engine", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--url", help="a store on a server that runs already; nothing else may be under its prefix")
    parser.add_argument("--keep", type=Path, help="leave the ledgers, and the store if it is a file, in this folder")
    parser.add_argument("--slowest-open", type=float, default=1000, help="ms after which opening is a violation")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="corral-torture-") as folder,
        a_server(arguments.engine, arguments.url) as server,
    ):
        place = arguments.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        torture = Torture(
            Scene(place, server=server, crafts=True),
            workers=arguments.workers, seed=arguments.seed, slowest_open_ms=arguments.slowest_open,
        )  # fmt: skip
        tally = torture.run(arguments.kills, arguments.every)
    print(json.dumps(vars(tally)))
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
