"""The index of tags and traces: which jobs have them, of those that had finished when it was made.

It is made on request and stands in the store's records, so that adding and finishing jobs costs no more than without
it. Jobs that finished since, and those that have not finished, are looked through as ever: together nothing is missed.
A job that was run again, or is gone, is found out when it is looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct

from corral.job import JobId
from corral.monitor.grammar import Query, Term, Text
from corral.storage.port import Storage
from corral.storage.records import EntryChange
from corral.timing import Millis

#: One entry for each queue that has an index says which; the parts of it are of the kind `index:QUEUE`.
KIND = "index"
#: An index that nobody makes anew is forgotten: the longer ago, the more has to be looked through beside it.
TTL_MS: Millis = 30 * 86_400_000
#: A trace is typed by its beginning; shorter ones are looked for as if there were no index.
LEAST = 3
#: Characters of a part, at most 250 of which are one value and one id more: records end at a million bytes.
PART = 400_000
#: Parts that are read, and entries that are deleted, at once.
TOGETHER = 100
#: Records whose ids are asked for at once.
ASKED = 100


class Coverage(Struct, frozen=True, kw_only=True):
    """What an index of one queue has."""

    made: str  #: which one it is; a later one sorts behind
    at: Millis  #: every finished job that had ended by then is in it
    jobs: int = 0  #: so many were looked at
    entries: int = 0  #: tags and traces found


_decode = msgspec.json.Decoder(Coverage).decode
_decode_part = msgspec.json.Decoder(dict[str, list[JobId]]).decode


class Asked(Struct, frozen=True):
    """What a search wants to know of an index."""

    field: str
    tests: tuple[Text, ...]

    def buckets(self) -> list[str]:
        """Where that stands."""
        return sorted({bucket_of(self.field, test.value) for test in self.tests})

    def fits(self, value: str) -> bool:
        """Whether a tag or trace is one of those."""
        return any(value.startswith(test.value) if test.how == "starts" else value == test.value for test in self.tests)


def asked(query: Query) -> Asked | None:
    """What an index could tell of a search: exact tags, or the beginnings of traces; None: nothing."""
    for field in ("trace", "tag"):
        for term in query.of(field):
            if not term.negated and (found := _usable(term)):
                return Asked(field, found)
    return None


def _usable(term: Term) -> tuple[Text, ...]:
    ways = ("is", "starts") if term.field == "trace" else ("is",)
    tests = [test for test in term.tests if isinstance(test, Text) and test.how in ways]
    if len(tests) < len(term.tests) or (term.field == "trace" and any(len(test.value) < LEAST for test in tests)):
        return ()
    return tuple(tests)


def bucket_of(field: str, value: str) -> str:
    """The bucket of a tag or trace: so few that a part of each is one record, so many that each is small."""
    return value[:LEAST] if field == "trace" else sha256(value.encode("utf-8", "replace")).hexdigest()[:2]


def parts_kind(queue: str) -> str:
    """The kind of the records that have the index of a queue."""
    return f"{KIND}:{queue}"


def changes_of(
    made: str, step: int, found: Mapping[tuple[str, str], Mapping[str, Sequence[JobId]]]
) -> Iterable[EntryChange]:  # fmt: skip
    """The records of what one step has found: by (field, bucket), the jobs of each value."""
    for (field, bucket), values in found.items():
        for number, part in enumerate(_cut(values)):
            text = msgspec.json.encode(part).decode()
            yield EntryChange(id=f"{made}:{field}:{bucket}:{step:06}:{number:04}", text=text, ttl_ms=TTL_MS)


def _cut(values: Mapping[str, Sequence[JobId]]) -> Iterable[dict[str, list[JobId]]]:
    part: dict[str, list[JobId]] = {}
    size = 0
    for value, ids in values.items():
        for job_id in ids:
            if value not in part:
                size += len(value)
                part[value] = []
            part[value].append(job_id)
            size += len(job_id) + 3
            if size >= PART:
                yield part
                part, size = {}, 0
    if part:
        yield part


def coverage_change(queue: str, coverage: Coverage) -> EntryChange:
    """The record that says that a queue has an index."""
    return EntryChange(id=queue, text=msgspec.json.encode(coverage).decode(), ttl_ms=TTL_MS)


async def coverages(storage: Storage, queues: Sequence[str], *, now: Millis | None) -> dict[str, Coverage]:
    """Which of these queues have an index."""
    found: dict[str, Coverage] = {}
    for begin in range(0, len(queues), ASKED):
        for entry in await storage.entries(KIND, ids=queues[begin : begin + ASKED], now=now):
            try:
                found[entry.id] = _decode(entry.text)
            except msgspec.MsgspecError:  # a later corral wrote it in another way: as good as none
                continue
    return found


async def look_up(
    storage: Storage, queue: str, coverage: Coverage, wanted: Asked, *, now: Millis | None
) -> list[JobId]:  # fmt: skip
    """The jobs of a queue that an index has for this, those that it came upon first, the newest, first."""
    found: dict[JobId, None] = {}
    for bucket in wanted.buckets():
        prefix = f"{coverage.made}:{wanted.field}:{bucket}:"
        after = prefix
        while True:
            entries = await storage.entries(
                parts_kind(queue), after=after, before=f"{prefix[:-1]};", limit=TOGETHER, newest_first=False, now=now
            )
            for entry in entries:
                for value, ids in _decode_part(entry.text).items():
                    if wanted.fits(value):
                        found |= dict.fromkeys(ids)
            if len(entries) < TOGETHER:
                break
            after = entries[-1].id
    return list(found)
