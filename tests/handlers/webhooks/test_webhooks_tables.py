"""The tables of webhooks, on each kind of database."""

from corral.handlers.webhooks import SCHEMA

from ..databases import differences, opened_at_once


async def test_the_migrations_make_the_tables_that_the_code_declares(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_two_who_open_a_new_database_at_once_both_find_the_tables(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["webhooks_0001"] * 4
