"""groups and place: who takes turns, and where a job stands."""

import msgspec
from msgspec import Struct

from corral.job import JobId
from corral.storage.insight import GroupInfo, Page, Place
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.info import group_info
from corral.storage.redis.scripts import script

#: Groups told by one call: 2 ms.
SLICE = 200


class _Groups(Call, kw_only=True):
    start: int
    limit: int


class _Found(Struct):
    total: int
    found: list[tuple[str, int, int, str, float]]


class _Place(Call, kw_only=True):
    id: JobId


class _Told(Struct):
    ahead: int
    exact: bool
    groups: int


_decode_groups = msgspec.msgpack.Decoder(_Found).decode
_decode_place = msgspec.msgpack.Decoder(_Told | bool).decode


class Groups:
    """The two questions."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    async def groups(self, queue: str, start: int, limit: int) -> Page[GroupInfo]:
        """Groups with jobs or settings of their own, by id."""
        start, items = max(0, start), list[GroupInfo]()
        while True:
            wanted = max(0, min(SLICE, limit - len(items)))
            request = _Groups(prefix=self._prefix, queue=queue, start=start + len(items), limit=wanted)
            reply = _decode_groups(await self._server.run(script("groups"), queue, pack(request), changes=False))
            items += [group_info(queue, *row) for row in reply.found]
            if len(reply.found) < wanted or len(items) >= limit:
                return Page(tuple(items), reply.total)

    async def place(self, queue: str, job_id: JobId) -> Place | None:
        """How many stand before a job; None when it neither waits nor is delayed."""
        request = _Place(prefix=self._prefix, queue=queue, id=job_id)
        told = _decode_place(await self._server.run(script("place"), queue, pack(request), changes=False))
        return None if isinstance(told, bool) else Place(ahead=told.ahead, exact=told.exact, groups=told.groups)
