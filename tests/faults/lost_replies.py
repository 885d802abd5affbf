"""Lost replies: a proxy hangs up after requests were done, and nobody may notice.

    python -m tests.faults.lost_replies --lost 5000 --seed 1

Producers add (with and without ids, one by one and in bulk), workers claim, settle and beat, people remove, retry,
cancel, promote, log, note and fire schedules. Every answer is written down and compared with the stream of events: each
call must have happened exactly once. Prints one line of JSON; ends with 1 when it did not.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field

from corral.errors import StorageError
from corral.job import JobState
from corral.options import QueueSettings
from corral.storage.connect import connect
from corral.storage.port import Storage
from tests.faults import history
from tests.faults.crowd import FREE, GROUPS, QUEUE, Crowd
from tests.faults.keys import Keys
from tests.faults.redis_books import RedisBooks, prefix_of
from tests.faults.servers import ToughServer
from tests.redis.proxy import Fault, Proxy

#: The chance that a request with scripts in it is done and not answered, that it never arrives, that half of it does.
REPLY, REQUEST, HALF = 0.06, 0.015, 0.005
#: The same for what is no script: greetings, blocking reads, plain reads.
OTHER = 0.02
DRAIN_SECONDS = 60.0
#: Longer than any run is, so that the whole history is there in the end.
EVERYTHING = 100_000_000


@dataclass
class Tally:
    """What happened."""

    seed: int
    lost_replies: int = 0
    lost_requests: int = 0
    other_faults: int = 0
    connections: int = 0
    jobs: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    events: int = 0
    duplicate_adds: int = 0
    double_finishes: int = 0
    orphans: int = 0
    lost: int = 0
    stuck: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def blame(self, found: list[str]) -> None:
        """Count complaints by kind and keep the first ones in words."""
        for complaint in found:
            kind = complaint.partition(":")[0]
            self.duplicate_adds += complaint.startswith("twice: add")
            self.double_finishes += kind in ("twice", "impossible") and not complaint.startswith("twice: add")
            self.orphans += kind in ("orphan", "ghost", "leftover")
            self.lost += kind == "lost"
            self.stuck += kind == "stuck"
        self.violations += found[: max(0, 20 - len(self.violations))]


class Weather:
    """Decides about each piece that passes through the proxy, and counts."""

    def __init__(self, seed: int, tally: Tally, lost: int) -> None:
        self._random = random.Random(seed)
        self._tally = tally
        self._lost = lost
        self.enough = asyncio.Event()
        self.fair = False

    def __call__(self, piece: bytes) -> Fault | None:
        draw = self._random.random()
        if self.fair:
            return None
        if b"EVALSHA" not in piece:
            self._tally.other_faults += draw < OTHER
            return Fault.LOSE_REPLY if draw < OTHER else None
        if draw < REPLY:
            self._tally.lost_replies += 1
            if self._tally.lost_replies == self._lost:
                self.enough.set()
            return Fault.LOSE_REPLY
        if draw < REPLY + REQUEST + HALF:
            self._tally.lost_requests += 1
            return Fault.LOSE_REQUEST if draw < REPLY + REQUEST else Fault.HALF_REQUEST
        return None


async def storm(url: str, port: int, lost: int, tally: Tally) -> history.Answers:
    """Everybody works through the proxy until so many replies were lost; then in peace until nothing is left."""
    weather = Weather(tally.seed, tally, lost)
    answers = history.Answers()
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy("127.0.0.1", port))
        proxy.decide = weather
        crowd = Crowd(answers, random.Random(tally.seed))
        through = url.replace(f":{port}/", f":{proxy.port}/")

        async def storage() -> Storage:
            return await stack.enter_async_context(connect(through))

        chaos = [*[crowd.produce] * 2, *[crowd.work] * 3, *[crowd.meddle] * 2, crowd.recover, crowd.read]
        tasks = [asyncio.create_task(_insist(one, await storage(), answers)) for one in chaos]
        enough = asyncio.create_task(weather.enough.wait())
        await asyncio.wait((enough, *tasks), return_when=asyncio.FIRST_COMPLETED)
        enough.cancel()
        weather.fair = True
        crowd.calm.set()
        await _drained(await storage(), answers)
        crowd.over.set()
        await asyncio.gather(*tasks)
        tally.connections = proxy.accepted
    tally.calls = dict(crowd.calls)
    tally.jobs = answers.requested
    return answers


async def _insist(work: Callable[[Storage], Awaitable[None]], storage: Storage, answers: history.Answers) -> None:
    """An error is a call whose fate nobody knows: with ten seconds of patience there must be none."""
    try:
        await work(storage)
    except StorageError as error:
        answers.wrong.append(f"refused: {type(error).__name__}: {error}")


async def _drained(storage: Storage, answers: history.Answers) -> None:
    groups = dict.fromkeys(GROUPS, FREE)
    await storage.configure(QUEUE, QueueSettings(paused=False, concurrency=None, hold=None, groups=groups))
    until = time.monotonic() + DRAIN_SECONDS
    while True:
        one = (await storage.counts([QUEUE]))[0]
        if not one.waiting + one.active + one.delayed + one.waiting_children:
            return
        if time.monotonic() > until:
            waiting = tuple(state for state in JobState if not state.finished)
            stuck = (await storage.page(QUEUE, waiting, limit=5)).items
            answers.wrong += [f"stuck: {job.id} ({job.name}) is {job.state}" for job in stuck] or ["stuck: no idea"]
            return
        await asyncio.sleep(0.02)


def check(url: str, answers: history.Answers, tally: Tally) -> None:
    """Compare the answers with what happened, and look at every key."""
    base = f"{prefix_of(url)}:{QUEUE}:"
    with closing(RedisBooks(url)) as books, Keys(url) as keys:
        real = history.happened(keys, f"{base}events")
        rows = books.rows()
        ids = {job_id: row.state for (queue, job_id), row in rows.items() if queue == QUEUE}
        tally.events = real.events
        tally.blame(list(history.compare(answers, real)))
        tally.blame(list(history.places(real, ids)))
        tally.blame(list(history.log_lines(keys, base, answers, ids)))
        tally.blame(list(books.audit(rows, drained=True)))
        numbers = int(keys.text(f"{base}id") or 0)
        wanted = answers.requested + len(history.added_late(answers, real))
        if numbers != wanted:
            tally.blame([f"twice: add gave out {numbers} numbers for {wanted} jobs"])
        totals = books.totals()[QUEUE]
        if totals.completed != answers.completed.total():
            tally.blame([f"twice: {totals.completed} completed by the counter, {answers.completed.total()} accepted"])
        if totals.failed != real.counts["failed"].total():
            tally.blame(
                [f"twice: {totals.failed} failed by the counter, {real.counts['failed'].total()} by the events"]
            )


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.lost_replies", description=__doc__)
    parser.add_argument("--lost", type=int, default=5_000, help="replies of scripts to lose")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    arguments = parser.parse_args()
    tally = Tally(arguments.seed)
    random.seed(arguments.seed)
    began = time.monotonic()
    with ToughServer() as server:
        url = server.store
        server.ask("HSET", f"{prefix_of(url)}:{QUEUE}:meta", "opts.maxLenEvents", str(EVERYTHING))
        answers = asyncio.run(storm(url, server.port, arguments.lost, tally))
        check(url, answers, tally)
    tally.seconds = round(time.monotonic() - began, 1)
    print(json.dumps(vars(tally)))
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
