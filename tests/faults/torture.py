"""The crash loop: kill workers at random moments, thousands of times, and check that nothing was lost or done twice.

Now and then the producer is killed too, or a worker is frozen until its leases are over and then woken.

    python -m tests.faults.torture --kills 10000 --workers 4 --seed 1

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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from corral.storage.sqlite.store import SqliteStorage
from tests.faults import ledger
from tests.faults.actors import Scene, produce, work
from tests.faults.forks import PATIENCE, Actor, answer_of, lines, prepare, start

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
#: How long a killed crowd's jobs may take to be finished by others.
DRAIN_SECONDS = 60.0


@dataclass
class Tally:
    """What happened."""

    seed: int
    kills: int = 0
    producer_kills: int = 0
    freezes: int = 0
    checks: int = 0
    jobs: int = 0
    completed: int = 0
    quarantined: int = 0
    crashes_recorded: int = 0
    handed_back: int = 0  #: claims whose answer lay unread for half a lease, given back unbegun
    calls: int = 0
    refused: int = 0  #: verdicts of frozen workers that came too late
    lost: int = 0
    stuck: int = 0
    twice: int = 0
    reopen_ms: float = 0.0
    drain_seconds: float = 0.0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def blame(self, found: list[str]) -> None:
        """Count complaints by kind and keep the first ones."""
        for complaint in found:
            kind = complaint.partition(":")[0]
            self.lost += kind in ("lost", "torn")
            self.stuck += kind == "stuck"
            self.twice += kind in ("twice", "undone")
        self.violations += found[: max(0, 20 - len(self.violations))]


class Torture:
    """The parent of all actors. It never opens the store: whatever needs it runs in a fork."""

    def __init__(self, scene: Scene, *, workers: int, seed: int) -> None:
        self._scene = scene
        self._random = random.Random(seed)
        self._count = workers
        self._started = 0
        self._workers: list[Actor] = []
        self._producer: Actor | None = None
        self._frozen: dict[int, float] = {}
        self.tally = Tally(seed)

    def run(self, kills: int, every: int) -> Tally:
        """Kill, check, and kill again."""
        began = time.monotonic()
        prepare()
        self._start_all()
        while self.tally.kills < kills and not self.tally.violations:
            self._kill_one()
            if self.tally.kills % every == 0 or self.tally.kills == kills:
                self._check()
                if self.tally.kills < kills:
                    self._start_all()
        self._end_all()
        self.tally.blame(ledger.noise(self._scene.errors))
        self.tally.seconds = round(time.monotonic() - began, 1)
        return self.tally

    # -- actors ----------------------------------------------------------------------------------------------------

    def _start_all(self) -> None:
        self._workers = [self._worker() for _ in range(self._count)]
        self._producer = self._new_producer()

    def _worker(self) -> Actor:
        return start("worker", lambda ready: work(self._scene, ready), self._scene.errors)

    def _new_producer(self) -> Actor:
        self._started += 1
        seed = self.tally.seed * 1_000_000 + self._started
        return start("producer", lambda ready: produce(self._scene, ready, seed), self._scene.errors)

    def _end_all(self) -> None:
        for actor in (*self._workers, *([self._producer] if self._producer else [])):
            self._kill(actor)
        self._workers, self._producer = [], None

    # -- killing ---------------------------------------------------------------------------------------------------

    def _kill_one(self) -> None:
        if self._producer is not None and self._random.random() < 1 / PRODUCER:
            self._kill(self._producer)
            self.tally.producer_kills += 1
            self._producer = self._new_producer()
            return
        index = self._random.choice([i for i, one in enumerate(self._workers) if one.pid not in self._frozen])
        victim = self._workers[index]
        early = self._random.random() < EARLY
        if not early and not self._wait_ready(victim):
            self.tally.blame([f"died: worker {victim.pid} never began to work"])
        if victim.ready and len(self._frozen) < self._count - 1 and self._random.random() < 1 / FREEZE:
            self._freeze(victim)
            return
        time.sleep(self._random.uniform(0, MOMENT))
        self._kill(victim)
        self.tally.kills += 1
        self._workers[index] = self._worker()

    def _wait_ready(self, actor: Actor) -> bool:
        """Wait until it works. Meanwhile the frozen must be woken: one may hold the lock that this one waits for."""
        deadline = time.monotonic() + PATIENCE
        while not actor.wait_ready(0.02) and time.monotonic() < deadline:
            self._wake_frozen()
        self._wake_frozen()
        return actor.ready

    def _freeze(self, actor: Actor) -> None:
        os.kill(actor.pid, signal.SIGSTOP)
        self._frozen[actor.pid] = time.monotonic() + 2 * self._scene.lease
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
        status = actor.kill()
        if status != -9:
            self.tally.blame([f"died: {actor.role} {actor.pid} ended by itself with {status}"])

    # -- checking --------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Kill everybody in full flight, open the file again, let fresh workers finish, and read the books."""
        self._end_all()
        self.tally.reopen_ms = max(self.tally.reopen_ms, round(float(self._ask(_reopen)), 1))
        if self.tally.reopen_ms > 1000:
            self.tally.blame([f"slow: opening the store after a crash took {self.tally.reopen_ms} ms"])
        self._workers = [self._worker() for _ in range(self._count)]
        self.tally.drain_seconds = max(self.tally.drain_seconds, round(float(self._ask(drain)), 2))
        for actor in self._workers:
            if (status := actor.stop()) != 0:
                self.tally.blame([f"exit: an idle worker that was told to stop ended with {status}"])
        self._workers = []
        found = json.loads(self._ask(_books))
        self.tally.checks += 1
        self.tally.blame(found.pop("violations"))
        for key, value in found.items():
            setattr(self.tally, key, value)

    def _ask(self, question: Callable[[Scene], str]) -> str:
        return answer_of(lambda: question(self._scene), self._scene.errors)


def _reopen(scene: Scene) -> str:
    """Milliseconds from nothing to the first answer."""

    async def measure() -> float:
        began = time.perf_counter()
        async with SqliteStorage(scene.url) as storage:
            await storage.counts(["main"])
            return (time.perf_counter() - began) * 1000

    return str(asyncio.run(measure()))


def drain(scene: Scene) -> str:
    """Seconds until nothing is left to do; gives up after a while, and the books then tell what is stuck."""

    async def watch() -> float:
        began = time.monotonic()
        async with SqliteStorage(scene.url) as storage:
            while time.monotonic() - began < DRAIN_SECONDS:
                counts = await storage.counts(["main", "lean"])
                if not sum(one.waiting + one.delayed + one.active + one.waiting_children for one in counts):
                    break
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    return str(asyncio.run(watch()))


def _books(scene: Scene) -> str:
    """Complaints and totals."""
    books, found = ledger.check(scene)
    rows = books.rows.values()
    totals = {
        "violations": found,
        "jobs": len(books.acked),
        "completed": sum(one["completed_total"] for one in books.counters.values()),
        "quarantined": sum(row.crashes >= 2 for row in rows),
        "crashes_recorded": sum(row.crashes for row in rows),
        "handed_back": sum(row.started - row.made - row.crashes for row in rows),
        "calls": sum(len(calls) for calls in books.effects.values()),
        "refused": len(lines(scene.refusals)),
    }
    return json.dumps(totals)


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--every", type=int, default=EVERY, help="kills between two checks")
    parser.add_argument("--keep", type=Path, help="leave the store and the ledgers in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corral-torture-") as folder:
        place = arguments.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        torture = Torture(Scene(place), workers=arguments.workers, seed=arguments.seed)
        tally = torture.run(arguments.kills, arguments.every)
    print(json.dumps(vars(tally)))
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
