"""Small scripts that stand in for the real ones, and opening servers for a test."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from corral.errors import CorralError, StorageUnavailableError
from corral.storage.redis.connection import Server
from corral.storage.redis.scripts import Script, build
from corral.storage.redis.url import parse

T = TypeVar("T")

#: Nothing waits for as long when all is well: CI is slow and does everything at once.
PATIENCE = 30.0

_REMEMBER = """
local memory = KEYS[2] .. 'op:' .. ARGV[2]
if ARGV[2] ~= '' then
  local number, answer = string.match(redis.call('GET', memory) or '', '^(%d+):(.*)$')
  if number == ARGV[3] then return answer end
  if number and tonumber(number) > tonumber(ARGV[3]) then error('CORRAL<stale|' .. number .. '>', 0) end
end
"""


def lua(text: str, name: str = "test") -> Script:
    """A script of this text."""
    return build(name, text, lambda path: {"remember.lua": _REMEMBER}[path])


ECHO = lua("return ARGV[1]", "echo")
#: Counts its calls, and answers a repeated one with what it answered first.
COUNT = lua(
    """--! include remember.lua
local count = tostring(redis.call('INCR', KEYS[1] .. 'count'))
if ARGV[2] ~= '' then redis.call('SET', memory, ARGV[3] .. ':' .. count, 'PX', 60000) end
return count""",
    "count",
)


@asynccontextmanager
async def opened(url: str, raisers: Mapping[str, Callable[[str], CorralError]] | None = None) -> AsyncIterator[Server]:
    """A handle, closed at the end."""
    server = Server(parse(url), raisers or {})
    await server.open()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def hasty(url: str, patience: float = 1.0) -> AsyncIterator[Server]:
    """A handle that gives up soon. Opening it may take as long as it needs: machines stall."""
    server = Server(parse(f"{url}{'&' if '?' in url else '?'}timeout={patience}"))
    await insisting(server.open)
    try:
        yield server
    finally:
        await server.close()


async def insisting(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the store is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(StorageUnavailableError):
                return await call()


async def fails(call: Callable[[], Awaitable[object]], match: str) -> str:
    """Call until it fails for this reason, and not because the machine was too slow for the little patience it has."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with pytest.raises(StorageUnavailableError) as caught:
                await call()
            if re.search(match, str(caught.value)):
                return str(caught.value)


async def refused(url: str, match: str, patience: float = 1.0) -> str:
    """Open until that fails for this reason; answers its words."""

    async def opening() -> None:
        async with opened(f"{url}{'&' if '?' in url else '?'}timeout={patience}"):
            pass

    return await fails(opening, match)


async def counted(server: Server, queue: str = "q") -> int:
    """How often COUNT really ran."""
    (count,) = await server.commands(("GET", f"{server.place.prefix}:{queue}:count"))
    return int(count) if isinstance(count, bytes) else 0


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not await true():  # noqa: ASYNC110  # what is looked at happens in other processes
            await asyncio.sleep(0.01)


async def blocked(server: Server, readers: int = 1) -> bool:
    """Whether so many clients wait in a blocking read."""
    (clients,) = await server.commands(("INFO", "clients"))
    return f"blocked_clients:{readers}\r".encode() in (clients if isinstance(clients, bytes) else b"")
