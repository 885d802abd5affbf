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
    "a note whose queue is gone": "SELECT count(*) FROM corral_note WHERE queue NOT IN (SELECT pk FROM corral_queue)",
    "a failure whose queue is gone": (
        "SELECT count(*) FROM corral_failure WHERE queue NOT IN (SELECT pk FROM corral_queue)"
    ),
    "an edge without its jobs": (
        "SELECT count(*) FROM corral_after WHERE before NOT IN (SELECT pk FROM corral_job) "
        "OR job NOT IN (SELECT pk FROM corral_job)"
    ),
    "an edge that one end does not know": (
        "SELECT count(*) FROM corral_after a LEFT JOIN corral_job b ON b.pk = a.before WHERE NOT ifnull(b.edges, 0) & 1"
    ),
    "a parent that waits for nothing": "SELECT count(*) FROM corral_job WHERE state = 3 AND pending = 0",
    "a parent that waits for more than there is": (
        "SELECT count(*) FROM corral_job j WHERE pending != "
        "(SELECT count(*) FROM corral_child c WHERE c.parent = j.pk AND (c.state = 0 OR c.state = 5 AND c.policy IN "
        "('wait', 'fail'))) AND state != 5"
    ),
    "a parent that waits for a job that has completed or is gone": (
        "SELECT count(*) FROM corral_child c LEFT JOIN corral_job j ON j.pk = c.child "
        "WHERE c.state = 0 AND ifnull(j.state, 4) = 4"
    ),
    "a deduplication id whose owner has ended or is gone": (
        "SELECT count(*) FROM corral_dedup d WHERE (expires_at IS NULL OR kept IS NOT NULL) AND NOT EXISTS ("
        "SELECT 1 FROM corral_job j WHERE j.queue = d.queue AND j.state NOT IN (4, 5) "
        "AND ifnull(j.id, cast(j.pk & 1099511627775 AS TEXT)) = d.job)"
    ),
    "a group of which nothing is left": (
        "SELECT count(*) FROM corral_group WHERE waiting + active = 0 AND settings IS NULL AND windows IS NULL"
    ),
    "a group in the ring that has nothing to start": (
        "SELECT count(*) FROM corral_group WHERE turn IS NOT NULL AND waiting <= aside"
    ),
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
            yield from self._groups()
            yield from self._orphans()

    def _counters(self, rows: Mapping[Key, Row]) -> Iterator[str]:
        actual: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for (queue, _), row in rows.items():
            actual[queue][_COLUMNS[COUNTED[_STATES.index(row.state)]]] += 1
        for queue, *counted in self._db.execute(f"SELECT name, {', '.join(_COLUMNS)} FROM corral_queue"):
            for column, count in zip(_COLUMNS, counted, strict=True):
                if count != actual[queue][column]:
                    yield f"counter: {queue} says {count} {column}, there are {actual[queue][column]}"

    def _groups(self) -> Iterator[str]:
        """Each group's counters are what waits and runs of it, and every such job has its group."""
        stored = {
            (queue, name): tuple(counted)
            for queue, name, *counted in self._db.execute("SELECT queue, id, waiting, aside, active FROM corral_group")
        }
        actual = {
            (queue, name): tuple(counted)
            for queue, name, *counted in self._db.execute(
                "SELECT queue, gid, sum(state IN (6, 7)), sum(state = 6), sum(state = 2) FROM corral_job "
                "WHERE gid IS NOT NULL AND state IN (2, 6, 7) GROUP BY queue, gid"
            )
        }
        for key in stored.keys() | actual.keys():
            says, are = stored.get(key, (0, 0, 0)), actual.get(key, (0, 0, 0))
            if says != are:
                yield f"counter: group {key[1]} says {says} (waiting, aside, active), there are {are}"
        for name, says, are in self._db.execute(
            "SELECT q.name, q.grouped, (SELECT count(*) FROM corral_job j "
            "WHERE j.queue = q.pk AND j.gid IS NOT NULL AND j.state IN (6, 7)) FROM corral_queue q"
        ):
            if says != are:
                yield f"counter: {name} says {says} waiting in groups, there are {are}"

    def _orphans(self) -> Iterator[str]:
        for what, sql in _ORPHANS.items():
            count = self._db.execute(sql).fetchall()[0][0]
            if count:
                yield f"orphan: {what} ({count} of them)"
