"""What lies in a SQLite store, read past the engine, and whether its file and tables are whole."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import apsw

from corral.storage.sqlite.unit import COUNTED, id_of
from tests.faults.actors import Scene
from tests.faults.books import Key, Row, Totals

_STATES = ("waiting", "delayed", "active", "waiting-children", "completed", "failed", "held", "grouped")
_COLUMNS = ("waiting", "delayed", "active", "children", "completed", "failed")
_ORPHANS = {
    "a log line without its job": "SELECT count(*) FROM corral_log WHERE job NOT IN (SELECT pk FROM corral_job)",
    "a child's record without its parent": (
        "SELECT count(*) FROM corral_child WHERE parent NOT IN (SELECT pk FROM corral_job)"
    ),
    "a job whose queue is gone": "SELECT count(*) FROM corral_job WHERE queue NOT IN (SELECT pk FROM corral_queue)",
    "a job with a token that is not active": "SELECT count(*) FROM corral_job WHERE token IS NOT NULL AND state != 2",
    "an active job without a token": "SELECT count(*) FROM corral_job WHERE token IS NULL AND state = 2",
    "an event from the future": (
        "SELECT count(*) FROM corral_event e JOIN corral_queue q ON q.pk = e.queue WHERE e.seq >= q.next_event"
    ),
}


class SqliteBooks:
    """The file of a scene, which nobody uses at the moment."""

    def __init__(self, scene: Scene) -> None:
        self._db = apsw.Connection(str(scene.database), flags=apsw.SQLITE_OPEN_READWRITE)
        self._made = bool(
            self._db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'corral_job'").fetchall()[0][0]
        )

    def close(self) -> None:
        self._db.close()

    def rows(self) -> dict[Key, Row]:
        if not self._made:  # after a power cut: not even the tables reached the disk
            return {}
        sql = (
            "SELECT q.name, j.pk, j.id, j.name, j.state, j.attempts_started, j.attempts_made, j.crashes, "
            "CASE WHEN j.data LIKE '{\"bulk\"%' THEN j.data ELSE '' END "
            "FROM corral_job j JOIN corral_queue q ON q.pk = j.queue"
        )
        return {
            (row[0], id_of(row[1], row[2])): Row(row[3], _STATES[row[4]], *row[5:]) for row in self._db.execute(sql)
        }

    def totals(self) -> dict[str, Totals]:
        if not self._made:
            return {}
        return {
            name: Totals(completed, failed)
            for name, completed, failed in self._db.execute(
                "SELECT name, completed_total, failed_total FROM corral_queue"
            )
        }

    def audit(self, rows: Mapping[Key, Row], *, drained: bool, forgiven: frozenset[Key] = frozenset()) -> Iterator[str]:
        """The file is whole, the counters are the cardinalities, and nothing lies around, drained or not."""
        for (verdict,) in self._db.execute("PRAGMA integrity_check"):
            if verdict != "ok":
                yield f"integrity_check: {verdict}"
        if self._made:
            yield from self._counters(rows)
            yield from self._orphans()

    def _counters(self, rows: Mapping[Key, Row]) -> Iterator[str]:
        actual: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for (queue, _), row in rows.items():
            actual[queue][_COLUMNS[COUNTED[_STATES.index(row.state)]]] += 1
        for queue, *counted in self._db.execute(f"SELECT name, {', '.join(_COLUMNS)} FROM corral_queue"):
            for column, count in zip(_COLUMNS, counted, strict=True):
                if count != actual[queue][column]:
                    yield f"counter: {queue} says {count} {column}, there are {actual[queue][column]}"

    def _orphans(self) -> Iterator[str]:
        for what, sql in _ORPHANS.items():
            count = self._db.execute(sql).fetchall()[0][0]
            if count:
                yield f"orphan: {what} ({count} of them)"
