"""Entries: texts with a version, by kind and id."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.storage.records import Entry, EntryChange
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.scripts import script
from corral.timing import Millis

#: Ids asked for by one call.
IDS = 250
#: Stands for the versions that a request or a reply has no number for.
_ANY = _OTHER = -1


class _Write(Call, kw_only=True):
    kind: str
    changes: Sequence[tuple[str, str | bool, int, Millis]]
    keep: int | None = None


class _Written(Struct):
    answers: list[int]
    more: bool


class _Read(Call, omit_defaults=True, kw_only=True):
    kind: str
    ids: Sequence[str] | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 0
    newest_first: bool = False


class _Rows(Struct):
    rows: list[str]
    seen: int
    last: str | None = None


_decode_written = msgspec.msgpack.Decoder(_Written).decode
_decode_rows = msgspec.msgpack.Decoder(_Rows).decode


class Records:
    """What people do to the store. See the port for what each verb promises."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    async def write(
        self, kind: str, changes: Sequence[EntryChange], keep: int | None, now: Millis | None
    ) -> list[int | None]:
        asked = [
            (
                one.id,
                False if one.text is None else one.text,
                _ANY if one.version is None else one.version,
                one.ttl_ms or 0,
            )
            for one in changes
        ]
        request = _Write(
            prefix=self._prefix, now=now, kind=kind, changes=asked, keep=None if keep is None else max(0, keep)
        )
        written = _decode_written(await self._server.run(script("write_entries"), "", pack(request)))
        answers = [None if answer == _OTHER else answer for answer in written.answers]
        while written.more:  # what is beyond those to be kept goes a thousand at a time
            request = replace(request, changes=())
            written = _decode_written(await self._server.run(script("write_entries"), "", pack(request)))
        return answers

    async def some(self, kind: str, ids: Sequence[str], now: Millis | None) -> list[Entry]:
        found: list[Entry] = []
        place = 0
        while place < len(ids):
            request = _Read(prefix=self._prefix, now=now, kind=kind, ids=ids[place : place + IDS])
            rows = await self._ask(request)
            found += _entries(rows)
            place += rows.seen
        return found

    async def stretch(
        self, kind: str, after: str | None, before: str | None, limit: int, newest_first: bool, now: Millis | None
    ) -> list[Entry]:
        found: list[Entry] = []
        while len(found) < limit:
            request = _Read(
                prefix=self._prefix, now=now, kind=kind, after=after, before=before, limit=limit - len(found),
                newest_first=newest_first,
            )  # fmt: skip
            rows = await self._ask(request)
            found += _entries(rows)
            if rows.last is None:
                break
            after, before = (after, rows.last) if newest_first else (rows.last, before)
        return found

    async def _ask(self, request: _Read) -> _Rows:
        return _decode_rows(await self._server.run(script("entries"), "", pack(request), changes=False))


def _entries(rows: _Rows) -> list[Entry]:
    return [_entry(entry_id, stored) for entry_id, stored in zip(rows.rows[::2], rows.rows[1::2], strict=True)]


def _entry(entry_id: str, stored: str) -> Entry:
    version, at, _, text = stored.split(":", 3)
    return Entry(id=entry_id, text=text, version=int(version), at=int(at))
