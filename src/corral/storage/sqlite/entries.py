"""Entries: texts with a version, by kind and id."""

from collections import Counter
from collections.abc import Sequence

from corral.storage.records import Entry, EntryChange
from corral.storage.sqlite.unit import Row, Unit
from corral.timing import Millis

#: Entries whose time is over, deleted with a write: a million of them must not stop the store.
SLICE = 1_000
_FRESH = "(expires_at IS NULL OR expires_at > ?)"
_COLUMNS = "id, text, version, at"


def write(unit: Unit, kind: str, changes: Sequence[EntryChange], keep: int | None, now: Millis) -> list[int | None]:
    """Make the changes in order, and forget what is old."""
    old = f"SELECT kind, id FROM corral_entry WHERE expires_at <= ? LIMIT {SLICE}"  # noqa: S608  # constants only
    gone = unit.rows(f"DELETE FROM corral_entry WHERE (kind, id) IN ({old}) RETURNING kind", (now,))  # noqa: S608
    for other, count in Counter(row[0] for row in gone).items():
        _count(unit, other, -count)
    answers = [_change(unit, kind, change, now) for change in changes]
    if keep is not None:
        _trim(unit, kind, max(0, keep))
    return answers


def _trim(unit: Unit, kind: str, keep: int) -> None:
    """Of this kind only the last so many stay."""
    beyond = (unit.number("SELECT entries FROM corral_kind WHERE kind = ?", (kind,)) or 0) - keep
    if beyond > 0:
        first = "SELECT id FROM corral_entry WHERE kind = ? ORDER BY id LIMIT ?"
        unit.db.execute(f"DELETE FROM corral_entry WHERE kind = ? AND id IN ({first})", (kind, kind, beyond))  # noqa: S608
        _count(unit, kind, -beyond)


def _count(unit: Unit, kind: str, more: int) -> None:
    count = (
        "INSERT INTO corral_kind VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET entries = entries + excluded.entries"
    )
    unit.db.execute(count, (kind, more))
    if more < 0:  # a kind for each worker there ever was
        unit.db.execute("DELETE FROM corral_kind WHERE kind = ? AND entries = 0", (kind,))


def _change(unit: Unit, kind: str, change: EntryChange, now: Millis) -> int | None:
    find = f"SELECT version FROM corral_entry WHERE kind = ? AND id = ? AND {_FRESH}"  # noqa: S608  # constants only
    there = unit.number(find, (kind, change.id, now)) or 0
    if change.text is None and not there:
        return 0
    if change.version is not None and change.version != there:
        return None
    if change.text is None:
        unit.db.execute("DELETE FROM corral_entry WHERE kind = ? AND id = ?", (kind, change.id))
        _count(unit, kind, -1)
        return 0
    ends_at = None if change.ttl_ms is None else now + change.ttl_ms
    # One that is over may still lie there: a write deletes a thousand of those at most.
    if unit.row("SELECT 1 FROM corral_entry WHERE kind = ? AND id = ?", (kind, change.id)) is None:
        _count(unit, kind, 1)
    row = (kind, change.id, there + 1, now, ends_at, change.text)
    unit.db.execute("INSERT OR REPLACE INTO corral_entry VALUES (?, ?, ?, ?, ?, ?)", row)
    return there + 1


def some(unit: Unit, kind: str, ids: Sequence[str], now: Millis) -> list[Entry]:
    """These entries, as far as they are there."""
    sql = f"SELECT {_COLUMNS} FROM corral_entry WHERE kind = ? AND id = ? AND {_FRESH}"  # noqa: S608  # constants only
    rows = (unit.row(sql, (kind, one, now)) for one in ids)
    return [_entry(row) for row in rows if row is not None]


def stretch(
    unit: Unit, kind: str, after: str | None, before: str | None, limit: int, newest_first: bool, now: Millis
) -> list[Entry]:
    """Entries between two ids. The text order of SQLite is that of UTF-8's bytes, which is that of code points."""
    where, values = ["kind = ?", _FRESH], [kind, now]
    if after is not None:
        where.append("id > ?")
        values.append(after)
    if before is not None:
        where.append("id < ?")
        values.append(before)
    order = "DESC" if newest_first else "ASC"
    sql = f"SELECT {_COLUMNS} FROM corral_entry WHERE {' AND '.join(where)} ORDER BY id {order} LIMIT ?"  # noqa: S608
    return [_entry(row) for row in unit.rows(sql, (*values, max(0, limit)))]


def _entry(row: Row) -> Entry:
    return Entry(id=row[0], text=row[1], version=row[2], at=row[3])
