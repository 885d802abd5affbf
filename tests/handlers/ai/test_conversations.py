"""Conversations and vectors in the database: on SQLite and PostgreSQL."""

import asyncio
import math

import pytest

from corral.errors import ConfigError
from corral.handlers.ai import SCHEMA, Message, NotOwnerError, SqlConversations, Vectors
from corral.handlers.kit.database import Database
from tests.handlers.databases import differences, opened_at_once


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["ai_0001"] * 4


def said(id: str, content: str = "hello", **more: object) -> Message:
    return Message(id=id, role="USER", content=content, **more)  # type: ignore[arg-type]  # what a test varies


async def test_messages_stand_in_the_order_they_came_in(database: Database) -> None:
    conversations = SqlConversations(database, clock=lambda: 1_000)
    for number in range(1, 6):
        assert await conversations.add("c", "ann", said(f"m{number}", f"text {number}")) == number
    assert [one.content for one in await conversations.history("c", "ann")] == [f"text {n}" for n in range(1, 6)]
    assert [one.number for one in await conversations.history("c", "ann", limit=2)] == [4, 5]
    assert [one.number for one in await conversations.history("c", "ann", until=3, limit=2)] == [2, 3]
    assert (await conversations.history("c", "ann"))[0] == Message(
        id="m1", role="USER", content="text 1", number=1, sent_at=1_000
    )


async def test_a_message_that_comes_again_stays_where_it_is(database: Database) -> None:
    conversations = SqlConversations(database)
    assert [await conversations.add("c", "ann", said(id)) for id in ("a", "b", "a")] == [1, 2, 1]
    assert len(await conversations.history("c", "ann")) == 2


async def test_messages_that_come_at_once_all_have_their_number(database: Database) -> None:
    conversations = SqlConversations(database)
    numbers = await asyncio.gather(*(conversations.add("c", "ann", said(f"m{n}")) for n in range(8)))
    assert sorted(numbers) == list(range(1, 9))


async def test_a_conversation_is_its_owner_s_and_nobody_else_s(database: Database) -> None:
    conversations = SqlConversations(database)
    await conversations.add("c", "ann", said("m"))
    for attempt in (
        conversations.add("c", "eve", said("x")), conversations.history("c", "eve"), conversations.remove("c", "eve"),
    ):  # fmt: skip
        with pytest.raises(NotOwnerError, match="conversation 'c' belongs to somebody else"):
            await attempt
    assert len(await conversations.history("c", "ann")) == 1
    assert (await conversations.of("ann"), await conversations.of("eve")) == (["c"], [])


async def test_a_conversation_goes_with_all_that_was_said(database: Database) -> None:
    conversations = SqlConversations(database)
    await conversations.add("c", "ann", said("m"))
    assert [await conversations.remove("c", "ann") for _ in range(2)] == [True, False]
    assert await conversations.history("c", "ann") == []
    assert await conversations.add("c", "bob", said("m")) == 1


async def test_the_conversation_that_changed_last_comes_first(database: Database) -> None:
    clock = iter(range(1_000, 2_000))
    conversations = SqlConversations(database, clock=lambda: next(clock))
    for conversation in ("a", "b", "a"):
        await conversations.add(conversation, "ann", said(f"{conversation}{next(clock)}"))
    assert await conversations.of("ann") == ["a", "b"]


# -- vectors -----------------------------------------------------------------------------------------------------------


async def test_the_most_alike_are_found_first(database: Database) -> None:
    vectors = Vectors(database)
    texts = [("north", "up"), ("east", "right"), ("north-east", "between"), ("south", "down")]
    await vectors.put("c", "m", texts, [(0, 5), (3, 0), (2, 2), (0, -1)])
    found = await vectors.search("c", (0, 7))
    assert [(one.id, one.text) for one in found] == [("north", "up"), ("north-east", "between"), ("east", "right")]
    assert [one.score for one in found] == pytest.approx([1, math.sqrt(0.5), 0], abs=1e-6)
    assert [one.id for one in await vectors.search("c", (0, 7), limit=1)] == ["north"]
    assert [one.id for one in await vectors.search("c", (0, 7), minimum=0.5)] == ["north", "north-east"]
    assert [one.id for one in await vectors.search("c", (0, 7), minimum=-1)][-1] == "south"


async def test_more_vectors_than_a_page_are_all_looked_at(database: Database) -> None:
    vectors = Vectors(database)
    count = 2_500
    angles = [n * math.pi / count for n in range(count)]
    texts = [(f"{n:05}", f"text {n}") for n in range(count)]
    await vectors.put("c", "m", texts, [(math.cos(angle), math.sin(angle)) for angle in angles])
    found = await vectors.search("c", (math.cos(angles[1_777]), math.sin(angles[1_777])), limit=3)
    assert found[0].id == "01777"
    assert {one.id for one in found} == {"01776", "01777", "01778"}


async def test_collections_models_and_lengths_do_not_mix(database: Database) -> None:
    vectors = Vectors(database)
    await vectors.put("c", "m", [("a", "a")], [(1, 0)])
    await vectors.put("c", "other", [("b", "b")], [(1, 0)])
    await vectors.put("c", "m", [("long", "long")], [(1, 0, 0)])
    await vectors.put("d", "m", [("a", "a")], [(1, 0)])
    assert [one.id for one in await vectors.search("c", (1, 0))] == ["a", "b"]
    assert [one.id for one in await vectors.search("c", (1, 0), model="m")] == ["a"]
    assert await vectors.search("nothing", (1, 0)) == []


async def test_a_vector_takes_the_place_of_the_one_before(database: Database) -> None:
    vectors = Vectors(database)
    await vectors.put("c", "m", [("a", "old")], [(1, 0)])
    await vectors.put("c", "m", [("a", "new")], [(0, 1)])
    assert [(one.text, one.score) for one in await vectors.search("c", (0, 1))] == [("new", 1)]


async def test_only_the_very_text_by_the_very_model_is_known(database: Database) -> None:
    vectors = Vectors(database)
    await vectors.put("c", "m", [("a", "text"), ("b", "text")], [(1, 0), (0, 1)])
    assert await vectors.known("c", "m", [("a", "text"), ("b", "changed"), ("new", "text")]) == {"a"}
    assert await vectors.known("c", "other", [("a", "text")]) == set()


async def test_vectors_are_removed_by_id_or_all(database: Database) -> None:
    vectors = Vectors(database)
    await vectors.put("c", "m", [(str(n), "t") for n in range(5)], [(1, n) for n in range(5)])
    assert await vectors.remove("c", ["0", "1", "none"]) == 2
    assert await vectors.remove("c") == 3


@pytest.mark.parametrize("vector", [(), (0, 0), (math.nan, 1), (math.inf, 1)])
async def test_a_vector_without_a_direction_is_refused(database: Database, vector: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="must have a direction"):
        await Vectors(database).search("c", vector)
