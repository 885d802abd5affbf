"""Handlers with steps that run in child processes, and what they need there."""

import os
from pathlib import Path

from corral import JobContext, Retry, Step, SyncJobContext


def note(place: str, word: str) -> str:
    """Write a line outside of the store: what was really done."""
    with Path(place).open("a") as file:
        file.write(f"{word}\n")
    return word.upper()


async def note_async(place: str, word: str) -> str:
    return note(place, word)


def trip(ctx: SyncJobContext, data: str) -> list[object]:
    first = ctx.step("first", note, data, "first")
    if ctx.fence == 1:
        os._exit(1)
    again = ctx.step(Step("second", attempts=2), note, data, "second")
    shared = ctx.once("key", note, data, "effect")
    return [first, again, shared, [one.name for one in ctx.steps()]]


async def trip_async(ctx: JobContext, data: str) -> list[object]:
    first = await ctx.step("first", note_async, data, "first")
    if ctx.fence == 1:
        os._exit(1)
    again = await ctx.step("second", note, data, "second")
    shared = await ctx.once("key", note_async, data, "effect", scope="app")
    return [first, again, shared, [one.name for one in await ctx.steps()]]


def pause(ctx: SyncJobContext) -> None:
    if ctx.fence == 1:
        raise Retry("429", after=3_600, pause="group")


def fail(ctx: SyncJobContext, data: int) -> None:
    raise LookupError(f"no order {data}")
