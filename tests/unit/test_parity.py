"""The table of BullMQ's names: complete, true, and in the documents as it is."""

from importlib import import_module

import pytest

from tests.unit.parity import NAMES, TABLE, Row, as_markdown, page, words

ROWS = [row for rows in TABLE.values() for row in rows]
OFFERED = [row for row in ROWS if row.where]


def exists(where: str) -> bool:
    """Whether a thing named `module:Class.attribute`, `module:name` or `module:Keywords[key]` is there."""
    path, _, name = where.partition(":")
    name, _, keyword = name.partition("[")
    thing: object = import_module(path)
    for part in name.split("."):
        fields = getattr(thing, "__struct_fields__", ()) + tuple(getattr(thing, "__dataclass_fields__", ()))
        if part in fields:
            return True
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return not keyword or keyword.rstrip("]") in thing.__annotations__


@pytest.mark.parametrize("row", OFFERED, ids=lambda row: row.theirs)
def test_what_the_table_names_is_there(row: Row) -> None:
    assert exists(row.where)


def test_a_name_that_is_not_there_would_be_noticed() -> None:
    assert not exists("corral.queue:Queue.enqueue")
    assert not exists("corral.keywords:AddKeywords[removeOnComplete]")


def test_every_name_of_bullmq_is_in_the_table() -> None:
    assert NAMES - {word for row in ROWS for word in words(row)} == set()


def test_what_is_not_offered_has_a_reason() -> None:
    assert [row.theirs for row in ROWS if not row.where and len(row.note) < 20] == []


def test_no_name_stands_twice_in_a_section() -> None:
    for section, rows in TABLE.items():
        theirs = [row.theirs for row in rows]
        assert len(theirs) == len(set(theirs)), section


def test_the_documents_have_the_table_as_it_is() -> None:
    assert page()[1] == as_markdown(), "run `python -m tests.unit.parity`"
