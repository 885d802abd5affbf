"""Handlers for `process=True`: child processes import them by the name of this module."""

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from corral import Discard, JobContext, Retry, Snooze, SyncJobContext


class Order(BaseModel):
    number: int


def work(ctx: SyncJobContext, order: Order) -> list[int]:
    ctx.progress(50)
    ctx.log("half way")
    return [os.getpid(), order.number, ctx.attempt]


async def work_async(ctx: JobContext, order: Order) -> list[int]:
    await ctx.progress(50)
    await ctx.log("half way")
    return [os.getpid(), order.number, ctx.attempt]


def deliver(path: str, line: str) -> None:
    with Path(path).open("a") as box:
        box.write(f"{line}\n")


def email(ctx: SyncJobContext, data: str) -> dict[str, bool]:
    """Sends (writes to the file `data`), and fails after the sending."""
    if ctx.recall("sent"):
        return {"already_sent": True}
    deliver(data, ctx.id)
    ctx.note("sent", "yes")
    raise ConnectionError("the answer got lost")


async def email_async(ctx: JobContext, data: str) -> dict[str, bool]:
    if await ctx.recall("sent"):
        return {"already_sent": True}
    deliver(data, ctx.id)
    await ctx.note("sent", "yes")
    raise ConnectionError("the answer got lost")


def gather(ctx: SyncJobContext, data: None) -> list[object]:
    children = ctx.children()
    return [children.pending, children.completed, children.failed]


async def gather_async(ctx: JobContext, data: None) -> list[object]:
    children = await ctx.children()
    return [children.pending, children.completed, children.failed]


def give_nan() -> float:
    return float("nan")


def whoami() -> int:
    return os.getpid()


def hang(ctx: SyncJobContext) -> None:
    ctx.progress(os.getpid())
    time.sleep(60)


def stubborn(ctx: SyncJobContext) -> None:
    """Does not even end when it is told to."""
    ctx.progress(os.getpid())
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


def signal_by_name(ctx: SyncJobContext, data: str) -> int:
    if ctx.attempt > 1 or ctx.fence > 1:
        return ctx.attempt
    match data:
        case "retry":
            raise Retry("not yet", after=0.01)
        case "snooze":
            raise Snooze(0.01)
        case _:
            raise Discard("never")


def fail(data: str) -> None:
    match data:
        case "value":
            raise ValueError("bad value")
        case "exit":
            raise SystemExit(3)
        case "hard":
            os._exit(3)
        case _:
            raise ConnectionError("no route")


async def cancellable(ctx: JobContext, data: str) -> None:
    await ctx.progress("running")
    try:
        await asyncio.sleep(60)
    finally:
        Path(data).write_text("cleaned up")


def give_list() -> list[int]:
    return [1, 2]
