"""Sealed: a store whose payloads, results, progress and notes pass through the codecs of their queues.

It stands in front of any engine, so that every way to add a job and every way to read one goes through it: queues,
flows, schedules, workers, the sweepers. A queue without codecs costs one look into a dictionary.

What opens wrongly is not an error here, where it would stop a whole page or claim: the job is shown with a payload that
says why, and the worker fails such a job before anything of it is run.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec import UNSET, Struct
from msgspec.structs import replace

from corral.codec.chain import SEALED, Chain, Chains, Purpose, as_stored, unreadable
from corral.errors import PayloadError
from corral.event import Event, EventCursor, EventType
from corral.job import Job, JobId, JobState, NewJob
from corral.outcome import Completed, Failed, Outcome
from corral.payload import from_json, to_json
from corral.schedule import Schedule
from corral.storage.insight import Page
from corral.storage.passing import Passing
from corral.storage.port import Added, Children, Claim, Claimed, JobPatch, Lease, Settled, Settlement, Storage
from corral.timing import Millis

_TOLD = {EventType.COMPLETED: "result", EventType.PROGRESS: "progress"}
J = TypeVar("J", Job, Schedule)


class Seals(Struct, frozen=True):
    """The codecs of each queue, and how large a payload may be when they are done with it."""

    chains: Chains
    limit: Callable[[str], int | None]  #: bytes that a queue takes; None where only the plain payload has a limit

    def job(self, job: NewJob, *, tie: bool = True) -> NewJob:
        """A job as it is stored. With `tie` its envelope fits no other id than the one its caller chose.

        Raises:
            PayloadError: it is too long then. A dead letter never is: its job would lose the verdict with it.
        """
        origin = job.options.letter
        if origin is None:
            data = self.payload(job.queue, job.name, job.data, job.id if tie else None)
        else:
            home = self.home(job)
            data = self._sealed(home, job.name, job.data, job.id if home == job.queue else None)
        return job if data is job.data else replace(job, data=data)

    def home(self, job: Job | NewJob) -> str:
        """The queue whose codecs a payload goes through: its own, but of a letter whose queue has none, the origin's.

        Else what is secret in one queue would stand in the open as soon as it failed.
        """
        origin = job.options.letter
        return job.queue if origin is None or self.chains(job.queue) is not None else origin.queue

    def payload(self, queue: str, name: str, data: str, job_id: JobId | None = None) -> str:
        """A payload as it is stored. Raises: PayloadError."""
        data = self._sealed(queue, name, data, job_id)
        limit = self.limit(queue)
        if limit is not None and (size := len(data.encode())) > limit:
            raise PayloadError(
                f"payload has {size:,} bytes as it is stored, more than the {limit:,} that queue {queue!r} takes"
            )
        return data

    def _sealed(self, queue: str, name: str, data: str, job_id: JobId | None = None) -> str:
        chain = self.chains(queue)
        return data if chain is None else as_stored(data) or chain.seal(data, Purpose("payload", queue, name, job_id))

    def unsealed(self, job: NewJob) -> NewJob:
        """A job that `job` sealed, as it was before. Raises: PayloadError, saying why it cannot be opened."""
        chain = self.chains(job.queue)
        if chain is None:
            return job
        return replace(job, data=chain.open(job.data, Purpose("payload", job.queue, job.name, job.id)))

    def open(self, text: str, purpose: Purpose) -> str:
        """What was sealed, or a text that says why it cannot be opened."""
        chain = self.chains(purpose.queue)
        if chain is None:
            return text
        try:
            return chain.open(text, purpose)
        except PayloadError as error:
            return unreadable(str(error), text)

    def result(self, queue: str, job_id: JobId, text: str, kind: str = "result") -> str:
        """A result, progress or note as it is stored."""
        chain = self.chains(queue)
        return text if chain is None else chain.seal(text, Purpose(kind, queue, id=job_id))


class SealedStorage(Passing):
    """The port over `inner`, with what users wrote in it sealed there and open here."""

    def __init__(self, inner: Storage, seals: Seals) -> None:
        super().__init__(inner)
        self.seals = seals

    def sibling(self) -> Storage:
        return SealedStorage(self.inner.sibling(), self.seals)

    # -- in --------------------------------------------------------------------------------------------------------

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        return await self.inner.add([self.seals.job(job) for job in jobs], now=now)

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        return self._claimed(await self.inner.claim(queue, claim, now=now))

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        sealed = [
            replace(one, outcome=self._outcome(queue, one.job_id, one.outcome))
            if isinstance(one.outcome, Completed | Failed)
            else one
            for one in settlements
        ]
        settled = await self.inner.settle(queue, sealed, then=then, now=now)
        return replace(settled, claimed=self._claimed(settled.claimed)) if settled.claimed.jobs else settled

    def _outcome(self, queue: str, job_id: JobId, outcome: Completed | Failed) -> Outcome:
        adds = tuple(self.seals.job(job) for job in outcome.adds)
        if isinstance(outcome, Failed):
            return replace(outcome, adds=adds) if adds else outcome
        return replace(outcome, adds=adds, result=self.seals.result(queue, job_id, outcome.result))

    async def update(self, queue: str, patches: Sequence[JobPatch], *, now: Millis | None = None) -> list[JobId]:
        chain = self.seals.chains(queue)
        if chain is not None:
            patches = [self._progress(queue, chain, patch) for patch in patches]
        if any(patch.data is not UNSET for patch in patches):
            patches = await self._data(queue, patches)
        return await self.inner.update(queue, patches, now=now)

    def _progress(self, queue: str, chain: Chain, patch: JobPatch) -> JobPatch:
        # A percentage says nothing about the payload, and whoever looks from Node wants to see it.
        if patch.progress is UNSET or not chain.secret or _is_number(patch.progress):
            return patch
        return replace(patch, progress=self.seals.result(queue, patch.job_id, patch.progress, "progress"))

    async def _data(self, queue: str, patches: Sequence[JobPatch]) -> list[JobPatch]:
        """New payloads are tied to their jobs' names, which only the store knows."""
        jobs = await self.inner.get(queue, [patch.job_id for patch in patches])
        return [
            patch
            if patch.data is UNSET or job is None
            else replace(patch, data=self.seals.payload(self.seals.home(job), job.name, patch.data))
            for patch, job in zip(patches, jobs, strict=True)
        ]

    async def remember(
        self, queue: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None,
        lease: Lease | None = None, now: Millis | None = None,
    ) -> str | None:  # fmt: skip
        """As the port says. Raises: PayloadError, when the earlier note cannot be opened."""
        chain = self.seals.chains(queue)
        secret = chain if chain is not None and chain.secret else None
        if secret is not None and value is not None:
            value = secret.seal(to_json(value, "note", limit=16_000_000), Purpose("note", queue, id=key))
        before = await self.inner.remember(queue, key, value, replace=replace, ttl_ms=ttl_ms, lease=lease, now=now)
        if secret is None or before is None or not before.startswith(SEALED):
            return before
        return str(from_json(secret.open(before, Purpose("note", queue, id=key))))

    async def put_schedules(self, schedules: Sequence[Schedule], *, now: Millis | None = None) -> list[Schedule]:
        sealed = [replace(one, data=self.seals.payload(one.queue, one.name, one.data)) for one in schedules]
        return [self._opened(one) for one in await self.inner.put_schedules(sealed, now=now)]

    async def fire_schedule(
        self, queue: str, key: str, *, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None,
        now: Millis | None = None,
    ) -> list[Added] | None:  # fmt: skip
        sealed = [
            self.seals.job(job, tie=False) for job in jobs
        ]  # an engine may write such a job anew for a later slot
        return await self.inner.fire_schedule(queue, key, slot=slot, jobs=sealed, next_at=next_at, now=now)

    # -- out -------------------------------------------------------------------------------------------------------

    async def get(self, queue: str, ids: Sequence[JobId], *, lean: bool = False) -> list[Job | None]:
        return [None if job is None else self._job(job) for job in await self.inner.get(queue, ids, lean=lean)]

    async def page(
        self, queue: str, states: Sequence[JobState], *, start: int = 0, limit: int = 50, newest_first: bool = True,
        name: str | None = None, group: str | None = None, lean: bool = False, ended_by: Millis | None = None,
    ) -> Page[Job]:  # fmt: skip
        page = await self.inner.page(
            queue, states, start=start, limit=limit, newest_first=newest_first, name=name, group=group, lean=lean,
            ended_by=ended_by,
        )  # fmt: skip
        return Page(self._jobs(page.items), page.total)

    async def children(self, queue: str, job_id: JobId, *, lean: bool = False) -> Children:
        found = await self.inner.children(queue, job_id, lean=lean)
        if lean:
            return found
        completed = {
            child: self._text(found.queues.get(child, queue), child, text, "result")
            for child, text in found.completed.items()
        }
        return replace(found, completed=completed)

    async def schedules(
        self, *, queue: str | None = None, due_by: Millis | None = None, start: int = 0, limit: int = 1000
    ) -> Page[Schedule]:
        page = await self.inner.schedules(queue=queue, due_by=due_by, start=start, limit=limit)
        return Page(tuple(self._opened(one) for one in page.items), page.total)

    async def events(
        self, queue: str, *, after: EventCursor, limit: int = 1000, timeout: float = 0.0
    ) -> tuple[list[Event], EventCursor]:
        found, cursor = await self.inner.events(queue, after=after, limit=limit, timeout=timeout)
        return [self._event(event) for event in found], cursor

    def _claimed(self, claimed: Claimed) -> Claimed:
        return replace(claimed, jobs=self._jobs(claimed.jobs)) if claimed.jobs else claimed

    def _jobs(self, jobs: Iterable[Job]) -> tuple[Job, ...]:
        return tuple(self._job(job) for job in jobs)

    def _job(self, job: Job) -> Job:
        if self.seals.chains(job.queue) is None:
            if job.options.letter is None or job.sizes is not None or self.seals.home(job) == job.queue:
                return job
            data = self.seals.open(job.data, Purpose("payload", self.seals.home(job), job.name, job.id))
            return replace(job, data=data)
        if job.sizes is not None:  # an envelope that is cut cannot be opened, and no list may cost a decryption a row
            return job
        return replace(
            self._opened(job, job.id),
            result=None if job.result is None else self._text(job.queue, job.id, job.result, "result"),
            progress=None if job.progress is None else self._text(job.queue, job.id, job.progress, "progress"),
        )

    def _opened(self, one: J, job_id: JobId | None = None) -> J:
        data = self.seals.open(one.data, Purpose("payload", one.queue, one.name, job_id))
        return one if data is one.data else replace(one, data=data)

    def _text(self, queue: str, job_id: JobId, text: str, kind: str) -> str:
        if kind == "progress" and not text.startswith(SEALED):  # a percentage is stored as it is
            return text
        return self.seals.open(text, Purpose(kind, queue, id=job_id))

    def _event(self, event: Event) -> Event:
        kind = _TOLD.get(event.type)
        if kind is None or event.detail is None or event.job_id is None:
            return event
        return replace(event, detail=self._text(event.queue, event.job_id, event.detail, kind))


def sealed_in(storage: Storage | None) -> SealedStorage | None:
    """The sealed store that this one is, or that stands behind it."""
    while isinstance(storage, Passing) and not isinstance(storage, SealedStorage):
        storage = storage.inner
    return storage if isinstance(storage, SealedStorage) else None


def _is_number(text: str) -> bool:
    return len(text) < 25 and text.replace(".", "", 1).lstrip("-").isdigit()
