"""Jobs that went well, added again: the load. Whatever a platform does, it can do it again."""

import random

from corral import Corral, CorralError, JobState
from corral.payload import from_json
from examples.demo.stage import Stage

from .ledger import Ledger

#: Added at one time, however long the last time is ago.
MOST = 50
#: A queue with so many waiting jobs has enough to do: what one machine cannot do does not pile up.
FULL = 25


class Again:
    """Adds jobs again, so many a second, chosen evenly among their names."""

    def __init__(self, app: Corral, stage: Stage, ledger: Ledger, rate: float) -> None:
        self._app = app
        self._stage = stage
        self._ledger = ledger
        self._rate = rate
        self._samples: dict[tuple[str, str], str] = {}
        self._looked = 0
        self._dice = random.Random(1)
        self._due = 0.0
        self.count = 0
        self._once: set[tuple[str, str]] = set()

    async def go(self, seconds: float) -> None:
        """Add what these seconds owe."""
        if self._rate <= 0:
            return
        await self._learn()
        room = {str(name): FULL - line.waiting for name, line in self._ledger.lines.items()}
        names = [name for name in sorted(self._samples) if room[name[0]] > 0]
        self._due = min(self._due + seconds * self._rate, MOST) if names else 0.0
        while self._due >= 1 and names:
            self._due -= 1
            queue, name = self._dice.choice(names)
            try:
                handle = await self._app.definition(queue, name).add(from_json(self._samples[queue, name]))
            except CorralError:  # a job that may be there once
                self._once.add((queue, name))
                del self._samples[queue, name]
            else:
                self._stage.many([handle])
                self.count += 1
                room[queue] -= 1
            names = [name for name in sorted(self._samples) if room[name[0]] > 0]

    async def _learn(self) -> None:
        """Keep one payload of each kind of job that ended well by itself: no part of a flow, not meant to fail."""
        storage = await self._app.open()
        ended = list(self._ledger.ended.items())[self._looked :]
        self._looked += len(ended)
        for (queue, job_id), state in ended:
            name = self._ledger.added.get((queue, job_id), "")
            known = name in self._app.queues[queue].definitions and (queue, name) not in {*self._samples, *self._once}
            if state is not JobState.COMPLETED or not known or (queue, name) in self._stage.meant_names:
                continue
            job = (await storage.get(queue, [job_id]))[0]
            if job is None or job.parent is not None or (await storage.children(queue, job_id)).queues:
                continue
            self._samples[queue, name] = job.data
