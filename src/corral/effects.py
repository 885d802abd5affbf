"""What is remembered of steps and effects: how it is stored, and what a person may ask and decide about it.

The steps of a job stand in pages, so that a run that follows on another reads them all at once: `steps/0`, and when
that one is full `steps/1` … An effect has one mark under its key: begun by a run, then done, with the result.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from corral.errors import ConfigError, JobNotFoundError, JobStateError
from corral.job import Job, JobId, JobState
from corral.payload import from_json, result_json
from corral.storage.port import Storage
from corral.timing import Millis, now_ms

#: How long steps are kept after the last one was written: as long as failed jobs are, which may be retried.
KEEP_STEPS = 7 * 86_400.0
KEEP_EFFECTS = 30 * 86_400.0
#: A page is written again with each step until it is this long: a job of 1,000 small steps costs 100 times less so.
PAGE_BYTES = 16_000
#: The queue whose ledger effects of scope "app" stand in. It never has a job.
LEDGER = "corral-effects"
MAX_KEY = 512
#: Replacing a note by one that is over at once is how it is deleted.
AT_ONCE_MS = 0

Scope: TypeAlias = Literal["queue", "app"]


class DoneStep(Struct, frozen=True):
    """A finished step. `result` is JSON, `at` when it was finished, `run` the number of the run that did it."""

    name: str
    result: object
    at: Millis
    run: int


class StepNote(Struct, frozen=True):
    """A finished step as it is stored."""

    result: Raw
    at: Millis
    run: int


class StepPage(Struct, frozen=True):
    """Some steps of one job. A full page has a successor."""

    steps: dict[str, StepNote]
    full: bool = False


class Mark(Struct, frozen=True, omit_defaults=True):
    """How an effect stands: begun by a run, and then done; or, where it is to happen at most once, failed."""

    queue: str
    job_id: JobId
    run: int
    at: Millis
    at_most_once: bool = False
    done: bool = False
    failed: str | None = None
    result: Raw = Raw(b"null")

    @property
    def owner(self) -> str:
        return f"run {self.run} of job {self.job_id!r} in queue {self.queue!r}"

    @property
    def tag(self) -> str:
        return f"{self.queue}/{self.job_id}@{self.run}"


class Effect(Struct, frozen=True):
    """An effect as people see it. `state`: "done", "begun" (it may be going on), or "failed" (it was at most once)."""

    key: str
    state: Literal["done", "begun", "failed"]
    result: object
    queue: str  #: of the job that did it
    job_id: JobId
    run: int
    at: Millis
    at_most_once: bool


_encode = msgspec.json.Encoder().encode
_decode_page = msgspec.json.Decoder(StepPage).decode
_decode_mark = msgspec.json.Decoder(Mark).decode

#: Looks a note up by its key.
Look: TypeAlias = Callable[[str], Awaitable[str | None]]


def note_key(job: Job, key: str) -> str:
    """The key of what a job notes for its later runs."""
    # An id that its caller chose may come again after retention; the time it was added tells the two jobs apart.
    return f"{job.id}@{job.created_at}/{key}"


def page_key(job: Job, number: int) -> str:
    """The key of a page of a job's steps."""
    return note_key(job, f"steps/{number}")


def page_text(page: StepPage) -> str:
    """A page as it is stored."""
    return _encode(page).decode()


async def read_pages(job: Job, look: Look) -> list[StepPage]:
    """Every page of a job's steps; one look suffices for most jobs."""
    pages: list[StepPage] = []
    while not pages or pages[-1].full:
        text = await look(page_key(job, len(pages)))
        if text is None:
            break
        pages.append(_decode_page(text))
    return pages


def shown(name: str, note: StepNote) -> DoneStep:
    """A stored step, readable."""
    return DoneStep(name, from_json(bytes(note.result).decode()), note.at, note.run)


def effect_key(key: object) -> str:
    """Where the mark of an effect stands.

    Raises:
        ConfigError: not a text of 1 to 512 characters.
    """
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
        raise ConfigError(f"the key of an effect must be a text of 1 to {MAX_KEY} characters, not {key!r}", key="key")
    return f"once/{key}"


def heir_key(key: str, dead: Mark) -> str:
    """Where the run stands that took an effect over from a run that died with it: the first one there has it."""
    return f"once-after/{dead.tag}/{key}"


def mark_text(mark: Mark) -> str:
    """A mark as it is stored."""
    return _encode(mark).decode()


def read_mark(text: str) -> Mark:
    """The mark of a stored text."""
    return _decode_mark(text)


def ledger_of(queue: str, scope: object) -> str:
    """The queue whose ledger an effect of this scope stands in. Raises: ConfigError for another scope."""
    if scope == "queue":
        return queue
    if scope == "app":
        return LEDGER
    raise ConfigError(f"scope must be 'queue' or 'app', not {scope!r}", key="scope")


class EffectVerbs:
    """A queue's verbs about steps and effects."""

    name: str
    storage: Storage

    async def steps(self, job_id: JobId) -> tuple[DoneStep, ...]:
        """The steps of a job that are done, in the order in which they were finished. Raises: JobNotFoundError."""
        pages = await self._pages(await self._job(job_id))
        return tuple(shown(name, note) for page in pages for name, note in page.steps.items())

    async def forget_step(self, job_id: JobId, name: str) -> bool:
        """Have the next run of a job do this step again. False when it was not done.

        Raises:
            JobNotFoundError: no such job. JobStateError: it is running, and its steps are its own.
        """
        job = await self._job(job_id)
        if job.state is JobState.ACTIVE:
            raise JobStateError(self.name, job_id, state=job.state.value, wanted="waiting or ended")
        for number, page in enumerate(await self._pages(job)):
            if name in page.steps:
                left = StepPage({key: note for key, note in page.steps.items() if key != name}, page.full)
                ttl_ms = round(KEEP_STEPS * 1000)
                key = page_key(job, number)
                await self.storage.remember(self.name, key, page_text(left), replace=True, ttl_ms=ttl_ms)
                return True
        return False

    async def effect(self, key: str, *, scope: Scope = "queue") -> Effect | None:
        """How an effect stands that a handler wanted `once`; None when it was never begun, or is forgotten."""
        text = await self.storage.remember(ledger_of(self.name, scope), effect_key(key))
        if text is None:
            return None
        mark = read_mark(text)
        return Effect(
            key, "done" if mark.done else "begun" if mark.failed is None else "failed",
            from_json(bytes(mark.result).decode()), mark.queue, mark.job_id, mark.run, mark.at, mark.at_most_once,
        )  # fmt: skip

    async def resolve_effect(self, key: str, result: object = None, *, scope: Scope = "queue") -> None:
        """Decide that an effect has happened, with this result: who asks for it from now on gets that.

        Raises:
            ResultError: the result is not JSON.
        """
        mark = Mark(self.name, "", 0, now_ms(), done=True, result=Raw(result_json(result).encode()))
        ledger, ttl_ms = ledger_of(self.name, scope), round(KEEP_EFFECTS * 1000)
        await self.storage.remember(ledger, effect_key(key), mark_text(mark), replace=True, ttl_ms=ttl_ms)

    async def forget_effect(self, key: str, *, scope: Scope = "queue") -> bool:
        """Decide that an effect has not happened: who asks for it next does it. False when nothing was known of it."""
        ledger = ledger_of(self.name, scope)
        before = await self.storage.remember(ledger, effect_key(key))
        if before is None:
            return False
        await self.storage.remember(ledger, effect_key(key), before, replace=True, ttl_ms=AT_ONCE_MS)
        return True

    async def _job(self, job_id: JobId) -> Job:
        job = (await self.storage.get(self.name, [job_id]))[0]
        if job is None:
            raise JobNotFoundError(self.name, job_id)
        return job

    async def _pages(self, job: Job) -> list[StepPage]:
        return await read_pages(job, lambda key: self.storage.remember(self.name, key))
