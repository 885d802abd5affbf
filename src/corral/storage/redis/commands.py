"""What people ask for: remove, retry, promote, cancel, update, log, configure, obliterate, remember."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from corral.errors import StorageError
from corral.job import JobId, JobState
from corral.options import QueueSettings
from corral.storage.port import JobPatch, Lease, QueueInfo, Selection
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.info import queue_info
from corral.storage.redis.scripts import script
from corral.storage.redis.selection import SLICE, Command, Selector
from corral.storage.redis.settings import Changes, changes, in_slices
from corral.timing import Millis

# In the order in which selections go through them.
_AT_REST = (
    JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN, JobState.COMPLETED, JobState.FAILED,
)  # fmt: skip
_ENDED = (JobState.COMPLETED, JobState.FAILED)
_UNFINISHED = (JobState.WAITING, JobState.DELAYED, JobState.ACTIVE, JobState.WAITING_CHILDREN)


class _Patch(Struct, omit_defaults=True):
    id: JobId
    token: str | None = None
    data: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    delay: Millis | UnsetType = UNSET
    progress: str | UnsetType = UNSET
    detach: bool = False


class _Update(Call, omit_defaults=True, kw_only=True):
    patches: list[_Patch]


class _Updated(Struct):
    ids: list[JobId]
    left: int = 0


class _Log(Call, omit_defaults=True, kw_only=True):
    id: JobId
    lines: Sequence[str]
    keep: int


class _Configure(Call, omit_defaults=True, kw_only=True):
    settings: Changes | None = None
    go_on: str | None = None
    start: int = 0


class _Configured(Struct):
    info: dict[str, str]
    unheld: int
    unpaused: int
    regroup: int = -1  #: the next group to be looked at; below 0 when all were


class _Obliterate(Call, omit_defaults=True, kw_only=True):
    force: bool = False
    go_on: bool = False


class _Obliterated(Struct):
    active: int
    more: bool


class _Remember(Call, omit_defaults=True, kw_only=True):
    key: str
    value: str | None = None
    replace: bool = False
    ttl: Millis | None = None
    lease: Lease | None = None


_decode_updated = msgspec.msgpack.Decoder(_Updated).decode
_decode_length = msgspec.msgpack.Decoder(int).decode
_decode_configured = msgspec.msgpack.Decoder(_Configured).decode
_decode_obliterated = msgspec.msgpack.Decoder(_Obliterated).decode
_decode_note: Callable[[bytes], str | None] = msgspec.msgpack.Decoder(str | None).decode


class Commands:
    """The verbs that change jobs and queues. See the port for what each promises."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._selector = Selector(server)

    # -- jobs ------------------------------------------------------------------------------------------------------

    async def remove(self, queue: str, which: Selection, now: Millis | None) -> list[JobId]:
        command = Command(prefix=self._prefix, queue=queue, now=now, orphans=True)
        return await self._selector.apply("remove", command, which, _AT_REST)

    async def retry(
        self, queue: str, which: Selection, reset_attempts: bool, after_ms: Millis, every_ms: Millis, now: Millis | None
    ) -> list[JobId]:
        command = Command(
            prefix=self._prefix, queue=queue, now=now, reset=reset_attempts, after=after_ms, every=every_ms
        )
        return await self._selector.apply("retry", command, which, _ENDED)

    async def promote(self, queue: str, which: Selection, now: Millis | None) -> list[JobId]:
        command = Command(prefix=self._prefix, queue=queue, now=now, promoting=True)
        return await self._selector.apply("promote", command, which, (JobState.DELAYED,))

    async def cancel(self, queue: str, which: Selection, reason: str, now: Millis | None) -> list[JobId]:
        text = f"cancelled: {reason}" if reason else "cancelled"
        command = Command(prefix=self._prefix, queue=queue, now=now, reason=reason, text=text)
        return await self._selector.apply("cancel", command, which, _UNFINISHED)

    async def update(self, queue: str, patches: Sequence[JobPatch], now: Millis | None) -> list[JobId]:
        left = [
            _Patch(one.job_id, one.token, one.data, one.priority, one.delay_ms, one.progress, one.detach)
            for one in patches
        ]
        done: list[JobId] = []
        while left:
            batch = left[:SLICE]
            request = _Update(prefix=self._prefix, queue=queue, now=now, patches=batch)
            updated = _decode_updated(await self._server.run(script("update"), queue, pack(request)))
            done += updated.ids
            del left[: len(batch) - updated.left]
        return done

    async def log(self, queue: str, job_id: JobId, lines: Sequence[str], keep: int) -> int:
        request = _Log(prefix=self._prefix, queue=queue, id=job_id, lines=lines, keep=keep)
        return _decode_length(await self._server.run(script("log"), queue, pack(request)))

    # -- queues ----------------------------------------------------------------------------------------------------

    async def configure(self, queue: str, settings: QueueSettings, now: Millis | None) -> QueueInfo:
        request = _Configure(prefix=self._prefix, queue=queue, now=now)
        if settings == QueueSettings():
            return queue_info(queue, (await self._configure(request)).info)
        first, *rest = in_slices(changes(settings))
        done = await self._configure(replace(request, settings=first))
        for more in rest:
            await self._configure(replace(request, settings=more))
        # Workers may set jobs aside again meanwhile: those counted at first are served again, no more.
        for _ in range(0, done.unheld, SLICE):
            await self._configure(replace(request, go_on="held"))
        merged = done
        while merged.unpaused:
            merged = await self._configure(replace(request, go_on="paused"))
        regrouped = done
        while regrouped.regroup >= 0:
            regrouped = await self._configure(replace(request, go_on="groups", start=regrouped.regroup))
        return queue_info(queue, done.info)

    async def _configure(self, request: _Configure) -> _Configured:
        changing = request.settings is not None or request.go_on is not None
        reply = await self._server.run(script("configure"), request.queue, pack(request), changes=changing)
        return _decode_configured(reply)

    async def obliterate(self, queue: str, force: bool) -> None:
        request = _Obliterate(prefix=self._prefix, queue=queue, force=force)
        done = await self._obliterate(request)
        if done.active:
            raise StorageError(f"queue {queue!r} has {done.active} active jobs; pause it and wait, or use force=True")
        while done.more:
            done = await self._obliterate(replace(request, go_on=True))

    async def _obliterate(self, request: _Obliterate) -> _Obliterated:
        return _decode_obliterated(await self._server.run(script("obliterate"), request.queue, pack(request)))

    async def remember(
        self, queue: str, key: str, value: str | None, replace_it: bool, ttl_ms: Millis | None, lease: Lease | None,
        now: Millis | None,
    ) -> str | None:  # fmt: skip
        request = _Remember(
            prefix=self._prefix, queue=queue, now=now, key=key, value=value, replace=replace_it, ttl=ttl_ms,
            lease=None if value is None else lease,
        )  # fmt: skip
        reply = await self._server.run(script("remember"), queue, pack(request), changes=value is not None)
        return _decode_note(reply)
