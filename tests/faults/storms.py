"""Storms: everything that can go wrong with a server while it is up, one after the other, under load.

    python -m tests.faults.storms                         # all of them, 20 seconds each
    python -m tests.faults.storms full junk --seconds 5

Prints one line of JSON for each; ends with 1 when an invariant was violated.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults import crew
from tests.faults.actors import Scene
from tests.faults.books import Key
from tests.faults.forks import PATIENCE, lines
from tests.faults.junk import Planter
from tests.faults.keys import Keys
from tests.faults.movable_clock import MovableClock
from tests.faults.redis_books import prefix_of
from tests.faults.renewal import add_one, renew_and_settle, wake
from tests.faults.servers import ToughServer, settled_port


@dataclass
class Tally(crew.Tally):
    """What happened."""

    storm: str = ""
    blows: int = 0
    excused: dict[str, int] = field(default_factory=dict)  #: what producers met and had to meet


@dataclass
class Place:
    """Where a storm rages."""

    server: ToughServer
    keys: Keys
    prefix: str
    crew: crew.Crew
    tally: Tally
    random: random.Random
    seconds: float
    forgiven: set[Key] = field(default_factory=set)  #: jobs that were taken away by hand
    clock: MovableClock | None = None

    def blows(self, pause: float) -> "Blows":
        """Time and again until the storm is over, with about so many seconds between two blows."""
        return Blows(self, pause)

    def base(self, queue: str = "main") -> str:
        return f"{self.prefix}:{queue}:"

    def grows(self, ledger: Path, what: str, by: int = 1) -> None:
        """Wait until so many more lines are in a ledger."""
        before = len(lines(ledger))
        self.wait(lambda: len(lines(ledger)) >= before + by, what)

    def wait(self, true: Callable[[], bool], what: str) -> None:
        """Wait for something that must come. (The wait is long, for slow machines; nothing depends on it.)"""
        until = time.monotonic() + 2 * PATIENCE
        while not true():
            if time.monotonic() > until:
                self.tally.blame([f"stuck: {what} never came"])
                return
            time.sleep(0.01)


class Blows:
    """Iterates while the storm lasts, and at least twice."""

    def __init__(self, place: Place, pause: float) -> None:
        self._place = place
        self._pause = pause
        self._until = time.monotonic() + place.seconds
        self._given = 0

    def __iter__(self) -> "Blows":
        return self

    def __next__(self) -> int:
        if self._given:
            time.sleep(self._place.random.uniform(0.5, 1.5) * self._pause)
        if self._given >= 2 and time.monotonic() > self._until:
            raise StopIteration
        self._given += 1
        self._place.tally.blows = self._given
        return self._given


# -- the storms --------------------------------------------------------------------------------------------------------


def flushed_scripts(place: Place) -> None:
    """The server forgets its scripts."""
    for _ in place.blows(0.05):
        place.keys.ask("SCRIPT", "FLUSH")


def cut_connections(place: Place) -> None:
    """The server hangs up on everybody."""
    for _ in place.blows(0.2):
        place.keys.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def demoted(place: Place) -> None:
    """The server is told to follow another one, and then to lead again."""
    nobody = str(settled_port())
    for _ in place.blows(0.4):
        place.keys.ask("REPLICAOF", "127.0.0.1", nobody)
        time.sleep(place.random.uniform(0.05, 0.3))
        place.keys.ask("REPLICAOF", "NO", "ONE")


def frozen(place: Place) -> None:
    """The server stops answering, and keeps its connections."""
    for _ in place.blows(0.4):
        place.server.suspend()
        time.sleep(place.random.uniform(0.05, 0.5))
        place.server.resume()


def full(place: Place) -> None:
    """Memory is used up: producers are told, what runs is finished, and it heals."""
    for _ in place.blows(1.0):
        place.crew.ask(add_one)
        used = int(str(place.keys.ask("INFO", "memory")["used_memory"]))
        place.keys.ask("CONFIG", "SET", "maxmemory", int(used * 0.8))
        place.grows(place.crew.scene.troubles, "the producer's refusal")
        place.wait(lambda: not place.keys.members(f"{place.base()}wait"), "the end of the backlog")
        if complaint := place.crew.ask(renew_and_settle):
            place.tally.blame([complaint])
        place.keys.ask("CONFIG", "SET", "maxmemory", 0)
        place.grows(place.crew.scene.acks, "the next job after there was room again")


#: Pieces of junk that are planted at once.
HANDFUL = 4


def junk(place: Place) -> None:
    """Foreign things lie in the queue; the queue goes on."""
    planter = Planter(place.keys, place.base(), f"corral:{place.base()}", place.random)
    # Parents would wait for ever. A job with a name that nobody knows is no junk: it waits for another worker.
    kinds = [what for what in planter.everything() if not re.match(r"parent\||hash\|\w+\|name =", what)]
    for blow in place.blows(0.02):
        for what in kinds[(blow - 1) * HANDFUL : blow * HANDFUL]:
            planter.plant(what)
    place.tally.blows = len(planter.planted)
    place.forgiven |= {("main", job_id) for job_id in planter.planted}
    place.grows(place.crew.scene.verdicts, "the next completed job", by=20)


def deleted_by_hand(place: Place) -> None:
    """Single keys go while their jobs are at work."""
    for _ in place.blows(0.02):
        ids = place.keys.members(f"{place.base()}{place.random.choice(('active', 'active', 'wait'))}")
        if not ids:
            continue
        job_id = place.random.choice(ids)
        key = f"{place.base()}{job_id}"
        if place.keys.field(key, "parentKey") or place.keys.field(key, "name") == "parent":
            continue  # a parent waits for a child that somebody took away: nobody can know that it is gone
        match place.random.randrange(5):
            case 0 | 1:
                place.forgiven.add(("main", job_id))
                place.keys.ask("DEL", key)
            case 2:
                place.keys.ask("DEL", f"{key}:lock")
            case 3:
                place.keys.ask("ZREM", f"corral:{place.base()}leases", job_id)
            case _:
                place.keys.ask("DEL", f"{place.base()}marker", f"{place.base()}meta")


#: Numbers of jobs begin anew when all is deleted. These are never reached otherwise.
EPOCH = 10_000_000
_FLUSH = "redis.call('FLUSHALL') for i = 2, #ARGV do redis.call('SET', ARGV[i], ARGV[1]) end"


def emptied(place: Place) -> None:
    """Everything is deleted at once."""
    acks = place.crew.scene.acks
    for blow in place.blows(1.0):
        epoch = blow * EPOCH
        place.keys.ask("EVAL", _FLUSH, 0, epoch, f"{place.base()}id", f"{place.base('lean')}id")
        place.wait(partial(_added_since, epoch, acks), "the next job after all were gone")
        place.grows(acks, "the next few jobs", by=40)  # more than one step adds: what was added before is written down
        place.forgiven |= {key for key in map(_key, lines(acks)) if not key[1].isdecimal() or int(key[1]) < epoch}
        place.grows(place.crew.scene.verdicts, "the next completed job after all were gone")


def _key(line: str) -> Key:
    queue, job_id = line.split()
    return queue, job_id


def _added_since(epoch: int, acks: Path) -> bool:
    """Whether a job was added since the numbers began anew."""
    return any(job_id.isdecimal() and int(job_id) >= epoch for _, job_id in map(_key, lines(acks)))


def moved_clock(place: Place) -> None:
    """The server's clock jumps forth and back."""
    assert place.clock is not None
    for _ in place.blows(1.2):
        place.clock.set(place.random.choice((0, 120_000, -3_600_000, 600_000, -5_000, 3_000, -500, 86_400_000)))
    place.clock.set(2 * 86_400_000)  # past everything that was promised for a time that went away again
    place.crew.ask(wake)
    place.grows(place.crew.scene.verdicts, "the next completed job after the clock stood still", by=20)


@dataclass(frozen=True)
class Storm:
    """`lease`: so long that nothing may run twice, unless the storm ends leases by itself."""

    blow: Callable[[Place], None]
    lease: float = 60.0
    once: bool = True  #: no run may end but by its verdict
    untouched: bool = True  #: nobody takes a queue's settings or totals away
    excused: frozenset[str] = frozenset()
    clock: bool = False


STORMS = {
    "scripts": Storm(flushed_scripts),
    "connections": Storm(cut_connections),
    "replica": Storm(demoted),
    "frozen": Storm(frozen),
    "full": Storm(full, excused=frozenset({"StorageFullError"})),
    "junk": Storm(junk, lease=1.0, once=False, untouched=False),
    "deleted": Storm(deleted_by_hand, lease=1.0, once=False, untouched=False),
    "emptied": Storm(emptied, lease=1.0, once=False, untouched=False, excused=frozenset({"AddedTwice"})),
    "clock": Storm(moved_clock, lease=1.0, once=False, clock=True),
}


def rage(name: str, seconds: float, seed: int, workers: int) -> Tally:
    """One storm on a server of its own."""
    storm, tally = STORMS[name], Tally(seed, storm=name)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="corral-storm-") as folder:
        clock = MovableClock(Path(folder)) if storm.clock else None
        with ToughServer(program=None if clock is None else clock.program) as server:
            scene = Scene(Path(folder), server=server.store, lease=storm.lease)
            with crew.Crew(scene, tally, workers=workers) as gang, Keys(server.url) as keys:
                gang.start()
                gang.ready()
                place = Place(
                    server, keys, prefix_of(scene.url), gang, tally, random.Random(seed), seconds, clock=clock
                )
                place.grows(scene.verdicts, "the first completed job", by=20)
                storm.blow(place)
                _calm_down(storm, place)
    tally.seconds = round(time.monotonic() - began, 1)
    return tally


def _calm_down(storm: Storm, place: Place) -> None:
    gang, tally = place.crew, place.tally
    gang.stop_producer()
    gang.drain()
    gang.stop_workers()
    gang.check(forgiven=frozenset(place.forgiven), untouched=storm.untouched)
    if storm.once and tally.crashes_recorded:
        tally.blame([f"twice: {tally.crashes_recorded} runs were taken from living workers"])
    tally.excused = dict(Counter(gang.close(excused=storm.excused)))


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storms", description=__doc__)
    parser.add_argument("storms", nargs="*", help=f"which: {', '.join(STORMS)}; all of them when none is named")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each one rages")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    arguments = parser.parse_args()
    if unknown := set(arguments.storms) - STORMS.keys():
        parser.error(f"no such storm: {', '.join(sorted(unknown))}")
    failed = False
    for name in arguments.storms or STORMS:
        tally = rage(name, arguments.seconds, arguments.seed, arguments.workers)
        print(json.dumps(vars(tally)), flush=True)
        failed = failed or bool(tally.violations)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
