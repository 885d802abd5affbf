"""The processes of a torture: workers and a producer, started and ended together, and the books read afterwards."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from corral.storage.connect import connect
from tests.faults import crafts, ledger, promises
from tests.faults.actors import produce, work
from tests.faults.forks import Actor, answer_of, lines, prepare, start
from tests.faults.scene import QUEUES, Scene

#: How long a crowd's unfinished jobs may take to be finished by others.
DRAIN_SECONDS = 60.0
#: Complaints that are kept in words.
WORDS = 20


@dataclass
class Tally:
    """What happened."""

    seed: int
    engine: str = "sqlite"
    jobs: int = 0
    completed: int = 0
    quarantined: int = 0
    crashes_recorded: int = 0
    handed_back: int = 0  #: claims whose answer lay unread for half a lease, given back unbegun
    calls: int = 0
    refused: int = 0  #: verdicts that came too late
    steps: int = 0  #: answers of steps
    merges: int = 0  #: runs of jobs that had waited for others
    lost: int = 0
    stuck: int = 0
    twice: int = 0
    orphans: int = 0
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
            self.orphans += kind in ("orphan", "ghost", "leftover")
        self.violations += found[: max(0, WORDS - len(self.violations))]


class Crew:
    """The parent of all actors. It never opens the store: whatever needs it runs in a fork."""

    def __init__(self, scene: Scene, tally: Tally, *, workers: int) -> None:
        self.scene = scene
        self.tally = tally
        self.workers: list[Actor] = []
        self.producer: Actor | None = None
        self._count = workers
        self._producers = 0
        tally.engine = scene.engine
        connect(scene.url)  # imports the engine before anybody is forked, and opens nothing
        prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody outlives the harness, whatever became of it."""
        for actor in (*self.workers, *([self.producer] if self.producer else [])):
            actor.kill()
        self.workers, self.producer = [], None

    def start(self) -> None:
        """Everybody begins."""
        self.workers = [self.new_worker() for _ in range(self._count)]
        self.producer = self.new_producer()

    def start_workers(self) -> None:
        """Only the workers begin."""
        self.workers = [self.new_worker() for _ in range(self._count)]

    def new_worker(self) -> Actor:
        """One more worker; whoever asks puts it where it belongs."""
        return start("worker", lambda ready: work(self.scene, ready), self.scene.errors)

    def new_producer(self) -> Actor:
        """Another producer, whose jobs are not those of an earlier one."""
        self._producers += 1
        seed = self.tally.seed * 1_000_000 + self._producers
        return start("producer", lambda ready: produce(self.scene, ready, seed), self.scene.errors)

    def ready(self) -> None:
        """Wait until everybody is at work."""
        for actor in (*self.workers, *([self.producer] if self.producer else [])):
            if not actor.wait_ready():
                self.tally.blame([f"died: {actor.role} {actor.pid} never began to work"])

    def kill(self, actor: Actor) -> None:
        """SIGKILL. An actor that had ended by itself is a violation."""
        status = actor.kill()
        if status != -9:
            self.tally.blame([f"died: {actor.role} {actor.pid} ended by itself with {status}"])

    def kill_all(self) -> None:
        """SIGKILL to everybody, in full flight."""
        for actor in (*self.workers, *([self.producer] if self.producer else [])):
            self.kill(actor)
        self.workers, self.producer = [], None

    def stop_producer(self) -> None:
        """Ask the producer to end, and expect it to."""
        if self.producer is not None and (status := self.producer.stop()) != 0:
            self.tally.blame([f"exit: a producer that was told to stop ended with {status}"])
        self.producer = None

    def stop_workers(self) -> None:
        """Ask the idle workers to end, and expect them to."""
        for actor in self.workers:
            if (status := actor.stop()) != 0:
                self.tally.blame([f"exit: an idle worker that was told to stop ended with {status}"])
        self.workers = []

    def drain(self) -> None:
        """Let the workers finish everything."""
        self.tally.drain_seconds = max(self.tally.drain_seconds, round(float(self.ask(drain)), 2))

    def check(
        self, *, forgiven: frozenset[tuple[str, str]] = frozenset(), untouched: bool = True, drained: bool = True
    ) -> None:
        """Read the books. Nobody may be at work; `drained`: nothing may be left to do."""
        found = json.loads(self.ask(lambda scene: _books(scene, forgiven, untouched, drained)))
        self.tally.blame(found.pop("violations"))
        for key, value in found.items():
            setattr(self.tally, key, value)

    def ask(self, question: Callable[[Scene], str]) -> str:
        """Have a question answered by a fork."""
        return answer_of(lambda: question(self.scene), self.scene.errors)

    def close(self, *, excused: frozenset[str] = frozenset()) -> Counter[str]:
        """The end: what the processes said meanwhile. Answers the troubles of producers that are `excused`."""
        self.tally.blame(ledger.noise(self.scene.errors))
        met = Counter(line.partition(" ")[0] for line in lines(self.scene.troubles))
        self.tally.blame([f"refused: {count} times {what}" for what, count in met.items() if what not in excused])
        return met


def drain(scene: Scene) -> str:
    """Seconds until nothing is left to do; gives up after a while, and the books then tell what is stuck."""

    async def watch() -> float:
        began = time.monotonic()
        async with connect(scene.url) as storage:
            while time.monotonic() - began < DRAIN_SECONDS:
                if scene.crafts:  # what a killed producer left on hold, and jobs that wait for a person
                    await crafts.tidy(storage)
                counts = await storage.counts(QUEUES)
                if not any(one.waiting + one.active + one.delayed + one.waiting_children for one in counts):
                    break
                await asyncio.sleep(0.05)
        return time.monotonic() - began

    return str(asyncio.run(watch()))


def _books(scene: Scene, forgiven: frozenset[tuple[str, str]], untouched: bool, drained: bool) -> str:
    """Complaints and totals."""
    books, found = ledger.check(scene, forgiven=forgiven, untouched=untouched, drained=drained)
    if scene.crafts:
        found += asyncio.run(promises.failures(scene, books.rows))
    rows = books.rows.values()
    totals = {
        "violations": found,
        "jobs": len(books.acked),
        "completed": sum(one.completed for one in books.totals.values()),
        "quarantined": sum(row.crashes >= 2 for row in rows),
        "crashes_recorded": sum(row.crashes for row in rows),
        "handed_back": sum(row.started - row.made - row.crashes for row in rows),
        "calls": sum(len(calls) for calls in books.effects.values()),
        "refused": len(lines(scene.refusals)),
        "steps": len(lines(scene.done)),
        "merges": len(lines(scene.merges)),
    }
    return json.dumps(totals)
