"""A queue's failures by kind, and its dead letters: look, run again at a bearable rate, put back, forget."""

from collections.abc import Sequence

from corral.errors import ConfigError
from corral.job import Job, JobId, JobState
from corral.letters import original
from corral.options import Letter
from corral.storage.insight import FailureGroup, Page
from corral.storage.port import Selection, Storage
from corral.timing import Seconds, to_ms

#: Jobs touched in one step: other callers get their turn in between.
SLICE = 1_000
_FAILED = frozenset({JobState.FAILED})
#: Where letters that nobody has dealt with stand. A completed one was.
_UNREAD = (JobState.WAITING, JobState.DELAYED, JobState.FAILED)


class FailureVerbs:
    """A queue's verbs about failures and dead letters."""

    name: str
    storage: Storage

    async def failures(self, *, start: int = 0, limit: int = 100) -> Page[FailureGroup]:
        """Kinds of failures, latest first: how many attempts and jobs, since when, and the last job of each."""
        return await self.storage.failures(self.name, start=start, limit=limit)

    async def retry_failures(
        self, fingerprint: str, *, every: Seconds | None = None, rate: float | None = None, after: Seconds = 0,
        limit: int = 10_000,
    ) -> list[JobId]:  # fmt: skip
        """Run the jobs that failed for this kind of failure again, oldest first; answers their ids.

        All at once, or one `every` so many seconds, or `rate` of them a second: a repaired service is not drowned.
        The first one starts `after` so many seconds.

        Raises:
            ConfigError: both `every` and `rate`, or a rate that is not above 0.
        """
        if every is not None and rate is not None:
            raise ConfigError("give every or rate, not both", key="rate")
        if rate is not None and not rate > 0:
            raise ConfigError(f"rate must be jobs per second, above 0, not {rate!r}", key="rate")
        every_ms = to_ms(1 / rate if rate is not None else every or 0, "every")
        first_ms = to_ms(after, "after")
        done: list[JobId] = []
        while len(done) < limit:
            size = min(SLICE, limit - len(done))
            which = Selection(states=_FAILED, fingerprint=fingerprint, limit=size)
            after_ms = first_ms + len(done) * every_ms
            batch = await self.storage.retry(self.name, which, after_ms=after_ms, every_ms=every_ms)
            done += batch
            if len(batch) < size:
                break
        return done

    async def remove_failures(self, fingerprint: str, *, limit: int = 10_000) -> list[JobId]:
        """Delete the jobs that failed for this kind of failure; answers their ids."""
        done: list[JobId] = []
        while len(done) < limit:
            size = min(SLICE, limit - len(done))
            which = Selection(states=_FAILED, fingerprint=fingerprint, limit=size)
            batch = await self.storage.remove(self.name, which)
            done += batch
            if len(batch) < size:
                break
        return done

    async def redrive(self, *job_ids: JobId, limit: int = SLICE) -> list[tuple[str, JobId]]:
        """Put dead letters of this queue back where they came from: these, or the first `limit` nobody dealt with.

        The job that failed runs again; if it is gone, its copy is added. Then the letter is deleted. Answers the queue
        and the id of each job that will run. Jobs that are no letters stay where they are.
        """
        found: list[tuple[str, JobId]] = []
        start = 0
        while len(found) < limit:
            size = min(SLICE, limit - len(found))
            letters, passed = await self._letters(job_ids, start, size)
            back = await self._put_back(letters)
            found += back
            start += passed - len(letters)  # the letters are gone from the list, what stood between them is not
            if job_ids or passed < size:
                break
        return found

    async def _letters(self, job_ids: Sequence[JobId], start: int, size: int) -> tuple[list[tuple[Job, Letter]], int]:
        if job_ids:
            jobs: Sequence[Job | None] = await self.storage.get(self.name, job_ids)
        else:
            jobs = (await self.storage.page(self.name, _UNREAD, start=start, limit=size, newest_first=False)).items
        letters = [(job, job.options.letter) for job in jobs if job is not None and job.options.letter is not None]
        return letters, len(jobs)

    async def _put_back(self, letters: Sequence[tuple[Job, Letter]]) -> list[tuple[str, JobId]]:
        back: list[tuple[str, JobId]] = []
        for queue in dict.fromkeys(letter.queue for _, letter in letters):
            mine = [(job, letter) for job, letter in letters if letter.queue == queue]
            ids = tuple(letter.id for _, letter in mine)
            retried = await self.storage.retry(queue, Selection(ids=ids, states=_FAILED, limit=len(ids)))
            there = await self.storage.get(queue, ids)
            lost = [
                original(job, letter, f"again-{job.id}" if _is_number(letter.id) else letter.id)
                for (job, letter), found in zip(mine, there, strict=True)
                if found is None
            ]
            added = await self.storage.add(lost) if lost else []
            back += [(queue, job_id) for job_id in (*retried, *(one.id for one in added))]
        # Last: whoever dies in between finds the letters again, and putting them back once more changes nothing.
        gone = tuple(job.id for job, _ in letters)
        if gone:
            await self.storage.remove(self.name, Selection(ids=gone, limit=len(gone)))
        return back


def _is_number(job_id: JobId) -> bool:
    """Whether the store gave it out; such an id cannot be asked for again."""
    return job_id.isascii() and job_id.isdigit()
