"""The event log: BullMQ's stream of a queue, read and written in corral's words."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from corral.event import NOW, Event, EventCursor, EventType
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.options import to_json
from corral.storage.redis.scripts import script

#: A result or reason longer than this stays with the job and is not copied into its event.
MAX_DETAIL = 1_000
#: Entries read at a time.
SLICE = 1_000
#: Seconds that one blocking read waits at most: what gets lost on the way is found by the next one.
NAP = 10.0
#: Events emitted by one call.
BATCH = 1_000

_BEGINNING = "0-0"
_CURSOR = re.compile(r"\d{1,19}-\d{1,19}")
_decode_text = msgspec.json.Decoder(str).decode

#: BullMQ's word for an event, where it is not corral's own or stands for one of them only at times.
_WIRE = {
    EventType.IDLE: "drained",
    EventType.DRAINED: "emptied",  # corral's own word: BullMQ has none
    EventType.RETRYING: "waiting",
    EventType.SNOOZED: "waiting",
    EventType.RELEASED: "waiting",
    EventType.LIMITED: "waiting",
}
_KINDS: Mapping[str, EventType] = {
    **{kind.value: kind for kind in EventType if kind not in _WIRE},
    "drained": EventType.IDLE,
    "emptied": EventType.DRAINED,
}
_WORDS: Mapping[str, EventType] = {kind.value: kind for kind in EventType}
_SENTENCES = frozenset(
    {EventType.FAILED, EventType.RETRYING, EventType.STALLED, EventType.CANCELLED, EventType.EXPIRED}
)


class _Emit(Call, omit_defaults=True, kw_only=True):
    events: list[tuple[str, list[str]]]


class EventLog:
    """Reads and writes the streams of a handle's queues."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    async def read(self, queue: str, after: EventCursor, limit: int, timeout: float) -> tuple[list[Event], EventCursor]:
        """Events after a cursor; those that corral has no word for are passed over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        key = f"{self._prefix}:{queue}:events"
        cursor = await self._newest(key) if after == NOW else after if _CURSOR.fullmatch(after) else _BEGINNING
        slice_ = min(SLICE, 2 * limit + 10)  # most adds and retries are two entries
        found: list[Event] = []
        while True:
            [reply] = await self._server.commands(("XRANGE", key, f"({cursor}", "+", "COUNT", slice_))
            entries = list(_entries(reply))
            for entry_id, fields in entries:
                if len(found) >= limit:
                    break
                cursor = entry_id
                event = to_event(queue, entry_id, fields)
                if event is not None:
                    found.append(event)
            if len(found) >= limit or (found and len(entries) < slice_):
                return found, found[-1].cursor if found else cursor
            if len(entries) < slice_:
                left = until - loop.time()
                if left <= 0:
                    return [], cursor
                await self._wait(queue, key, cursor, min(left, NAP))

    async def emit(self, events: Sequence[Event]) -> None:
        """Append events; calls of a thousand each."""
        for begin in range(0, len(events), BATCH):
            some = [(event.queue, to_fields(event)) for event in events[begin : begin + BATCH]]
            await self._server.run(script("emit"), "", pack(_Emit(prefix=self._prefix, events=some)))

    async def _newest(self, key: str) -> EventCursor:
        [reply] = await self._server.commands(("XREVRANGE", key, "+", "-", "COUNT", 1))
        return next((entry_id for entry_id, _ in _entries(reply)), _BEGINNING)

    async def _wait(self, queue: str, key: str, cursor: EventCursor, seconds: float) -> None:
        """Until there is an entry after the cursor, or the time is up. Its answer is not needed: it is read again."""
        command = ("XREAD", "BLOCK", max(1, round(seconds * 1000)), "COUNT", 1, "STREAMS", key, cursor)
        # BullMQ's name for connections that read events.
        name = f"{self._prefix}:{b64encode(queue.encode()).decode()}:qe"
        await self._server.block(command, timeout=seconds, name=name)


# -- the wire ----------------------------------------------------------------------------------------------------------


def _entries(reply: object) -> Iterator[tuple[str, dict[str, str]]]:
    """Id and fields of each entry of an XRANGE reply."""
    assert isinstance(reply, list)
    for entry in reply:
        assert isinstance(entry, list)
        entry_id, words = entry
        if words is not None:
            fields = [word.decode("utf-8", "replace") for word in words]
            yield entry_id.decode(), dict(zip(fields[::2], fields[1::2], strict=True))


def to_event(queue: str, entry_id: str, fields: Mapping[str, str]) -> Event | None:
    """An entry of the stream in corral's words; None for one that says nothing new or that nobody here knows."""
    kind = _kind(fields)
    if kind is None:
        return None
    at = _number(fields.get("at")) or int(entry_id.partition("-")[0])
    return Event(
        type=kind, queue=queue, at=at, cursor=entry_id, job_id=fields.get("jobId"), name=fields.get("name") or None,
        detail=_detail(kind, fields, at),
    )  # fmt: skip


def _kind(fields: Mapping[str, str]) -> EventType | None:
    event, word, previous = fields.get("event", ""), fields.get("corral"), fields.get("prev")
    if word is not None:
        if event == "waiting" and word == EventType.STALLED:  # a `stalled` of its own went before
            return None
        return _WORDS.get(word)
    if event == "waiting":
        # Without `prev` it follows an `added`. Back from a run, Node does not say why: a failure, or a rate limit.
        if previous is None:
            return None
        return EventType.RETRYING if "failedReason" in fields else EventType.WAITING
    if event == "waiting-children" and previous is None:  # follows an `added` too
        return None
    if event == "delayed" and previous == "active":
        return EventType.RETRYING
    return _KINDS.get(event)


def _detail(kind: EventType, fields: Mapping[str, str], at: int) -> str | None:
    if "detail" in fields:
        return fields["detail"]
    detail: str | None = None
    match kind:
        case EventType.COMPLETED:
            detail = fields.get("returnvalue")
        case EventType.PROGRESS:
            detail = fields.get("data")
        case EventType.DELAYED | EventType.SNOOZED:
            due = _number(fields.get("delay"))
            detail = str(at if due is None else due)
        case EventType.CLEANED:
            detail = fields.get("count")
        case EventType.DEDUPLICATED:
            detail = _kept_out(fields)
        case EventType.LIMITED:
            detail = fields.get("until")
        case _ if kind in _SENTENCES:
            sentence = fields.get("reason", fields.get("failedReason"))
            detail = None if sentence is None else to_json(sentence[: MAX_DETAIL // 2]).decode()
    return None if detail is None or len(detail) > MAX_DETAIL else detail


def _kept_out(fields: Mapping[str, str]) -> str:
    """Which id it was, and which job stayed out or gave way; one that was to be numbered has no id yet."""
    other = fields.get("kept", fields.get("deduplicatedJobId")) or None
    return to_json({"dedup": fields.get("deduplicationId", ""), "kept_out": other}).decode()


def _number(text: str | None) -> int | None:
    """A stored number; Node's may have a fraction."""
    try:
        return None if text is None else int(float(text))
    except (ValueError, OverflowError):
        return None


def to_fields(event: Event) -> list[str]:
    """An event as it stands in the stream: for BullMQ's readers in its own fields, for corral's whole."""
    kind, detail = event.type, event.detail
    if detail is not None and len(detail) > MAX_DETAIL:
        detail = None
    word = event.name if kind is EventType.CUSTOM and event.name else _WIRE.get(kind, kind.value)
    fields = ["event", word]
    for name, value in (("jobId", event.job_id), ("name", event.name), ("at", str(event.at) if event.at else None)):
        if value is not None:
            fields += (name, value)
    match kind:
        case EventType.COMPLETED:  # Node parses these two, and stops reading for good when they are missing
            fields += ("returnvalue", detail or "null", "prev", "active")
        case EventType.PROGRESS:
            fields += ("data", detail or "null")
        case EventType.FAILED:
            fields += ("failedReason", _sentence(detail), "prev", "active")
        case EventType.DELAYED:
            fields += ("delay", detail or "0")
        case EventType.CLEANED:
            fields += ("count", detail or "0")
    fields += ("corral", kind.value)
    if detail is not None:
        fields += ("detail", detail)
    return fields


def _sentence(detail: str | None) -> str:
    try:
        return "" if detail is None else _decode_text(detail)
    except msgspec.MsgspecError:
        return detail or ""
