"""The recorder: what became of a worker's attempts and how long they took, written to the store every 10 seconds.

Counting an attempt costs less than a microsecond and never waits. What the store did not take goes with the next
flush; beyond a bound the oldest figures are dropped, for they must not fill the memory of a worker that waits.
"""

import asyncio
import logging
from time import monotonic
from typing import TypeAlias

from corral.errors import StorageError
from corral.event import EventType
from corral.storage.insight import Sample
from corral.storage.port import Storage
from corral.timing import Millis
from corral.worker.run import Run

logger = logging.getLogger("corral.recorder")

FLUSH_SECONDS = 10.0
#: (queue, name, minute) kept while the store is away: ten names for more than an hour.
MOST_KEPT = 1_000
_MINUTE: Millis = 60_000
_COMPLETED, _FAILED, _RETRIED = range(3)
_NO_WAIT = -1
_DONE = EventType.COMPLETED

#: (queue, job name, minute)
_Place: TypeAlias = tuple[str, str, int]
#: (queue, job name, minute, what became of it, bucket of the wait, bucket of the run)
_Fact: TypeAlias = tuple[str, str, int, int, int, int]


class _Tally:
    """One job name in one minute."""

    __slots__ = ("ended", "run", "wait")

    def __init__(self) -> None:
        self.ended = [0, 0, 0]
        self.wait: dict[int, int] = {}
        self.run: dict[int, int] = {}


class Recorder:
    """Told of every verdict that was accepted."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._facts: dict[_Fact, int] = {}  #: how often; one entry for all that went alike
        self._unwritten: dict[_Place, _Tally] = {}
        self._turn = asyncio.Lock()
        self.dropped = 0  #: figures of so many names and minutes were given up

    def note(self, run: Run, kind: EventType) -> None:
        """An attempt has ended; snoozes, pauses and hand-backs are none."""
        if kind is _DONE:  # usual, and a name of the module is found sooner than one of an enum
            ended = _COMPLETED
        elif kind is EventType.FAILED:
            ended = _FAILED
        elif kind is EventType.RETRYING:
            ended = _RETRIED
        else:
            return
        job = run.job
        started = job.started_at or 0
        # bucket_of, written out twice: the two calls would be a fifth of what all of this costs.
        took = int((monotonic() - run.started) * 1000)
        shift = took.bit_length() - 4
        ran = took if shift <= 0 else (shift << 3) + (took >> shift)
        ready = job.run_at or (job.created_at if job.attempts_started == 1 else 0)
        if ready:
            wait = started - ready
            shift = wait.bit_length() - 4
            waited = (wait if wait > 0 else 0) if shift <= 0 or wait < 0 else (shift << 3) + (wait >> shift)
        else:  # a later attempt, and the store does not say since when it could have run
            waited = _NO_WAIT
        # The minute by the store's clock, however wrong this machine's is.
        fact = (run.queue, job.name, (started + took) // _MINUTE, ended, waited, ran)
        self._facts[fact] = self._facts.get(fact, 0) + 1

    async def flush(self) -> None:
        """Write what was counted; what cannot be written is kept for the next time."""
        async with self._turn:  # the last flush of a worker meets the one that is under way
            await self._flush()

    async def _flush(self) -> None:
        self._fold()
        for queue in {place[0] for place in self._unwritten}:
            taken = {place: tally for place, tally in self._unwritten.items() if place[0] == queue}
            try:
                await self._storage.record(queue, [_sample(place, tally) for place, tally in taken.items()])
            except StorageError as error:
                logger.warning("figures of queue %r could not be written, trying again: %s", queue, error)
                continue
            for place in taken:
                del self._unwritten[place]

    def _fold(self) -> None:
        """Sum the facts up, by place. Once in a flush: it is the costlier half."""
        facts, self._facts = self._facts, {}
        for (queue, name, minute, ended, waited, ran), count in facts.items():
            place = (queue, name, minute)
            tally = self._unwritten.get(place)
            if tally is None:
                tally = self._unwritten[place] = _Tally()
            tally.ended[ended] += count
            tally.run[ran] = tally.run.get(ran, 0) + count
            if waited != _NO_WAIT:
                tally.wait[waited] = tally.wait.get(waited, 0) + count
        excess = len(self._unwritten) - MOST_KEPT
        if excess > 0:
            for place in sorted(self._unwritten, key=lambda one: one[2])[:excess]:
                del self._unwritten[place]
            self.dropped += excess


def _sample(place: _Place, tally: _Tally) -> Sample:
    completed, failed, retried = tally.ended
    return Sample(
        at=place[2] * _MINUTE, name=place[1], completed=completed, failed=failed, retried=retried, wait=tally.wait,
        run=tally.run,
    )  # fmt: skip
