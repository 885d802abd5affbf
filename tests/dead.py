"""Workers that are not there any more."""

from collections.abc import Sequence

from corral import Storage
from corral.job import JobId
from corral.storage.port import Claim, Token
from corral.timing import now_ms


async def claimed_by_the_dead(storage: Storage, queue: str) -> Sequence[JobId]:
    """One job of the queue, taken an hour ago by a worker that is never heard of again."""
    dead = Claim(count=1, token=Token("dead"), lease_ms=1_000)
    return [job.id for job in (await storage.claim(queue, dead, now=now_ms() - 3_600_000)).jobs]
