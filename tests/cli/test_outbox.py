"""`corral outbox`: rows that were set aside."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from corral import Corral
from corral.outbox import Outbox

from .helpers import call, told


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database with an outbox of three rows, two of which were set aside."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    outbox = Outbox(Corral("sqlite:///:memory:"))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    outbox.metadata.create_all(engine)
    row = {"queue": "orders", "body": "{}", "created_at": 1_790_000_000_000}
    rows = [
        {**row, "job_id": "ob-1", "reason": "uncertain"},
        {**row, "job_id": "ob-2", "reason": "no such job"},
        {**row, "job_id": "ob-3", "reason": None},
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(outbox.tables.jobs), rows)
    return url


def listed(database: str) -> list[tuple[object, ...]]:
    return [(row["id"], row["job"], row["reason"]) for row in told("outbox", "list", "--database", database)]


def test_rows_are_listed_carried_after_all_and_deleted(database: str) -> None:
    assert listed(database) == [(1, "ob-1", "uncertain"), (2, "ob-2", "no such job")]
    assert call("outbox", "again", "1", "--database", database).exit_code == 0
    assert listed(database) == [(2, "ob-2", "no such job")]
    assert call("outbox", "forget", "2", "--database", database).exit_code == 2  # nobody was asked
    assert call("outbox", "forget", "2", "--yes", "--database", database).exit_code == 0
    assert "nothing was set aside" in call("outbox", "list", "--database", database).stderr


@pytest.mark.parametrize(("rows", "status"), [(("2", "3"), 1), (("3",), 4), (("99",), 4)])
def test_rows_that_were_not_set_aside_are_left_alone(database: str, rows: tuple[str, ...], status: int) -> None:
    assert call("outbox", "forget", *rows, "--yes", "--database", database).exit_code == status
    with sa.create_engine(database, poolclass=sa.NullPool).connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM corral_outbox WHERE id = 3")) == 1


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "nonsense", "firebird://host/shop"])
def test_a_database_that_cannot_be_used_is_one_line(url: str) -> None:
    result = call("outbox", "list", "--database", url)
    assert (result.exit_code, "the database with the outbox cannot be used" in result.stderr) == (3, True)


def test_a_database_without_an_outbox_says_so(tmp_path: Path) -> None:
    result = call("outbox", "list", "--database", f"sqlite:///{tmp_path / 'empty.db'}")
    assert (result.exit_code, "no such table: corral_outbox" in result.stderr) == (3, True)
