"""Steps and effects of one run: what is done already is not done again, whoever died in between.

A step belongs to its job; an effect (`once`) has a key of its own that any job may ask for. Both are written with the
run's lease, so that a run that has lost its job writes nothing.
"""

import asyncio
import inspect
import logging
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, cast

from msgspec import Raw, Struct
from msgspec.structs import force_setattr, replace

from corral.effects import (
    AT_ONCE_MS,
    KEEP_STEPS,
    PAGE_BYTES,
    DoneStep,
    Mark,
    StepNote,
    StepPage,
    effect_key,
    heir_key,
    mark_text,
    page_key,
    page_text,
    read_mark,
    read_pages,
    shown,
)
from corral.error_text import describe
from corral.errors import (
    ConfigError,
    CorralError,
    EffectInProgressError,
    EffectUncertainError,
    PayloadError,
    ResultError,
)
from corral.job import Job
from corral.options import MAX_ATTEMPTS, Exponential, Fixed
from corral.payload import PayloadType, from_json, result_json
from corral.timing import Millis, Seconds, now_ms, to_ms, to_seconds

logger = logging.getLogger("corral.worker")

MAX_NAME = 256


class Step(Struct, frozen=True):
    """A step that wants more than a name.

    `key` tells the rounds of a loop apart: `Step("charge", key=order.id)`. `attempts` and `backoff` (seconds, or a
    curve) try it again within this run; `timeout` (seconds) bounds each try; `ttl` (seconds) is how long its result is
    kept at least.

    Raises:
        ConfigError: a value out of its range.
    """

    name: str
    key: str | int | None = None
    attempts: int = 1
    backoff: Fixed | Exponential | float = 0.0
    timeout: Seconds | None = None
    ttl: Seconds = KEEP_STEPS

    def __post_init__(self) -> None:
        whole = self.name if self.key is None else f"{self.name}:{self.key}"
        if not isinstance(self.name, str) or not 0 < len(whole) <= MAX_NAME:
            raise ConfigError(
                f"a step's name must be a text of 1 to {MAX_NAME} characters, not {self.name!r}", key="step"
            )
        count = self.attempts
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_ATTEMPTS:
            raise ConfigError(
                f"attempts must be a whole number from 1 to {MAX_ATTEMPTS}, not {count!r}", key="attempts"
            )
        if not isinstance(self.backoff, Fixed | Exponential):
            force_setattr(self, "backoff", Fixed(self.backoff))
        if self.timeout is not None:
            force_setattr(self, "timeout", to_seconds(self.timeout, "timeout", minimum=0.001))
        force_setattr(self, "ttl", to_seconds(self.ttl, "ttl", minimum=0.001))

    @property
    def whole(self) -> str:
        """The name under which it is remembered."""
        return self.name if self.key is None else f"{self.name}:{self.key}"


class Ledger(Protocol):
    """Where notes are: the context of the run, here or in a child process."""

    async def remember(
        self, ledger: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None
    ) -> str | None: ...

    async def still_runs(self, queue: str, job_id: str, run: int) -> bool: ...


class Steps:
    """What one run knows of its job's steps, and the effects it is at."""

    def __init__(self, job: Job, ledger: Ledger) -> None:
        self._job = job
        self._ledger = ledger
        self._used: set[str] = set()  #: names of this run
        self._done: dict[str, StepNote] = {}
        self._pages: list[StepPage] = []
        # The first run of a job has nothing to find: it must not pay for looking.
        self._read = job.attempts_started <= 1
        self._unwritten: dict[str, StepNote] = {}
        self._ttl_ms = 0
        self._lock = asyncio.Lock()
        self._claims: dict[tuple[str, str], str] = {}  #: (ledger, key) of effects this run is at -> where its mark is

    # -- steps ---------------------------------------------------------------------------------------------------

    async def begin(self, step: Step) -> StepNote | None:
        """The step's note when it is done already; None when it is to be done now.

        Raises:
            ConfigError: this run has used the name before.
        """
        name = step.whole
        if name in self._used:
            raise ConfigError(
                f"step {name!r} is used twice in one run: give each round of a loop a key, Step({step.name!r}, key=…)",
                key="step",
            )
        self._used.add(name)
        await self._load()
        return self._done.get(name)

    async def finish(self, step: Step, value: object) -> StepNote:
        """Store what the step returned. When this returns, no later run does the step again.

        Raises:
            ResultError: it is not JSON. LeaseLostError: the job is another run's now; nothing was stored.
        """
        note = StepNote(Raw(result_json(value).encode()), now_ms(), self._job.fence)
        self._unwritten[step.whole] = note
        self._ttl_ms = max(self._ttl_ms, to_ms(step.ttl, "ttl"))
        async with self._lock:  # steps that end together go into one write, and never two writes cross each other
            if step.whole in self._unwritten:
                await self._write()
        self._done[step.whole] = note
        return note

    async def done(self) -> tuple[DoneStep, ...]:
        """The steps that are done, by this run and those before it."""
        await self._load()
        return tuple(shown(name, note) for name, note in self._done.items())

    async def _load(self) -> None:
        if self._read:
            return
        async with self._lock:
            if not self._read:
                self._pages = await read_pages(self._job, lambda key: self._ledger.remember(self._job.queue, key))
                self._done = {name: note for page in self._pages for name, note in page.steps.items()} | self._done
                self._read = True

    async def _write(self) -> None:
        batch, self._unwritten = self._unwritten, {}
        fresh = not self._pages or self._pages[-1].full
        number = len(self._pages) if fresh else len(self._pages) - 1
        before = {} if fresh else self._pages[-1].steps
        page = filled({**before, **batch})
        stored = False
        try:
            await self._ledger.remember(
                self._job.queue, page_key(self._job, number), page_text(page), replace=True, ttl_ms=self._ttl_ms
            )
            stored = True
        finally:
            if not stored:  # the neighbours whose steps were in it see that they are not stored
                self._unwritten = batch | self._unwritten
        self._pages[number:] = [page]

    # -- effects -------------------------------------------------------------------------------------------------

    async def claim(self, ledger: str, key: str, ttl_ms: Millis, *, at_most_once: bool) -> Mark | None:
        """The effect's mark when it has happened; None when this run is to do it now, and nobody else will.

        Raises:
            EffectInProgressError: another run, or another task of this one, is at it.
            EffectUncertainError: it was to happen at most once and the run that began it is dead, or failed.
            LeaseLostError: the job is another run's now.
        """
        if (ledger, key) in self._claims:
            raise EffectInProgressError(key, "another task of this very run")
        mine = Mark(self._job.queue, self._job.id, self._job.fence, now_ms(), at_most_once)
        self._claims[ledger, key] = ""
        won = False
        try:
            place = effect_key(key)
            while (text := await self._ledger.remember(ledger, place, mark_text(mine), ttl_ms=ttl_ms)) is not None:
                mark = read_mark(text)
                if mark.done:
                    return mark
                if mark.tag == mine.tag and mark.failed is None:  # begun by this run, and it came back: not at it
                    break
                await self._check_over(key, mark)
                place = heir_key(key, mark)
            if place != effect_key(key):
                # Whoever was found to be over may have finished after the first look: it wrote before its run ended.
                text = await self._ledger.remember(ledger, effect_key(key))
                if text is not None and (mark := read_mark(text)).done:
                    return mark
            self._claims[ledger, key] = place
            won = True
        finally:
            if not won:
                del self._claims[ledger, key]
        return None

    async def _check_over(self, key: str, mark: Mark) -> None:
        """Whether this run may take the effect over from the one that marked it."""
        if mark.failed is not None:
            raise EffectUncertainError(key, mark.owner, mark.failed)
        own = (mark.queue, mark.job_id) == (self._job.queue, self._job.id)
        if not own and await self._ledger.still_runs(mark.queue, mark.job_id, mark.run):
            raise EffectInProgressError(key, mark.owner)
        if mark.at_most_once:
            raise EffectUncertainError(key, mark.owner)

    async def settle(self, ledger: str, key: str, value: object, ttl_ms: Millis) -> Mark:
        """Write down that the effect has happened. Raises: ResultError, LeaseLostError."""
        mark = Mark(
            self._job.queue, self._job.id, self._job.fence, now_ms(), done=True,
            result=Raw(result_json(value).encode()),
        )  # fmt: skip
        await self._ledger.remember(ledger, effect_key(key), mark_text(mark), replace=True, ttl_ms=ttl_ms)
        self._claims.pop((ledger, key), None)
        return mark

    async def give_up(self, ledger: str, key: str, ttl_ms: Millis, error: BaseException, *, at_most_once: bool) -> None:
        """The effect's function raised: let others try, unless it was to happen at most once."""
        place = self._claims.pop((ledger, key), "")
        if not isinstance(error, Exception):
            return  # the run is being ended: its mark says enough, for a run that is over is not at it any more
        mark = Mark(self._job.queue, self._job.id, self._job.fence, now_ms(), at_most_once)
        if at_most_once:
            mark = replace(mark, failed=describe(error))
        try:
            keep_ms = ttl_ms if at_most_once else AT_ONCE_MS
            await self._ledger.remember(ledger, place, mark_text(mark), replace=True, ttl_ms=keep_ms)
        except CorralError as problem:  # the handler is to see its own error; the mark is a dead run's soon
            logger.warning("effect %r could not be given up: %s", key, problem)


def filled(steps: dict[str, StepNote]) -> StepPage:
    """A page with these steps; full when it is long enough that it should not be written again and again."""
    size = sum(len(name) + len(bytes(note.result)) + 50 for name, note in steps.items())
    return StepPage(steps, full=size >= PAGE_BYTES)


# -- results -----------------------------------------------------------------------------------------------------------

#: Annotations whose values come out of JSON as they went in.
_PLAIN = frozenset({None, type(None), bool, int, float, str, dict, list, object, Any, inspect.Signature.empty})


def value_of(result: Raw, function: Callable[..., object]) -> object:
    """A stored result as the type that the function declares; plain JSON when it declares none.

    What a function has just returned goes the same way, so that the first run sees what later ones will see.

    Raises:
        ResultError: the function's own type refuses it.
    """
    text = bytes(result).decode()
    kind = _result_type(function)
    if kind is None:
        return from_json(text)
    try:
        return kind.decode(text)
    except PayloadError as error:
        raise ResultError(f"what {_called(function)} returned is not what it declares: {error}") from None


def _result_type(function: Callable[..., object]) -> PayloadType | None:
    target = function if inspect.isroutine(function) else getattr(function, "func", function)  # a partial's
    try:
        annotation = typing.get_type_hints(target).get("return", Any)
    except (NameError, TypeError):  # a local type, or nothing that has annotations
        return None
    try:
        return None if annotation in _PLAIN else _payload_type(annotation)
    except TypeError:  # it cannot be hashed
        return PayloadType(annotation)


@lru_cache(maxsize=256)
def _payload_type(annotation: object) -> PayloadType | None:
    origin = typing.get_origin(annotation)
    if origin in (dict, list) and all(one in _PLAIN for one in typing.get_args(annotation)):
        return None
    return PayloadType(annotation)


def _called(function: Callable[..., object]) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def is_coroutine_function(function: Callable[..., object]) -> bool:
    """Whether calling it gives a coroutine; anything else is run in a thread."""
    call = getattr(function, "__call__", None)  # noqa: B004  # an instance with `async def __call__`
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def as_step(step: object) -> Step:
    """A step as callers name it. Raises: ConfigError."""
    return step if isinstance(step, Step) else Step(cast(str, step))
