"""Queues that only Node uses, among very many keys: found little by little, and nobody waits for long."""

import asyncio

import pytest

from corral.storage.redis import discovery
from corral.storage.redis.connection import Server
from corral.storage.redis.discovery import Discovery

MADE = {f"q{n}" for n in range(20)}


@pytest.fixture
async def crowded(server: Server) -> Server:
    """A store with queues of Node's and many other keys."""
    prefix = server.place.prefix
    await server.commands(*(("HSET", f"{prefix}:{name}:meta", "version", "x") for name in MADE))
    await server.commands(*(("SET", f"{prefix}:mail:{n}", "x") for n in range(3_000)))
    await server.commands(("HSET", f"{prefix}:mail:meta:logs", "x", "y"), ("HSET", f"{prefix}:a:b:meta", "x", "y"))
    return server


async def test_a_round_finds_every_queue(crowded: Server) -> None:
    assert await Discovery(crowded, crowded.place.prefix).names() == MADE


async def test_without_time_each_call_gets_on_and_loses_nothing(
    crowded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for share in ("SHARE", "EARLY_SHARE", "FIRST_SHARE"):
        monkeypatch.setattr(discovery, share, 0.0)
    monkeypatch.setattr(discovery, "STEP", 10)
    found = Discovery(crowded, crowded.place.prefix)
    before: set[str] = set()
    calls = 0
    while before != MADE:
        names = await found.names()
        assert before <= names <= MADE
        before, calls = names, calls + 1
    assert calls > 2


async def test_whoever_asks_meanwhile_is_told_what_is_known(crowded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "FIRST_SHARE", 0.0)
    found = Discovery(crowded, crowded.place.prefix)
    await found._lock.acquire()  # somebody looks, and goes on looking
    assert await found.names() == set()
    found._lock.release()
    monkeypatch.setattr(discovery, "FIRST_SHARE", 60.0)
    answers = await asyncio.gather(*(found.names() for _ in range(5)))
    assert answers == [MADE] * 5


async def test_a_queue_that_is_gone_is_forgotten_with_the_next_round(
    crowded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "PERIOD", 0.0)
    monkeypatch.setattr(discovery, "SHARE", 60.0)
    found = Discovery(crowded, crowded.place.prefix)
    assert await found.names() == MADE
    await crowded.commands(("DEL", f"{crowded.place.prefix}:q7:meta"))
    assert await found.names() == MADE - {"q7"}
