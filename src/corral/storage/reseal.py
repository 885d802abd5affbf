"""Reseal: bring what waits under the current keys, so that an old key can be taken away."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from corral.codec.chain import SEALED, Chain, Purpose, read_envelope
from corral.errors import PayloadError
from corral.job import Job, JobState
from corral.storage.port import JobPatch
from corral.storage.sealed import SealedStorage

#: Jobs that have yet to be run. What has ended keeps its seals until retention removes it.
OPEN = (JobState.DELAYED, JobState.WAITING_CHILDREN, JobState.WAITING, JobState.ACTIVE)
PAGE = 200


class Resealed(Struct, frozen=True):
    """What became of a queue's jobs and schedules. `unreadable` are those that no key here opens."""

    changed: int = 0
    current: int = 0
    unreadable: tuple[str, ...] = ()


async def reseal(storage: SealedStorage, queue: str) -> Resealed:
    """Seal anew the payloads of a queue's pending and running jobs, and of its schedules, that an older key sealed.

    Jobs may be added and run meanwhile. Run it again until nothing changes before the old key is taken away: a job that
    moves from one state to another at that moment may be missed. Payloads must not be changed by `update` meanwhile.
    """
    chain = storage.seals.chains(queue)
    if chain is None:
        return Resealed()
    total = Resealed()
    for state in OPEN:
        start = 0
        while True:
            page = await storage.inner.page(queue, [state], start=start, limit=PAGE, newest_first=False)
            total = _sum(total, await _jobs(storage, chain, queue, page.items))
            start += PAGE
            if start >= page.total:
                break
    return _sum(total, await _schedules(storage, chain, queue))


async def _jobs(storage: SealedStorage, chain: Chain, queue: str, jobs: Iterable[Job]) -> Resealed:
    patches, current, unreadable = [], 0, []
    for job in jobs:
        try:
            text = _again(chain, job.data, Purpose("payload", queue, job.name, job.id))
        except PayloadError:
            unreadable.append(job.id)
            continue
        if text is None:
            current += 1
        else:
            patches.append(JobPatch(job_id=job.id, data=text))
    changed = await storage.inner.update(queue, patches) if patches else []
    return Resealed(len(changed), current, tuple(unreadable))


async def _schedules(storage: SealedStorage, chain: Chain, queue: str) -> Resealed:
    changed, current, unreadable = [], 0, []
    for one in (await storage.inner.schedules(queue=queue, limit=100_000)).items:
        try:
            text = _again(chain, one.data, Purpose("payload", queue, one.name))
        except PayloadError:
            unreadable.append(one.key)
            continue
        if text is None:
            current += 1
        else:
            changed.append(replace(one, data=text))
    if changed:
        await storage.inner.put_schedules(changed)
    return Resealed(len(changed), current, tuple(unreadable))


def _again(chain: Chain, text: str, purpose: Purpose) -> str | None:
    """The payload under the current keys; None when it is under them already."""
    plain = chain.open(text, purpose)
    if chain.is_current(text):
        return None
    tied = read_envelope(text).to if text.startswith(SEALED) else None
    return chain.seal(plain, replace(purpose, id=tied))


def _sum(one: Resealed, other: Resealed) -> Resealed:
    return Resealed(one.changed + other.changed, one.current + other.current, one.unreadable + other.unreadable)
