"""Services and handlers for the tests of injection in child processes: they are found by importing this module."""

import os
from collections.abc import AsyncIterator, Iterator

from corral import Corral, JobContext, SyncJobContext, WaitForChildren, handles

app = Corral("sqlite:///:memory:", name="services")
queue = app.queue("work")


class Engine:
    """A service that lives as long as its worker, where there is one."""

    def __init__(self, app: Corral) -> None:
        self.name = f"engine of {app.name}"


class Session:
    """A service of one job."""

    def __init__(self, engine: Engine, job_id: str) -> None:
        self.engine = engine
        self.job_id = job_id


async def make_session(engine: Engine, ctx: JobContext) -> AsyncIterator[Session]:
    yield Session(engine, ctx.id)


class Pen:
    """A service that a plain generator lends."""

    ink = "blue"


def lend_pen() -> Iterator[Pen]:
    yield Pen()


app.provide(Engine, Engine)
app.provide(Session, make_session, scope="job")
app.provide(Pen, lend_pen, scope="job")


@queue.job("async", process=True)
async def in_child(ctx: JobContext, data: str, session: Session, *, pen: Pen) -> list[object]:
    return [data, session.job_id == ctx.id, session.engine.name, pen.ink, os.getpid()]


@queue.job("sync", process=True)
def blocking_in_child(ctx: SyncJobContext, data: str, session: Session, *, pen: Pen) -> list[object]:
    return [data, session.job_id == ctx.id, session.engine.name, pen.ink, os.getpid()]


@queue.handlers(scope="job")
class Greeter:
    """Handlers in a class, run in a child process."""

    def __init__(self, pen: Pen) -> None:
        self.pen = pen

    @handles("greet", process=True)
    async def greet(self, ctx: JobContext, data: str) -> list[object]:
        return [f"{data} in {self.pen.ink}", os.getpid()]


@queue.job("part")
async def part(data: int) -> int:
    return data * 2


@queue.job("async-parent", process=True)
async def parent_in_child(ctx: JobContext, data: list[int]) -> list[int]:
    return await _spread(ctx, data)


async def _spread(ctx: JobContext, data: list[int]) -> list[int]:
    for number in data:
        await ctx.add_child(part, number)
    parts = await ctx.children_of(part)
    if parts.pending:
        raise WaitForChildren
    await ctx.add_on_complete(part, sum(parts.results), id="after")
    await ctx.add("work", "part", 50, id="beside")
    return parts.results


@queue.job("sync-parent", process=True)
def blocking_parent_in_child(ctx: SyncJobContext, data: list[int]) -> list[int]:
    for number in data:
        ctx.add_child(part, number)
    parts = ctx.children_of(part)
    if parts.pending:
        raise WaitForChildren
    ctx.add_on_complete(part, sum(parts.results), id="after")
    ctx.add("work", "part", 50, id="beside")
    return parts.results


@queue.job("thread-parent")
def parent_in_thread(ctx: SyncJobContext, data: list[int]) -> list[int]:
    return blocking_parent_in_child.handler.function(ctx, data)  # type: ignore[return-value]  # the plain function


@queue.job("loop-parent")
async def parent_on_loop(ctx: JobContext, data: list[int]) -> list[int]:
    return await _spread(ctx, data)
