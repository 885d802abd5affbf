"""Removing old rows, some hundreds in a transaction, so that nobody else waits long for the table."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import NamedTuple

import msgspec
from sqlalchemy import Date, DateTime, Row, delete, func, inspect, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.handlers.cleanup.archive import opened
from corral.handlers.cleanup.outcome import CleanupError, Tally
from corral.handlers.cleanup.rules import RowRule
from corral.handlers.kit.database import Database
from corral.plurals import plural


class RowOrder(NamedTuple):
    """How one removal is to go."""

    rule: RowRule
    before_ms: int
    limit: int
    dry_run: bool


async def remove_rows(order: RowOrder, database: Database, say: Callable[[str], None]) -> Tally:
    """Remove what the rule means: in every transaction the oldest rows, after they are in the archive.

    Raises:
        CleanupError: there is no such table.
    """
    tally = Tally()
    async with database.connect() as connection:
        await _look_for_table(connection, order.rule)
        found = await _count(connection, order) if order.dry_run else 0
    if order.dry_run:
        tally.removed = min(found, order.limit)
        tally.more = found > order.limit
        say(f"would remove {plural(tally.removed, 'row')} of {order.rule.table.name}")
        return tally
    while tally.removed < order.limit:
        size = min(order.rule.batch, order.limit - tally.removed)
        async with database.begin() as connection:
            removed = await _remove_some(connection, order, size)
        tally.removed += removed
        if order.rule.archive is not None:
            tally.archived += removed
        if removed < size:
            return tally
    async with database.connect() as connection:
        tally.more = await _count(connection, order) > 0
    return tally


async def _look_for_table(connection: AsyncConnection, rule: RowRule) -> None:
    name, schema = rule.table.name, rule.table.schema
    if not await connection.run_sync(lambda sync: inspect(sync).has_table(name, schema=schema)):
        raise CleanupError(f"the database has no table {name}: is it the right one, and has the table been made?")


async def _count(connection: AsyncConnection, order: RowOrder) -> int:
    rule = order.rule
    old = select(*rule.keys).where(rule.column < _bound(order)).limit(order.limit + 1).subquery()
    return int((await connection.execute(select(func.count()).select_from(old))).scalar_one())


async def _remove_some(connection: AsyncConnection, order: RowOrder, size: int) -> int:
    rule = order.rule
    wanted = rule.keys if rule.archive is None else tuple(rule.table.columns)
    oldest = select(*wanted).where(rule.column < _bound(order)).order_by(rule.column, *rule.keys).limit(size)
    # PostgreSQL: rows that another transaction is busy with are left to it. SQLite has one writer and no such clause.
    rows = (await connection.execute(oldest.with_for_update(skip_locked=True))).all()
    if not rows:
        return 0
    keys = [tuple(row._mapping[key] for key in rule.keys) for row in rows]
    if rule.archive is not None:
        await asyncio.to_thread(_keep, order, rows, keys)
    # Not `rowcount`: the rows are locked, so exactly these go.
    await connection.execute(delete(rule.table).where(tuple_(*rule.keys).in_(keys)))
    return len(rows)


def _keep(order: RowOrder, rows: Sequence[Row[tuple[object, ...]]], keys: Sequence[tuple[object, ...]]) -> None:
    rule = order.rule
    lines = [msgspec.json.encode({column.name: row._mapping[column] for column in rule.table.columns}) for row in rows]
    # The same rows get the same name: a run that died before its commit is followed by one that writes the same file.
    mark = hashlib.sha256(repr(keys).encode()).hexdigest()[:16]
    day = datetime.fromtimestamp(order.before_ms / 1000, UTC)
    with opened(rule.archive) as archive:
        assert archive is not None
        content = BytesIO(b"".join(line + b"\n" for line in lines))
        archive.write(f"{rule.table.name}-{day:%Y%m%d}-{mark}.jsonl.gz", content, order.before_ms // 1000)


def _bound(order: RowOrder) -> object:
    """The instant in the column's own terms."""
    kind = order.rule.column.type
    instant = datetime.fromtimestamp(order.before_ms / 1000, UTC)
    if isinstance(kind, DateTime):
        return instant if kind.timezone else instant.replace(tzinfo=None)
    if isinstance(kind, Date):
        return instant.date()
    return order.before_ms if order.rule.unit == "ms" else order.before_ms // 1000
