"""The intake: what an application does with every job that is about to be added, whoever adds it.

Enqueue middleware may change a job or refuse it, guards only refuse. Both see a job before anything is written, and all
jobs of one call are written in one step: when one of them is refused, none of them is there.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from corral.errors import ConfigError
from corral.job import NewJob

#: Looks at a job before it is added; what it raises refuses the whole call.
Guard: TypeAlias = Callable[[NewJob], None]
#: `await call_next(job)` runs the rest of the chain; its answer is the job as it will be added.
EnqueueMiddleware: TypeAlias = Callable[[NewJob, Callable[[NewJob], Awaitable[NewJob]]], Awaitable[NewJob]]


class Intake:
    """The enqueue middleware and the guards of one application. Middleware goes first, guards see what it made."""

    def __init__(self) -> None:
        self.middlewares: list[EnqueueMiddleware] = []
        self.guards: list[Guard] = []

    async def admit(self, jobs: Sequence[NewJob], *, guarded: bool = True) -> Sequence[NewJob]:
        """The jobs as they are to be written, in the order they came.

        Guards ask who adds; what a schedule makes, nobody adds: it passes with `guarded` False.

        Raises:
            ConfigError: a middleware answered with something else than that job. Whatever else it raises, too.
        """
        if self.middlewares:
            jobs = [await self._through(job) for job in jobs]
        if guarded:
            for guard in self.guards:
                for job in jobs:
                    guard(job)
        return jobs

    async def _through(self, job: NewJob) -> NewJob:
        call: Callable[[NewJob], Awaitable[NewJob]] = _as_it_is
        for middleware in reversed(self.middlewares):
            call = _wrapped(middleware, call)
        made: object = await call(job)
        if not isinstance(made, NewJob):
            raise ConfigError(
                f"enqueue middleware must answer what call_next(job) gave, not {made!r}; raise to refuse a job",
                key="enqueue_middleware",
            )
        # The caller waits for an answer about this job: in another queue, or under another id, it would not find it.
        if made.queue != job.queue or (job.id is not None and made.id != job.id):
            raise ConfigError(
                f"enqueue middleware may not change a job's queue or chosen id: {job.queue}/{job.id or job.name} is "
                f"{made.queue}/{made.id or made.name}",
                key="enqueue_middleware",
            )
        return made


async def _as_it_is(job: NewJob) -> NewJob:
    return job


def _wrapped(
    middleware: EnqueueMiddleware, call: Callable[[NewJob], Awaitable[NewJob]]
) -> Callable[[NewJob], Awaitable[NewJob]]:
    return lambda job: middleware(job, call)


#: The intake of a `Queue` without an application: lets everything in.
OPEN = Intake()
