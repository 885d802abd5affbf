"""Commands over many jobs. A script does a slice and says where it stopped: nobody waits for a million jobs."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.job import JobId, JobState
from corral.storage.port import Selection
from corral.storage.redis.call import Call
from corral.storage.redis.codec import pack
from corral.storage.redis.connection import Server
from corral.storage.redis.scripts import script
from corral.timing import Millis

#: Ids of one request. A script stops earlier when finding them costs too much.
SLICE = 500


class Command(Call, omit_defaults=True, kw_only=True):
    """What `lib/select.lua` reads, and what single verbs add to it."""

    states: Sequence[str] = ()
    ids: Sequence[JobId] | None = None
    limit: int = 0
    name: str | None = None
    group: str | None = None
    fingerprint: str | None = None
    older: Millis | None = None
    beyond: int | None = None
    step: int | None = None
    skip: int = 0
    orphans: bool = False  #: take ids that have no job out of the queue, too
    count: bool = False
    promoting: bool = False  #: ids may be next runs of Node's schedulers
    reset: bool = False
    after: Millis = 0
    every: Millis = 0
    index: int = 0  #: how many jobs the calls before this one did
    reason: str | None = None
    text: str | None = None


class _Reply(Struct):
    ids: list[JobId]
    step: int | None = None
    skip: int | None = None
    left: int = 0
    again: bool = False


class _Count(Struct):
    n: int
    step: int | None = None
    skip: int | None = None


_decode_reply = msgspec.msgpack.Decoder(_Reply).decode
_decode_count = msgspec.msgpack.Decoder(_Count).decode


class Selector:
    """Runs a verb's script until all jobs that a selection means are done."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def apply(self, verb: str, command: Command, which: Selection, allowed: Iterable[JobState]) -> list[JobId]:
        """The ids of the jobs that were meant and in a state the verb can act on, in the order they were done."""
        if which.limit < 1:
            return []
        if which.ids:
            states = [state.value for state in allowed]
            return await self._these(verb, replace(command, states=states), which.ids[: which.limit])
        states = [state.value for state in allowed if state in which.states]
        if not states:
            return []
        command = replace(
            command, states=states, name=which.name, group=which.group, fingerprint=which.fingerprint,
            older=which.older_than_ms,
        )  # fmt: skip
        if which.beyond is None:
            return await self._walk(verb, command, which.limit)
        if not _needs_count(which):
            return await self._walk(verb, replace(command, beyond=which.beyond), which.limit)
        done: list[JobId] = []
        for state in states:
            one = replace(command, states=[state])
            meant = await self._count(one) - which.beyond
            done += await self._walk(verb, one, min(which.limit - len(done), meant))
        return done

    async def _these(self, verb: str, command: Command, ids: Sequence[JobId]) -> list[JobId]:
        left = list(dict.fromkeys(ids))
        done: list[JobId] = []
        while left:
            batch = left[:SLICE]
            reply = await self._send(verb, replace(command, ids=batch, index=len(done)))
            done += reply.ids
            del left[: len(batch) - reply.left]
        return done

    async def _walk(self, verb: str, command: Command, limit: int) -> list[JobId]:
        done: list[JobId] = []
        again = False
        while len(done) < limit:
            reply = await self._send(verb, replace(command, limit=limit - len(done), index=len(done)))
            done += reply.ids
            again = again or reply.again
            if reply.step is not None:
                command = replace(command, step=reply.step, skip=reply.skip or 0)
            elif again:  # what was done brought in others that are meant: held back ones, parents
                states = [state for state in command.states if state != JobState.ACTIVE.value]
                command = replace(command, states=states, step=None, skip=0)
                again = False
            else:
                break
        return done

    async def _send(self, verb: str, command: Command) -> _Reply:
        return _decode_reply(await self._server.run(script(verb), command.queue, pack(command)))

    async def _count(self, command: Command) -> int:
        command = replace(command, count=True)
        total = 0
        while True:
            reply = _decode_count(await self._server.run(script("select"), command.queue, pack(command), changes=False))
            total += reply.n
            if reply.step is None:
                return total
            command = replace(command, step=reply.step, skip=reply.skip or 0)


def _needs_count(which: Selection) -> bool:
    """Whether how many are meant can only be said by looking at each."""
    ended = which.states <= {JobState.COMPLETED, JobState.FAILED}
    filtered = which.name is not None or which.group is not None or which.fingerprint is not None
    return filtered or JobState.DELAYED in which.states or (which.older_than_ms is not None and not ended)
