"""Schedules: corral's own, which are BullMQ job schedulers too, and those that Node has made.

What BullMQ's keys say wins. A Node worker may serve a schedule of ours: its next slot and count are read from there. A
definition that Node has replaced is taken over; the application that declares the schedule puts its own back at its
next start. A schedule that Node has removed is gone.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from corral.errors import ConfigError
from corral.job import Job, JobId, NewJob
from corral.schedule import Schedule
from corral.slots import next_slot, slot_id
from corral.storage.insight import Page
from corral.storage.port import Added, Claimed
from corral.storage.redis.adding import AddedRow, added, new_job
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack, pairs
from corral.storage.redis.connection import Server
from corral.storage.redis.discovery import Discovery
from corral.storage.redis.options import to_json
from corral.storage.redis.repeats import NextRun, UnreadableScheduleError, definition, next_run, number, read_definition
from corral.storage.redis.scripts import script
from corral.timing import Millis

logger = logging.getLogger("corral.storage")

#: How much one script call is asked for, so that none runs for more than some milliseconds.
PUTS = 50
READS = 100
LOOKS = 1_000
#: How often a page is read anew because Node removed schedules meanwhile.
TRIES = 3

#: (queue, key)
Name = tuple[str, str]


# -- requests and replies ----------------------------------------------------------------------------------------------


class _NewSchedule(Struct):
    queue: str
    key: str
    body: str
    fields: list[str]


class _Put(Call, kw_only=True):
    schedules: list[_NewSchedule]


class _Kept(Struct):
    fired: int
    last_at: Millis | None = None
    last_job_id: JobId | None = None


class _Fire(Call, omit_defaults=True, kw_only=True):
    key: str
    slot: Millis
    next_at: Millis | None = None
    jobs: Sequence[Struct] = ()
    claimed: bool = False


class _Drop(Call, kw_only=True):
    keys: Sequence[str]


class _Read(Call, kw_only=True):
    read: list[tuple[str, list[str]]]


class _Due(Call, omit_defaults=True, kw_only=True, rename={"start": "from"}):
    due_by: Millis
    start: tuple[int, int]
    count: int
    queues: list[str] | None = None


class _DueReply(Struct, rename={"start": "from"}):
    due: list[tuple[str, str, Millis]]
    start: tuple[int, int] | None = None


class _Row(Struct):
    """A schedule as stored; with `fields` it is, or has become, Node's own."""

    body: str | None = None
    at: Millis | None = None
    fields: list[str] | None = None


class _FollowUp(Call, kw_only=True):
    runs: list[NextRun]


_decode_put = msgspec.msgpack.Decoder(list[_Kept | bool]).decode
_decode_fired = msgspec.msgpack.Decoder(list[AddedRow] | bool).decode
_decode_dropped = msgspec.msgpack.Decoder(list[str]).decode
_decode_rows = msgspec.msgpack.Decoder(list[list[Raw]]).decode
_decode_row = msgspec.msgpack.Decoder(_Row | bool).decode
_decode_due = msgspec.msgpack.Decoder(_DueReply).decode
_decode_body = msgspec.json.Decoder(Schedule).decode


class Schedules:
    """The table of schedules, and the next runs of Node's job schedulers."""

    def __init__(self, server: Server, prefix: str, discovery: Discovery | None = None) -> None:
        self._server = server
        self._prefix = prefix
        self._discovery = discovery or Discovery(server, prefix)

    # -- changing ------------------------------------------------------------------------------------------------------

    async def put(self, schedules: Sequence[Schedule], now: Millis | None) -> list[Schedule]:
        stored: list[Schedule] = []
        for start in range(0, len(schedules), PUTS):
            some = schedules[start : start + PUTS]
            news = [_NewSchedule(one.queue, one.key, to_json(one).decode(), definition(one)) for one in some]
            request = _Put(prefix=self._prefix, queue=some[0].queue, now=now, schedules=news)
            kept = _decode_put(await self._server.run(script("put_schedules"), some[0].queue, pack(request)))
            stored += [_as_kept(one, past) for one, past in zip(some, kept, strict=True)]
        return stored

    async def fire(
        self, queue: str, key: str, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None, now: Millis | None
    ) -> list[Added] | None:
        requests = [new_job(job, self._prefix) for job in jobs]
        request = _Fire(prefix=self._prefix, queue=queue, now=now, key=key, slot=slot, next_at=next_at, jobs=requests)
        return await self._fire(request)

    async def _fire(self, request: _Fire) -> list[Added] | None:
        answer = _decode_fired(await self._server.run(script("fire_schedule"), request.queue, pack(request)))
        return None if isinstance(answer, bool) else [added(row) for row in answer]

    async def drop(self, queue: str, keys: Sequence[str]) -> list[str]:
        dropped: list[str] = []
        for start in range(0, len(keys), READS):
            request = _Drop(prefix=self._prefix, queue=queue, keys=keys[start : start + READS])
            dropped += _decode_dropped(await self._server.run(script("drop_schedules"), queue, pack(request)))
        return dropped

    # -- reading -------------------------------------------------------------------------------------------------------

    async def page(self, queue: str | None, due_by: Millis | None, start: int, limit: int) -> Page[Schedule]:
        names, rows = await self._stretch(queue, due_by, start, limit)
        for _ in range(TRIES):
            if all(row is not None for _, row in rows):
                break
            names, rows = await self._stretch(queue, due_by, start, limit)
        found = [await self._shown(name, row) for name, row in rows if row is not None]
        return Page(tuple(schedule for schedule in found if schedule is not None), len(names))

    async def _stretch(
        self, queue: str | None, due_by: Millis | None, start: int, limit: int
    ) -> tuple[list[Name], list[tuple[Name, _Row | None]]]:
        names = await (self._all(queue) if due_by is None else self._due(queue, due_by))
        return names, await self._rows(names[max(0, start) :][: max(0, limit)])

    async def _all(self, queue: str | None) -> list[Name]:
        """Whose they are is not asked here: a name stands in one of two keys, or in both."""
        queues = [queue] if queue is not None else sorted(await self._queues())
        commands: list[tuple[str | int, ...]] = []
        for name in queues:
            commands.append(("HKEYS", f"corral:{self._prefix}:{name}:schedules"))
            commands.append(("ZRANGE", f"{self._prefix}:{name}:repeat", 0, -1))
        replies = await self._server.commands(*commands) if commands else []
        names: list[Name] = []
        for place, name in enumerate(queues):
            keys = _texts(replies[2 * place]) | _texts(replies[2 * place + 1])
            names += [(name, key) for key in sorted(keys)]
        return names

    async def _queues(self) -> set[str]:
        [reply] = await self._server.commands(("SMEMBERS", f"corral:{self._prefix}::queues"))
        return _texts(reply) | await self._discovery.names()

    async def _due(self, queue: str | None, due_by: Millis) -> list[Name]:
        """By time. `repeat` is the index: it is right even when Node has moved a schedule on."""
        due: list[tuple[Millis, str, str]] = []
        start: tuple[int, int] | None = (1, 0)
        while start is not None:
            request = _Due(
                prefix=self._prefix, due_by=due_by, start=start, count=LOOKS, queues=None if queue is None else [queue]
            )
            reply = _decode_due(await self._server.run(script("schedules"), "", pack(request), changes=False))
            due += [(at, name, key) for name, key, at in reply.due]
            start = reply.start
        return [(name, key) for _, name, key in sorted(due)]

    async def _rows(self, names: Sequence[Name]) -> list[tuple[Name, _Row | None]]:
        """What is stored under these names, in their order; None for those that are gone."""
        found: list[tuple[Name, _Row | None]] = []
        for start in range(0, len(names), READS):
            some = names[start : start + READS]
            read = [(queue, [key for _, key in group]) for queue, group in groupby(some, key=lambda name: name[0])]
            request = _Read(prefix=self._prefix, read=read)
            reply = _decode_rows(await self._server.run(script("schedules"), "", pack(request), changes=False))
            rows = [_row(raw) for group in reply for raw in group]
            found += zip(some, rows, strict=True)
        return found

    async def _shown(self, name: Name, row: _Row) -> Schedule | None:
        """The schedule in a row; None for one that means nothing here. What Node has made of ours is put right."""
        queue, key = name
        try:
            ours = None if row.body is None else _decode_body(row.body)
            schedule = ours
            if row.fields is not None:
                schedule = read_definition(queue, key, row.at or 0, pairs(row.fields), ours)
        except (msgspec.MsgspecError, UnicodeDecodeError, UnreadableScheduleError) as error:
            logger.error("the stored schedule %r of queue %r cannot be read and is left out: %s", key, queue, error)
            return None
        if schedule is None or ours is None:
            return schedule
        # A Node worker looks at the end only when it claims: the job it has made may lie behind it.
        end, next_at = schedule.end_at, schedule.next_at
        behind = end is not None and next_at is not None and next_at > end
        if not behind and row.fields is None:
            return schedule
        logger.info("schedule %r of queue %r was changed by a BullMQ client", key, queue)
        [stored] = await self.put([replace(schedule, next_at=None) if behind else schedule], None)
        return stored

    # -- following up --------------------------------------------------------------------------------------------------

    async def follow_up(self, queue: str, claimed: Claimed, now: Millis | None) -> Claimed:
        """Make the next runs where pending ones were claimed, before anybody runs them; answers what it was given.

        A claimed run of a schedule goes on from the scheduler's own slot, once: whoever claims it again finds the slot
        moved on. (One that corral's scheduler has fired is none: that has armed the next.)
        """
        runs = [job for job in claimed.jobs if job.schedule is not None and job.id.startswith("repeat:")]
        if runs:
            await self._follow(queue, runs, now)
        return claimed

    async def _follow(self, queue: str, jobs: Sequence[Job], now: Millis | None) -> None:
        base = f"{self._prefix}:{queue}:"
        replies = await self._server.commands(
            *(
                command
                for job in jobs
                for command in (
                    ("HMGET", f"{base}{job.id}", "slot", "opts"),
                    ("ZSCORE", f"{base}repeat", job.schedule or ""),
                )
            )
        )
        pending: dict[str, tuple[Job, Millis, str]] = {}
        for place, job in enumerate(jobs):
            stored, slot = replies[2 * place], number(_text(replies[2 * place + 1]))
            assert isinstance(stored, list)
            if stored[0] is None and slot is not None and job.schedule and job.id == slot_id(job.schedule, slot):
                pending[job.schedule] = (job, slot, _text(stored[1]))
        if not pending:
            return
        following: list[NextRun] = []
        for (_, key), row in await self._rows([(queue, key) for key in pending]):
            job, slot, opts = pending[key]
            if row is not None and row.body is not None:
                await self._go_on(queue, key, slot, row, job.started_at or slot, now)
            elif row is not None:
                following += _next_runs(queue, key, slot, pairs(row.fields or ()), opts, job)
        if following:
            request = _FollowUp(prefix=self._prefix, queue=queue, now=now, runs=following)
            await self._server.run(script("follow_up"), queue, pack(request))

    async def _go_on(self, queue: str, key: str, slot: Millis, row: _Row, at: Millis, now: Millis | None) -> None:
        """Arm our own schedule again whose slot a Node worker had put into the queue, for us to claim."""
        schedule = await self._shown((queue, key), row)
        if schedule is None:
            return
        try:
            next_at = next_slot(replace(schedule, fired=schedule.fired + 1), max(at, slot))
        except ConfigError as error:
            logger.error("schedule %r of queue %r has no next run: %s", key, queue, error)
            return
        await self._fire(
            _Fire(prefix=self._prefix, queue=queue, now=now, key=key, slot=slot, next_at=next_at, claimed=True)
        )


def _next_runs(
    queue: str, key: str, slot: Millis, fields: dict[str, str], opts: str, job: Job
) -> Iterable[NextRun]:  # fmt: skip
    try:
        run = next_run(key, slot, fields, opts, job.data, job.started_at or slot)
    except UnreadableScheduleError as error:
        logger.error("the scheduler %r of queue %r has no next run here: %s", key, queue, error)
        return ()
    return () if run is None else (run,)


def _as_kept(schedule: Schedule, past: _Kept | bool) -> Schedule:
    if isinstance(past, bool):
        return schedule
    return replace(schedule, fired=past.fired, last_at=past.last_at, last_job_id=past.last_job_id)


def _row(raw: Raw) -> _Row | None:
    try:
        row = _decode_row(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # bytes that are no text: nothing of ours
        return _Row(at=0, fields=[])
    return None if isinstance(row, bool) else row


def _text(reply: object) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""


def _texts(reply: object) -> set[str]:
    """The texts of a reply. Names that are not UTF-8 cannot be asked for either."""
    found = set()
    for item in reply if isinstance(reply, list | set) else ():
        try:
            found.add(item.decode())
        except UnicodeDecodeError:
            continue
    return found
