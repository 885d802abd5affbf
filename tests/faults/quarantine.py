"""One piece of junk among good jobs: whoever works there must finish the good ones and be rid of it."""

import random
from collections.abc import Iterator

from corral.errors import CorralError
from corral.job import JobState, NewJob
from corral.outcome import Completed
from corral.storage.port import Claim, Settlement, Storage, Token
from tests.faults.junk import Planter
from tests.faults.keys import Keys

#: Rounds of a worker's life: junk may need a few until it was given up.
ROUNDS = 12
GOOD = ("good-1", "good-2", "good-3")
#: Where nothing may lie in the end: here it is in somebody's way, or would be looked at for ever.
_IN_THE_WAY = ("wait", "prioritized", "delayed", "active")


async def harm_done(storage: Storage, keys: Keys, prefix: str, queue: str, what: str) -> list[str]:
    """What goes wrong with one kind of junk, in sentences. The queue must be a fresh one."""
    base = f"{prefix}:{queue}:"
    planter = Planter(keys, base, f"corral:{base}", random.Random(what))
    found: list[str] = []
    if not what.startswith("parent"):
        planter.plant(what)
        found += await _alone(storage, queue, planter.planted[0])
    await storage.add([NewJob(queue=queue, name="quick", id=job_id) for job_id in GOOD[:2]])
    if not planter.planted:
        planter.plant(what, child=f"{base}{GOOD[0]}")
    await storage.add([NewJob(queue=queue, name="quick", id=GOOD[2])])
    left = ["nobody has looked yet"]
    for turn in range(ROUNDS):
        try:
            await _look(storage, queue, planter.planted[0])
            await _turn(storage, queue, Token(f"t{turn}"))
        except (CorralError, ValueError, ArithmeticError) as error:  # ValueError: a reply that cannot be read
            found.append(f"{type(error).__name__}: {error}")
        left = list(_left(keys, base, planter.planted[0]))
        if not left:
            break
    return [f"{what}: {complaint}" for complaint in (*dict.fromkeys(found), *left)]


async def _alone(storage: Storage, queue: str, job_id: str) -> list[str]:
    """Nothing else is there to be shown."""
    try:
        await _look(storage, queue, job_id)
    except (CorralError, ValueError, ArithmeticError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


async def _look(storage: Storage, queue: str, job_id: str) -> None:
    """Whatever shows the whole queue must be able to show this one."""
    await storage.counts([queue])
    await storage.page(queue, list(JobState))
    await storage.get(queue, [*GOOD, job_id])


async def _turn(storage: Storage, queue: str, token: Token) -> None:
    claimed = (await storage.claim(queue, Claim(count=2, token=token, lease_ms=60_000, worker="w"))).jobs
    verdicts = [Settlement(job_id=job.id, token=token, outcome=Completed()) for job in claimed]
    if verdicts:
        await storage.settle(queue, verdicts)
    await storage.recover(queue)


def _left(keys: Keys, base: str, job_id: str) -> Iterator[str]:
    done = set(keys.members(f"{base}completed"))
    if missing := set(GOOD) - done:
        yield f"{sorted(missing)} never came through"
    for place in _IN_THE_WAY:
        if job_id in keys.members(f"{base}{place}"):
            yield f"it is still in {place}"
    for place in ("leases", "held"):
        if job_id in keys.members(f"corral:{base}{place}"):
            yield f"it is still in {place}"
