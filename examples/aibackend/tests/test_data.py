"""The platform's data on both kinds of databases."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest

from corral.handlers.ai import Message, SqlConversations
from corral.handlers.kit.database import Database
from examples.aibackend.data import Data, User
from examples.aibackend.seed import PEOPLE, TALKS, seed
from examples.aibackend.tables import SCHEMA
from tests.handlers.conftest import app_database, postgres
from tests.handlers.databases import differences, opened_at_once

__all__ = ["app_database", "postgres"]

NOON = round(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
async def data(app_database: str) -> AsyncIterator[Data]:
    """Open data, with what the seed puts in."""
    database = Database(app_database)
    made = Data(database, clock=lambda: NOON)
    await seed(database)
    async with database:
        yield made


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["aibackend_0001"] * 4


async def test_people_are_found_by_id_and_administrators_by_what_they_are(data: Data) -> None:
    assert await data.user("user-1") == PEOPLE[0]
    assert await data.user("nobody") is None
    assert await data.admins() == [PEOPLE[3]]
    await data.put_users([User("user-1", "Alice", "new@example.com", "USER")])
    found = await data.user("user-1")
    assert found is not None
    assert found.email == "new@example.com"


async def test_a_mail_is_noted_once_and_a_note_is_left_once(data: Data) -> None:
    assert not await data.was_sent("user-1", "welcome")
    for _ in range(2):
        await data.note_sent("user-1", "welcome")
        await data.notify("failed-1", "user-1", "Your job failed", "1")
    assert await data.was_sent("user-1", "welcome")
    assert not await data.was_sent("user-2", "welcome")
    assert await data.notes("user-1") == [("Your job failed", "1")]


async def test_usage_is_of_a_day_as_its_zone_has_it(data: Data) -> None:
    used = await data.usage(date(2026, 11, 23), "America/New_York")
    said = sum(map(len, TALKS.values()))
    assert (used.day, used.people, used.messages) == ("2026-11-23", 3, said)
    assert used.tokens > 0
    assert (await data.usage(date(2026, 11, 22), "America/New_York")).messages == 0
    await data.put_report(used)
    assert await data.report("2026-11-23") == used


@pytest.mark.parametrize(
    ("day", "hours", "offset"), [("2026-11-01", 25, 4), ("2026-03-08", 23, 5), ("2026-12-01", 24, 5)]
)
async def test_the_day_of_a_clock_change_has_its_hours(data: Data, day: str, hours: int, offset: int) -> None:
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=hours + offset)
    inside, outside = (round((end + timedelta(minutes=minutes)).timestamp() * 1000) for minutes in (-1, 1))
    clock = iter([inside, inside, outside, outside])
    talks = SqlConversations(data.database, clock=lambda: next(clock))
    for id in ("inside", "outside"):
        await talks.add("c", "user-1", Message(id=id, role="USER", content="x"))
    assert (await data.usage(date.fromisoformat(day), "America/New_York")).messages == 1


async def test_new_texts_come_in_order_and_once(data: Data) -> None:
    first = await data.new_texts(5)
    assert [text.sent_at for text in first] == sorted(text.sent_at for text in first)
    await data.have_read(first[-1])
    rest = await data.new_texts(100)
    assert len(first) + len(rest) == sum(map(len, TALKS.values()))
    assert not {text.id for text in first} & {text.id for text in rest}
    await data.have_read(rest[-1])
    assert await data.new_texts(100) == []
