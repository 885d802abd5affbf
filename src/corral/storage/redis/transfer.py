"""Carrying a queue's content out of a Redis store and into one."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from corral.job import JobId, JobState
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.families import Families, read_text
from corral.storage.redis.followers import kept_fields
from corral.storage.redis.options import to_json
from corral.storage.redis.scripts import script
from corral.storage.redis.shipping import fields_of, stored_job
from corral.storage.redis.store import RedisStorage
from corral.storage.redis.texts import text
from corral.storage.transfer import (
    DEDUPLICATION,
    LEDGER_KEY,
    SLICE,
    Figures,
    Item,
    Note,
    Notes,
    Packed,
    Parcel,
    Tie,
)
from corral.timing import now_ms

#: The states in the order they are packed, and which of their containers come first: a job that was set aside because
#: of its name's cap stood before those that still wait.
STATES: tuple[tuple[JobState, tuple[int, ...]], ...] = (
    (JobState.WAITING, (2, 1, 3, 4, 5, 7, 6)),
    (JobState.DELAYED, (1,)),
    (JobState.WAITING_CHILDREN, (1,)),
    (JobState.COMPLETED, (1,)),
    (JobState.FAILED, (1,)),
)
_PLACES = tuple((state, run) for state, runs in STATES for run in runs)
#: Jobs of one script call: 100 of them with 15 fields each are 2 ms.
JOBS = 100


class _Pack(Call, omit_defaults=True, kw_only=True):
    state: JobState | None = None
    run: int = 0
    pos: int | None = None
    limit: int = 0
    ids: Sequence[JobId] | None = None


class _Packed(Struct):
    jobs: list[Raw]
    odd: list[Raw]
    pos: int


class _Job(Struct, omit_defaults=True):
    id: JobId
    state: JobState
    at: int
    priority: int
    fields: list[str]
    over: tuple[JobState, int] | None = None
    place: bool = False
    de: str | None = None
    de_until: int | None = None
    kept: list[str] | None = None


class _Unpack(Call, kw_only=True):
    jobs: list[_Job]


class _Log(Struct):
    id: JobId
    first: bool
    lines: Sequence[str]


class _Rest(Call, omit_defaults=True, kw_only=True):
    log: _Log | None = None
    marks: list[str] | None = None
    last_id: int | None = None
    completed: int = 0
    failed: int = 0
    minutes: list[str] | None = None
    replace: bool = False
    note: tuple[str, str] | None = None


_Row = tuple[str, JobState, str, int, bool, bool, bool, int, list[str], list[str]]
_decode_packed = msgspec.msgpack.Decoder(_Packed).decode
_decode_row = msgspec.msgpack.Decoder(_Row).decode
_decode_odd = msgspec.msgpack.Decoder(tuple[Raw, Raw, Raw, Raw, Raw, Raw, Raw, Raw, Raw, Raw]).decode
_decode_happened = msgspec.msgpack.Decoder(list[bool]).decode
_decode_cursor = msgspec.json.Decoder(tuple[int, int]).decode

_NOTHING = b"\xc2"  # a job that is not there, in msgpack: false


class RedisTransfer(RedisStorage):
    """A Redis store that can be moved. See `corral.storage.transfer` for what each verb promises."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._prefix = self._place.prefix
        self._families = Families(self._server, self._prefix)

    # -- jobs ----------------------------------------------------------------------------------------------------------

    async def pack(self, queue: str, *, after: str = "", limit: int = SLICE) -> Parcel:
        at, pos = _decode_cursor(after) if after else (0, 0)
        jobs: list[Packed] = []
        unreadable: list[JobId] = []
        while at < len(_PLACES) and not jobs and not unreadable:
            state, run = _PLACES[at]
            request = _Pack(prefix=self._prefix, queue=queue, state=state, run=run, pos=pos, limit=min(limit, JOBS))
            reply = _decode_packed(await self._server.run(script("pack"), queue, pack(request), changes=False))
            unreadable += [text(raw) for raw in reply.odd]
            for raw in reply.jobs:
                self._add(queue, raw, jobs, unreadable)
            at, pos = (at, reply.pos) if reply.pos >= 0 else (at + 1, 0)
        place = to_json((at, pos)).decode() if at < len(_PLACES) else None
        return Parcel(jobs=tuple(jobs), unreadable=tuple(unreadable), next=place)

    def _add(self, queue: str, raw: Raw, jobs: list[Packed], unreadable: list[JobId]) -> None:
        try:
            jobs.append(self._packed(queue, raw))
        except (msgspec.MsgspecError, UnicodeDecodeError):  # bytes that are no text
            unreadable.append(text(_decode_odd(raw)[0]))

    def _packed(self, queue: str, raw: Raw) -> Packed:
        job_id, state, score, lines, is_parent, tied, stays, owned, kept, fields = _decode_row(raw)
        owns_until = None if owned == -2 else "" if owned == -1 else str(owned)
        stored = stored_job(queue, self._prefix, job_id, state, float(score), fields, owns_until=owns_until, kept=kept)
        mark = next((value for name, value in zip(fields[::2], fields[1::2], strict=True) if name == "moved"), "")
        return Packed(stored=stored, mark=mark, lines=lines, is_parent=is_parent, tied=tied, stays=stays)

    async def look(self, queue: str, ids: Sequence[JobId]) -> list[Packed | None]:
        found: list[Packed | None] = []
        for start in range(0, len(ids), JOBS):
            request = _Pack(prefix=self._prefix, queue=queue, ids=ids[start : start + JOBS])
            reply = _decode_packed(await self._server.run(script("pack"), queue, pack(request), changes=False))
            for raw in reply.jobs:
                try:
                    found.append(None if bytes(raw) == _NOTHING else self._packed(queue, raw))
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    found.append(None)
        return found

    async def unpack(self, queue: str, items: Sequence[Item]) -> list[bool]:
        happened: list[bool] = []
        for start in range(0, len(items), JOBS):
            jobs = [self._job(item) for item in items[start : start + JOBS]]
            request = _Unpack(prefix=self._prefix, queue=queue, jobs=jobs)
            happened += _decode_happened(await self._server.run(script("unpack"), queue, pack(request)))
        return happened

    def _job(self, item: Item) -> _Job:
        stored, job = item.stored, item.stored.job
        at = {JobState.DELAYED: job.run_at, JobState.WAITING_CHILDREN: stored.since}.get(
            job.state, job.finished_at
        ) or 0
        if item.place_only:
            return _Job(job.id, job.state, at, job.priority, [], item.over, True)
        fields = fields_of(stored, self._prefix, tied=item.tied)
        if item.mark:
            fields["moved"] = item.mark
        flat = [word for pair in fields.items() for word in pair]
        packed = _Job(job.id, job.state, at, job.priority, flat, item.over)
        owns = stored.foreign.get(DEDUPLICATION)
        if owns is not None and "deid" in fields:
            packed.de = fields["deid"]
            packed.de_until = int(owns[1]) if owns[1] else None
            if stored.follower is not None:
                packed.kept = kept_fields(stored.follower, self._prefix)
        return packed

    # -- what belongs to them ------------------------------------------------------------------------------------------

    async def pack_ties(self, queue: str, parents: Sequence[JobId]) -> list[tuple[Tie, ...]]:
        return [await self._families.read(queue, parent) for parent in parents]

    async def unpack_ties(self, queue: str, parent: JobId, ties: Sequence[Tie], *, first: bool) -> None:
        await self._families.write(queue, parent, ties, first=first)

    async def unpack_log(self, queue: str, job_id: JobId, lines: Sequence[str], *, first: bool) -> None:
        await self._rest(_Rest(prefix=self._prefix, queue=queue, log=_Log(job_id, first, lines)))

    async def mark(self, queue: str, marks: Mapping[JobId, str]) -> None:
        flat = [word for pair in marks.items() for word in pair]
        await self._rest(_Rest(prefix=self._prefix, queue=queue, marks=flat))

    async def pack_notes(self, queue: str, *, after: str = "", limit: int = SLICE) -> Notes:
        key = f"corral:{self._prefix}:{queue}:notes"
        [reply] = await self._server.commands(("HSCAN", key, after or "0", "COUNT", limit))
        assert isinstance(reply, list)
        cursor, flat = reply
        assert isinstance(flat, list)
        words = [read_text(word) for word in flat]
        pairs = [pair for pair in zip(words[::2], words[1::2], strict=True) if pair[0] != LEDGER_KEY]
        ends = await self._server.commands(*(("ZSCORE", f"{key}:ends", name) for name, _ in pairs)) if pairs else []
        now = now_ms()
        notes = [
            Note(name, value, None if end is None else int(float(read_text(end))))
            for (name, value), end in zip(pairs, ends, strict=True)
        ]
        left = tuple(note for note in notes if note.expires_at is None or note.expires_at > now)
        return Notes(left, None if cursor == b"0" else read_text(cursor))

    async def pack_figures(self, queue: str) -> Figures:
        [counts] = await self.counts([queue])
        [last] = await self._server.commands(("GET", f"{self._prefix}:{queue}:id"))
        last_id = int(bytes(last)) if isinstance(last, bytes) and last.isdigit() else 0
        return Figures(last_id=last_id, completed=counts.completed_total, failed=counts.failed_total)

    async def unpack_figures(self, queue: str, figures: Figures, *, replace: bool) -> None:
        minutes: list[str] = []
        for one in figures.minutes:
            minutes += [str(one.at), f"{one.completed} {one.failed} {one.retried} {one.wait_ms} {one.run_ms}"]
        await self._rest(
            _Rest(
                prefix=self._prefix, queue=queue, last_id=figures.last_id, completed=figures.completed,
                failed=figures.failed, minutes=minutes, replace=replace,
                note=None if figures.ledger is None else (LEDGER_KEY, figures.ledger),
            )
        )  # fmt: skip

    async def _rest(self, request: _Rest) -> None:
        await self._server.run(script("unpack_rest"), request.queue, pack(request))
