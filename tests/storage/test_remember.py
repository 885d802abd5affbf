"""remember: a ledger of effects, where the first note stands."""

import asyncio

from corral.storage.port import Storage

from .helpers import QUEUE, T0, Tape


async def test_the_first_note_stands(storage: Storage) -> None:
    assert await storage.remember(QUEUE, "sent:1", "yes", now=T0) is None
    assert await storage.remember(QUEUE, "sent:1", "again", now=T0) == "yes"
    assert await storage.remember(QUEUE, "sent:1", now=T0) == "yes"


async def test_without_a_value_it_only_looks(storage: Storage, tape: Tape) -> None:
    assert await storage.remember(QUEUE, "k", now=T0) is None
    assert await storage.remember(QUEUE, "k", now=T0) is None
    assert await storage.remember(QUEUE, "k", "v", now=T0) is None
    assert await tape.everything() == []


async def test_replacing_answers_the_note_before(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "one", now=T0)
    assert await storage.remember(QUEUE, "k", "two", replace=True, now=T0) == "one"
    assert await storage.remember(QUEUE, "k", now=T0) == "two"


async def test_an_empty_note_is_a_note(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "", now=T0)
    assert await storage.remember(QUEUE, "k", "other", now=T0) == ""
    assert await storage.remember(QUEUE, "k", now=T0) == ""


async def test_a_note_is_forgotten_after_its_time(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "old", ttl_ms=1_000, now=T0)
    assert await storage.remember(QUEUE, "k", now=T0 + 999) == "old"
    assert await storage.remember(QUEUE, "k", now=T0 + 1_001) is None
    assert await storage.remember(QUEUE, "k", "new", now=T0 + 1_001) is None
    assert await storage.remember(QUEUE, "k", now=T0 + 1_001) == "new"


async def test_a_note_without_a_time_stays(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "v", now=T0)
    assert await storage.remember(QUEUE, "k", now=T0 + 10 * 365 * 86_400_000) == "v"


async def test_a_refused_note_does_not_lengthen_the_first_ones_time(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "first", ttl_ms=1_000, now=T0)
    assert await storage.remember(QUEUE, "k", "second", ttl_ms=9_000, now=T0 + 500) == "first"
    assert await storage.remember(QUEUE, "k", now=T0 + 1_001) is None


async def test_each_queue_has_its_own_notes(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "here", now=T0)
    assert await storage.remember("other", "k", now=T0) is None
    assert await storage.remember(QUEUE, "k2", now=T0) is None


async def test_of_many_at_once_one_is_first(storage: Storage) -> None:
    answers = await asyncio.gather(*(storage.remember(QUEUE, "k", str(n), now=T0) for n in range(20)))
    assert answers.count(None) == 1
    assert len(set(answers) - {None}) == 1
