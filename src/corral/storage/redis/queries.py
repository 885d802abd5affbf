"""What is asked. Each script call is one consistent snapshot; answers too long for one call come in several."""

import logging
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from corral.job import Job, JobId, JobState
from corral.storage.insight import Page
from corral.storage.port import REASON, Bucket, Children, QueueCounts, QueueInfo, WorkerInfo
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack, shown_job
from corral.storage.redis.connection import Server
from corral.storage.redis.discovery import Discovery
from corral.storage.redis.info import queue_info
from corral.storage.redis.scripts import script
from corral.storage.redis.texts import text, text_pairs, texts
from corral.timing import Millis

logger = logging.getLogger("corral.storage")

MINUTE: Millis = 60_000
#: How much one call is asked for, so that no script runs for more than some milliseconds.
IDS = 250
QUEUES = 50
MINUTES = 1_000
LINES = 2_000

# -- requests and replies ----------------------------------------------------------------------------------------------


class _Get(Call, omit_defaults=True, kw_only=True):
    ids: Sequence[JobId]
    lean: bool = False


class _Page(Call, omit_defaults=True, kw_only=True, rename={"start": "from"}):
    states: Sequence[JobState]
    newest_first: bool
    skip: int
    limit: int
    name: str | None = None
    group: str | None = None
    lean: bool = False
    ended_by: Millis | None = None
    start: list[int] | None = None


class _PageReply(Struct, rename={"start": "from"}):
    rows: list[Raw]
    total: int
    matched: int
    skip: int
    start: list[int]
    more: bool


class _Counts(Call, omit_defaults=True, kw_only=True):
    queues: Sequence[str]


class _Counted(Struct):
    waiting: int
    active: int
    delayed: int
    children: int
    completed: int
    failed: int
    completed_total: int
    failed_total: int
    added_total: int
    paused: bool
    oldest: float | None = None


class _Children(Call, omit_defaults=True, kw_only=True, rename={"start": "from"}):
    id: JobId
    lean: bool = False
    start: list[str] | None = None


class _ChildrenReply(Struct, rename={"start": "from"}):
    pending: list[Raw]
    completed: list[Raw]
    failed: list[Raw]
    start: list[str]
    more: bool


class _Logs(Call, omit_defaults=True, kw_only=True):
    id: JobId
    start: int
    limit: int


class _Lines(Struct):
    total: int
    lines: list[Raw]


class _Metrics(Call, omit_defaults=True, kw_only=True):
    since: Millis
    till: Millis
    cursor: str | None = None


class _Minutes(Struct):
    found: list[str]
    cursor: str


class _Queues(Call, omit_defaults=True, kw_only=True):
    found: Sequence[str]


class _Workers(Call, omit_defaults=True, kw_only=True):
    stale: Millis
    start: int


class _Seen(Struct):
    found: list[str | float]
    more: bool


_decode_rows = msgspec.msgpack.Decoder(list[Raw]).decode
_decode_page = msgspec.msgpack.Decoder(_PageReply).decode
_decode_row = msgspec.msgpack.Decoder(tuple[str, JobState, float, int, list[str]]).decode
_decode_odd_row = msgspec.msgpack.Decoder(tuple[Raw, JobState, float, int, list[Raw]]).decode
_decode_counts = msgspec.msgpack.Decoder(list[_Counted]).decode
_decode_children = msgspec.msgpack.Decoder(_ChildrenReply).decode
_decode_lines = msgspec.msgpack.Decoder(_Lines).decode
_decode_minutes = msgspec.msgpack.Decoder(_Minutes).decode
_decode_queues = msgspec.msgpack.Decoder(list[dict[str, str]]).decode
_decode_seen = msgspec.msgpack.Decoder(_Seen).decode
_decode_worker = msgspec.json.Decoder(WorkerInfo).decode

_NOTHING = b"\xc2"  # a job that is not there, in msgpack: false


# -- the queries -------------------------------------------------------------------------------------------------------


class Queries:
    """The read model."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self.discovery = Discovery(server, prefix)

    async def _ask(self, name: str, queue: str, request: Call) -> bytes:
        return await self._server.run(script(name), queue, pack(request), changes=False)

    async def get(self, queue: str, ids: Sequence[JobId], lean: bool = False) -> list[Job | None]:
        jobs: list[Job | None] = []
        while len(jobs) < len(ids):  # large jobs fill a reply before all of its slice are in
            some = ids[len(jobs) : len(jobs) + IDS]
            request = _Get(prefix=self._prefix, queue=queue, ids=some, lean=lean)
            rows = _decode_rows(await self._ask("get", queue, request))
            jobs += [None if bytes(row) == _NOTHING else self._job(queue, row) for row in rows]
        return jobs

    async def page(
        self, queue: str, states: Sequence[JobState], start: int, limit: int, newest_first: bool, name: str | None,
        group: str | None = None, lean: bool = False, ended_by: Millis | None = None,
    ) -> Page[Job]:  # fmt: skip
        wanted = sorted(set(states))
        # Waiting jobs are listed as they will be served; turning that round would put the last first.
        turned = newest_first and not set(wanted) & {JobState.WAITING, JobState.DELAYED}
        jobs: dict[JobId, Job] = {}  # while the slices of a long list are read, a job may move along and come again
        total = matched = 0
        request = _Page(
            prefix=self._prefix, queue=queue, states=wanted, newest_first=turned, skip=max(0, start),
            limit=max(0, limit), name=name, group=group, lean=lean, ended_by=ended_by,
        )  # fmt: skip
        more = True
        while more:
            reply = _decode_page(await self._ask("page", queue, request))
            for row in reply.rows:
                job = self._job(queue, row)
                jobs.setdefault(job.id, job)
            more, matched = reply.more, matched + reply.matched
            total = total if request.start is not None else reply.total
            request = msgspec.structs.replace(
                request, skip=reply.skip, limit=request.limit - len(reply.rows), start=reply.start
            )
        return Page(tuple(jobs.values()), total if name is None and group is None else matched)

    def _job(self, queue: str, row: Raw) -> Job:
        try:
            job_id, state, due, pending, fields = _decode_row(row)
        except UnicodeDecodeError:
            odd_id, state, due, pending, odd_fields = _decode_odd_row(row)
            job_id, fields = text(odd_id), texts(odd_fields)
        return shown_job(
            queue, self._prefix, job_id, state, fields, due=int(due) if due >= 0 else None, pending=pending
        )

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        answers: list[QueueCounts] = []
        for begin in range(0, len(queues), QUEUES):
            some = queues[begin : begin + QUEUES]
            counted = _decode_counts(await self._ask("counts", "", _Counts(prefix=self._prefix, queues=some)))
            answers += [_counts(name, one) for name, one in zip(some, counted, strict=True)]
        return answers

    async def children(self, queue: str, job_id: JobId, lean: bool = False) -> Children:
        pending: dict[str, None] = {}
        completed: dict[str, str] = {}
        failed: dict[str, str] = {}
        request = _Children(prefix=self._prefix, queue=queue, id=job_id, lean=lean)
        more = True
        while more:
            reply = _decode_children(await self._ask("children", queue, request))
            pending.update(dict.fromkeys(texts(reply.pending)))
            completed.update(text_pairs(reply.completed))
            failed.update(text_pairs(reply.failed))
            more = reply.more
            request = msgspec.structs.replace(request, start=reply.start)
        # One that ended while the slices were read is in two of them.
        left = [key for key in pending if key not in completed and key not in failed]
        return Children(
            pending=tuple(self._child(key) for key in left),
            completed={self._child(key)[1]: result for key, result in completed.items()},
            failed={
                self._child(key)[1]: reason[:REASON] if lean else reason
                for key, reason in failed.items()
                if key not in completed
            },
            queues={job_id: queue for queue, job_id in map(self._child, (*left, *completed, *failed))},
        )

    def _child(self, key: str) -> tuple[str, JobId]:
        """Queue and id of a job's key. Ids may have colons: those of scheduled jobs do."""
        rest = key.removeprefix(f"{self._prefix}:")
        if rest == key:  # under another prefix: Node can do that
            base, _, job_id = key.rpartition(":")
            return base.rpartition(":")[2], job_id
        queue, _, job_id = rest.partition(":")
        return queue, job_id

    async def logs(self, queue: str, job_id: JobId, start: int, limit: int) -> Page[str]:
        lines: list[str] = []
        request = _Logs(prefix=self._prefix, queue=queue, id=job_id, start=max(0, start), limit=0)
        while True:
            request = msgspec.structs.replace(
                request, start=max(0, start) + len(lines), limit=max(0, min(LINES, limit - len(lines)))
            )
            reply = _decode_lines(await self._ask("logs", queue, request))
            lines += texts(reply.lines)
            if not reply.lines or len(lines) >= limit:
                return Page(tuple(lines), reply.total)

    async def metrics(self, queue: str, since: Millis, until: Millis) -> list[Bucket]:
        cursor = None if until - since <= MINUTES * MINUTE else "0"
        found: dict[str, str] = {}
        while True:
            request = _Metrics(prefix=self._prefix, queue=queue, since=since, till=until, cursor=cursor)
            reply = _decode_minutes(await self._ask("metrics", queue, request))
            found.update(zip(reply.found[::2], reply.found[1::2], strict=True))
            cursor = reply.cursor
            if cursor == "0":
                return [_bucket(int(at), sums) for at, sums in sorted(found.items(), key=lambda one: int(one[0]))]

    async def queues(self) -> list[QueueInfo]:
        found = sorted(await self.discovery.names())
        answers = _decode_queues(await self._ask("queues", "", _Queues(prefix=self._prefix, found=found)))
        return sorted((queue_info(fields["name"], fields) for fields in answers), key=lambda info: info.name)

    async def workers(self, stale_ms: Millis, now: Millis | None) -> list[WorkerInfo]:
        found: dict[str, WorkerInfo] = {}
        start, more = 0, True
        while more:
            request = _Workers(prefix=self._prefix, now=now, stale=stale_ms, start=start)
            reply = _decode_seen(await self._ask("workers", "", request))
            for stored, seen_at in zip(reply.found[::2], reply.found[1::2], strict=True):
                worker = _worker(str(stored), int(seen_at))
                if worker is not None:
                    found[worker.id] = worker
            start, more = start + len(reply.found) // 2, reply.more
        return sorted(found.values(), key=lambda worker: (worker.name, worker.id))


def _counts(name: str, one: _Counted) -> QueueCounts:
    return QueueCounts(
        queue=name,
        waiting=one.waiting,
        active=one.active,
        delayed=one.delayed,
        waiting_children=one.children,
        completed=one.completed,
        failed=one.failed,
        paused=one.waiting if one.paused else 0,
        completed_total=one.completed_total,
        failed_total=one.failed_total,
        added_total=one.added_total,
        oldest_waiting_at=None if one.oldest is None else int(one.oldest),
    )


def _bucket(at: Millis, stored: str) -> Bucket:
    completed, failed, retried, wait_ms, run_ms = (int(word) for word in stored.split())
    return Bucket(at=at, completed=completed, failed=failed, retried=retried, wait_ms=wait_ms, run_ms=run_ms)


def _worker(stored: str, seen_at: Millis) -> WorkerInfo | None:
    """A worker as it presented itself; None for one of a version that says it in other words."""
    try:
        return msgspec.structs.replace(_decode_worker(stored), seen_at=seen_at)
    except msgspec.MsgspecError as error:
        logger.warning("a worker cannot be read: %s", error)
        return None
