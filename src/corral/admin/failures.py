"""The write model's verbs about kinds of failures, and about what nobody wants to hear of for a while."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

from corral.admin.bulk import BulkVerbs, check_every
from corral.admin.objects import Mute, Operation, Silence
from corral.admin.rights import covered
from corral.errors import ConfigError, RecordNotFoundError
from corral.storage.records import MAX_CHANGES, EntryChange
from corral.timing import MAX_DURATION_MS, Millis

KIND = "mute"
KINDS = ("failure", "finding")
#: Mutes that one answer has.
MOST = 1_000
#: Failed jobs of a kind that only Node's workers have seen; they are found by their reasons, one by one.
NEWEST = 5_000

_decode = msgspec.json.Decoder(Mute).decode


class FailureVerbs(BulkVerbs):
    """Kinds of failures: run them again, mute them. Findings (what wants attention) can be muted too."""

    async def retry_failures(
        self, fingerprint: str, queue: str | None = None, *, every_ms: Millis = 0, visible: Sequence[str] = ("*",)
    ) -> Operation:
        """Run all failed jobs of one kind again, of a queue or of all; with `every_ms` one after the other.

        Jobs of queues that do not fit `visible` are left out.

        Raises:
            ConfigError: a kind that begins with `~` (found by its reason) without its queue, or no failures of it.
        """
        async with self._noting("failure.retry", failure=fingerprint, queue=queue) as note:
            if fingerprint.startswith("~"):
                if queue is None:
                    raise ConfigError("name the queue: failures of a kind with ~ are found in one queue", key="queue")
                found = await self.ground.monitor.failure(queue, fingerprint, newest=NEWEST)
                ids = [(queue, row.id) for row in reversed(found.newest)]
                return await self._start(note, "retry", ids=ids, every_ms=check_every(every_ms))
            where = "" if queue is None else f" queue:{_quoted(queue)}"
            query = f"fingerprint:{_quoted(fingerprint)}{where}"
            note.query = query
            states = self._check("retry", query, (), None)
            return await self._start(
                note, "retry", query=query, states=states, every_ms=check_every(every_ms), visible=tuple(visible)
            )

    async def mute(self, kind: str, id: str, until_ms: Millis, *, queues: Sequence[str] = ("*",)) -> Mute:
        """Let nobody hear of a kind of failure (`failure`) or of what wants attention (`finding`) until then.

        Args:
            queues: patterns of the queues for which that holds: those that there are for whoever asks.

        Raises:
            ConfigError: another kind, no id, or an end that is over or ten years away.
        """
        async with self._noting(f"{kind}.mute", **{str(kind): id}) as note:
            at = self.ground.at()
            _check_mute(kind, id)
            if isinstance(until_ms, bool) or not isinstance(until_ms, int) or not 0 < until_ms - at <= MAX_DURATION_MS:
                raise ConfigError(f"until must be within the next ten years, not {until_ms!r}", key="until")
            made = Mute(
                kind=kind, id=id, until=until_ms, by=self.actor.sub, reason=self.reason, at=at, queues=tuple(queues)
            )
            text = msgspec.json.encode(made).decode()
            change = EntryChange(id=_key(made), text=text, ttl_ms=until_ms - at)
            await self.storage.write_entries(KIND, [change], now=self.ground.store_now())
            note.after = {"until": until_ms} if "*" in queues else {"until": until_ms, "queues": list(queues)}
            return made

    async def unmute(self, kind: str, id: str, *, queues: Sequence[str] = ("*",)) -> None:
        """Hear of it again in these queues. A mute that holds for others too stays.

        Raises:
            RecordNotFoundError: it is not muted there, or for more queues than these.
        """
        async with self._noting(f"{kind}.unmute", **{str(kind): id}):
            _check_mute(kind, id)
            mine = [one for one in await self.muted(kind) if one.id == id and covered(queues, one.queues)]
            if not mine:
                raise RecordNotFoundError("mute", id)
            gone = [EntryChange(id=_key(one), text=None) for one in mine]
            for begin in range(0, len(gone), MAX_CHANGES):
                await self.storage.write_entries(KIND, gone[begin : begin + MAX_CHANGES], now=self.ground.store_now())

    async def mutes(self, kind: str) -> Mapping[str, Millis]:
        """What is muted in all queues, by id, with the moment until when. Raises: ConfigError: another kind."""
        return {one.id: one.until for one in await self.muted(kind) if "*" in one.queues}

    async def silence(self, kind: str) -> Silence:
        """What is muted of a kind, and in which queues. Raises: ConfigError: another kind."""
        return Silence(tuple(await self.muted(kind)))

    async def muted(self, kind: str) -> list[Mute]:
        """What is muted of a kind, by whom and why. Raises: ConfigError: another kind."""
        _check_mute(kind, "any")
        now = self.ground.store_now()
        entries = await self.storage.entries(
            KIND, after=f"{kind}:", before=f"{kind};", limit=MOST, newest_first=False, now=now
        )
        return [_decode(entry.text) for entry in entries]


def _check_mute(kind: str, id: str) -> None:
    if kind not in KINDS:
        raise ConfigError(f"what is muted must be one of {', '.join(KINDS)}, not {kind!r}", key="kind")
    if not isinstance(id, str) or not 0 < len(id) <= 1_000:
        raise ConfigError(f"the id of what is muted must be a text of 1 to 1,000 characters, not {id!r}", key="id")


def _key(mute: Mute) -> str:
    """The entry of a mute: one for each set of queues, so that nobody takes away what holds for others' queues.

    A finding's id has names of a queue and a schedule in it, which may be too long together.
    """
    if "*" in mute.queues and len(mute.id) <= 150:
        return f"{mute.kind}:{mute.id}"
    words = mute.id if "*" in mute.queues else "\n".join((mute.id, *sorted(mute.queues)))
    return f"{mute.kind}:{sha256(words.encode('utf-8', 'replace')).hexdigest()}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
