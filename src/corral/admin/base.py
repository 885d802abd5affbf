"""What every group of the write model's verbs stands on: the store, who acts, and the note of it in the audit log."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from msgspec import Struct

from corral.admin import audit
from corral.admin.hiding import kept, shown_query
from corral.admin.objects import Actor, AuditEntry
from corral.admin.problems import code_of
from corral.app.app import Corral
from corral.errors import CorralError, QueueNotFoundError, StorageError
from corral.job import JobId
from corral.monitor.monitor import Monitor
from corral.naming import sortable_id
from corral.scheduler import Scheduler
from corral.storage.port import Storage
from corral.storage.sealed import sealed_in
from corral.timing import Millis, now_ms

#: Ids of an audit entry, and characters of a reason.
IDS, REASON = 20, 1_000
#: For how long a queue that was there counts as being there (seconds): asking goes through all keys of a Redis.
KNOWN_S = 5.0


class Ground:
    """The store and the time, with what is remembered between two requests.

    Args:
        storage: an open store, behind the application's codecs if it has any.
        app: the application: its guards, payload types and schedules then hold for what people do.
        clock: epoch milliseconds, for tests; without it the machine's clock here and the store's own there.
    """

    def __init__(
        self, storage: Storage, monitor: Monitor, *, app: Corral | None = None,
        clock: Callable[[], Millis] | None = None,
    ) -> None:  # fmt: skip
        self.storage = storage
        self.monitor = monitor
        self.app = app
        self._clock = clock
        self._queues: dict[str, float] = {}
        self._last_id = ""

    def at(self) -> Millis:
        """The present moment."""
        return now_ms() if self._clock is None else self._clock()

    def store_now(self) -> Millis | None:
        """The `now` for the store: None, so that its own clock decides, except in tests."""
        return None if self._clock is None else self._clock()

    def next_id(self, at: Millis) -> str:
        """An id for the audit log: what one process does stands in the order in which it was done."""
        self._last_id = sortable_id(at, self._last_id)
        return self._last_id

    @property
    def sensitive(self) -> Sequence[str]:
        """Payload paths that are hidden whatever their names."""
        return self.monitor.sensitive

    def is_sealed(self, queue: str) -> bool:
        """Whether payloads of the queue stand in the store in another form than in the open."""
        sealed = sealed_in(self.storage)
        return sealed is not None and sealed.seals.chains(queue) is not None

    def scheduler(self) -> Scheduler:
        """Changes schedules; with the application it can make the payloads that are functions of it."""
        return Scheduler(self.storage) if self.app is None else self.app.scheduler(self.storage)

    async def known(self, queue: str) -> str:
        """The name of a queue that is there, in the store or in the application; a slip of the finger creates none.

        Raises:
            QueueNotFoundError: it is not.
        """
        if self.app is not None and queue in self.app.queues:
            return queue
        if time.monotonic() - self._queues.get(queue, -KNOWN_S) >= KNOWN_S:
            names = [one.name for one in await self.storage.queues()]
            self._queues = dict.fromkeys(names, time.monotonic())
            if queue not in self._queues:
                raise QueueNotFoundError(queue, names)
        return queue

    def forget(self, queue: str) -> None:
        """Look anew whether a queue is there."""
        self._queues.pop(queue, None)


class Note(Struct, kw_only=True):
    """What is known about a change when it has been made; it becomes its audit entry."""

    action: str
    target: dict[str, str]
    query: str | None = None
    ids: Sequence[JobId] = ()
    count: int | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None

    def touched(self, ids: Sequence[JobId]) -> None:
        """These jobs were."""
        self.ids, self.count = tuple(ids), len(ids)


class DeskBase:
    """Who acts, and why; each verb leaves one audit entry, also when it was refused."""

    def __init__(self, ground: Ground, actor: Actor, reason: str = "") -> None:
        self.ground = ground
        self.storage = ground.storage
        self.actor = actor
        self.reason = reason[:REASON]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.actor.sub!r})"

    def _noting(self, action: str, *, query: str | None = None, **target: str | None) -> "Noting":
        """Around a change: what it does, or fails to do, is noted when it is through."""
        told = None if query is None else shown_query(query, self.ground.sensitive)
        known = {key: value for key, value in target.items() if value is not None}
        return Noting(self, Note(action=action, target=known, query=told))

    async def note(
        self, action: str, *, queue: str | None = None, job: JobId | None = None, query: str | None = None,
        count: int | None = None,
    ) -> None:  # fmt: skip
        """Put something into the audit log that changes nothing: an export, a look at what is sensitive."""
        async with self._noting(action, queue=queue, job=job, query=query) as note:
            note.count = count


class Noting:
    """An async context manager that writes the audit entry of what happens inside of it."""

    def __init__(self, desk: DeskBase, note: Note) -> None:
        self._desk = desk
        self._note = note

    async def __aenter__(self) -> Note:
        return self._note

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        note, desk = self._note, self._desk
        outcome, problem = _outcome(error)
        at = desk.ground.at()
        entry = AuditEntry(
            id=desk.ground.next_id(at), at=at, actor=desk.actor, action=note.action, target=note.target,
            ids=tuple(note.ids[:IDS]), count=note.count, query=note.query, reason=desk.reason, outcome=outcome,
            problem=problem, before=None if note.before is None else kept(note.before),
            after=None if note.after is None or error is not None else kept(note.after),
        )  # fmt: skip
        await audit.write(desk.storage, entry, desk.ground.store_now())


def _outcome(error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return "ok", ""
    if isinstance(error, PermissionError) and not isinstance(error, CorralError):  # of a guard of the application
        return "refused", "forbidden"
    if isinstance(error, StorageError) or not isinstance(error, CorralError):
        # Nobody knows how far it came: a lost connection, a request that was cancelled.
        return "failed", code_of(error) if isinstance(error, CorralError) else "internal"
    return "refused", code_of(error)
