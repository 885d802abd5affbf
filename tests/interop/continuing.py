"""Serving everything a queue holds, as a worker would, but on a clock of the test's own."""

import json
from itertools import count

from corral.job import Job
from corral.options import Keep
from corral.outcome import Completed
from corral.storage.port import Claim, Settlement, Storage, Token
from corral.timing import Millis

from .keys import Keys

RESULT = {"by": "corral", "list": []}
#: A time at which everything the scenes put off for hours or until New Year is due.
LATER: Millis = 400 * 86_400_000

_tokens = count(1)


async def serve_all(storage: Storage, keys: Keys, queues: list[str], now: Millis) -> list[Job]:
    """Claim and complete whatever can be claimed, in all queues, until nothing more comes; answers the jobs run."""
    served: list[Job] = []
    for _ in range(100):
        batch = [job for queue in queues for job in await _one_turn(storage, keys, queue, now)]
        if not batch:
            return served
        served += batch
    raise AssertionError("the queues never get empty")


async def _one_turn(storage: Storage, keys: Keys, queue: str, now: Millis) -> list[Job]:
    token = Token(f"golden-{next(_tokens)}")
    claim = Claim(count=50, token=token, lease_ms=30_000, worker="box-2")
    claimed = await storage.claim(queue, claim, now=now)
    if claimed.held_until is not None and not claimed.jobs:  # the window of the rate limit passes
        await keys.client.delete(f"{keys.prefix}:{queue}:limiter")
        now = claimed.held_until + 1
        claimed = await storage.claim(queue, claim, now=now)
    verdicts = [
        Settlement(job_id=job.id, token=token, outcome=Completed(json.dumps(RESULT), _keep(job)))
        for job in claimed.jobs
    ]
    if verdicts:
        settled = await storage.settle(queue, verdicts, now=now)
        assert settled.refused == {}
    return list(claimed.jobs)


def _keep(job: Job) -> Keep:
    return job.options.keep_completed or Keep()


async def let_leases_end(storage: Storage, keys: Keys, queue: str, now: Millis) -> None:
    """The workers of active jobs are gone: their locks expire, and upkeep comes round until all is back."""
    locks = [
        f"{keys.prefix}:{name}"
        for name in await keys.names()
        if name.startswith(f"{queue}:") and name.endswith(":lock")
    ]
    if locks:
        await keys.client.delete(*locks)
    for minute in range(3):
        await storage.recover(queue, now=now + minute * 60_000)
