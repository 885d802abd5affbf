"""Calling scripts and commands, whatever becomes of the connection meanwhile.

A call whose reply is lost is made again, under the same number of the same lane: the script then answers what it
answered the first time, or does now what it never did. A call that stays without an answer retires its lane.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable

from hiredis import ReplyError

from corral.errors import ConfigError, CorralError, StorageError, StorageUnavailableError
from corral.storage.redis.checks import check_server
from corral.storage.redis.faults import Raisers, Remedy, error_of, remedy
from corral.storage.redis.lines import Lines, Pauses
from corral.storage.redis.link import Answer, Command, Link, Lost, Reply, pack
from corral.storage.redis.scripts import Script
from corral.storage.redis.url import Place

#: What a blocking command may overrun its own time-out by, in seconds, before its connection is taken for dead.
GRACE = 2.0
_NO_RAISERS: Raisers = {}


class Lane:
    """A slot for one state-changing call at a time. `number` is its latest call's."""

    __slots__ = ("name", "number")

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0


class Server:
    """The servers behind one URL, as one handle sees them. Bound to the event loop that opened it."""

    def __init__(self, place: Place, raisers: Raisers = _NO_RAISERS) -> None:
        self.place = place
        self._raisers = raisers
        self._lines = Lines(place)
        self._id = secrets.token_hex(6)
        self._lanes: list[Lane] = []
        self._lanes_made = 0
        self._pid = 0
        self._opened = False
        self._block_pauses = Pauses()

    @property
    def version(self) -> tuple[int, ...]:
        """The server's version; () before the first connection."""
        link = self._lines.shared
        return () if link is None else link.version

    async def open(self) -> None:
        """Connect, and check that the server is one to work with.

        Raises:
            StorageUnavailableError: nobody answered in time.
            ConfigError, StorageVersionError, StorageError: the server or its settings will not do.
        """
        self._pid = os.getpid()
        self._lines.open()
        try:
            await check_server(await self._lines.main(self._deadline()), self.place)
        except BaseException:  # what nobody will close must not stay open
            await self._lines.close()
            raise
        self._opened = True

    async def close(self) -> None:
        """Drop the connections. Calls under way end as StorageUnavailableError."""
        self._opened = False
        await self._lines.close()

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def run(self, script: Script, queue: str, request: bytes, *, changes: bool = True) -> bytes:
        """Run a script on a queue (`""`: on all of them) and answer with its reply.

        With `changes`, a repeated call is recognised by the script; without, it simply happens again.

        Raises:
            StorageUnavailableError: no answer in time; whether it happened is not known.
            CorralError: what the script raised, or what the server has against it.
        """
        if os.getpid() != self._pid:
            raise StorageError("this store was not opened in this process; open it again after a fork")
        lane = self._next_lane() if changes else None
        answer: Answer | None = None
        link = self._lines.shared
        if link is not None and link.lost is None:
            answer = await link.call(self._packed(link, script, queue, request, lane))
        if type(answer) is not bytes:
            answer = await self._run_on(script, queue, request, lane, link, answer)
        if lane is not None:  # not after a cancellation: the call of this lane may still be under way
            self._lanes.append(lane)
        return answer

    async def commands(self, *commands: Command) -> list[Reply]:
        """Send plain commands that only read, together; they may be repeated.

        Raises:
            StorageUnavailableError: no answer in time. StorageError: the server refused one of them.
        """
        packed = [pack(command) for command in commands]

        async def send(link: Link) -> Answer:
            answers = [await future for future in [link.call(one) for one in packed]]
            replies: list[Reply] = []
            for answer in answers:
                if isinstance(answer, Lost | ReplyError):
                    return answer
                replies.append(answer)
            return replies

        answer = await self._persist(send, doing=str(commands[0][0]), queue="", deadline=self._deadline())
        assert isinstance(answer, list)
        return answer

    async def block(self, command: Command, *, timeout: float, name: str | None = None) -> Reply:
        """Send a command that waits up to `timeout` seconds by itself, on a connection of its own.

        None also when the connection was lost, which then has been made anew: whoever waits for a hint looks anyway.

        Raises:
            StorageUnavailableError: no connection in time. StorageError: the server refused the command.
        """
        answer = await self._wait_for(command, timeout, name)
        if not isinstance(answer, Lost | ReplyError):
            self._block_pauses = Pauses()
            return answer
        if isinstance(answer, ReplyError):
            text = str(answer)
            if remedy(text) is Remedy.NONE:
                raise self._told(error_of(text, doing=str(command[0]), queue="", place=self.place))
            self._lines.finder.moved(text)
        await asyncio.sleep(self._block_pauses.next())
        self._lines.give_back(name, await self._borrow(name))
        return None

    # -- lanes ---------------------------------------------------------------------------------------------------------

    def _next_lane(self) -> Lane:
        if self._lanes:
            lane = self._lanes.pop()
        else:
            lane = Lane(f"{self._id}-{self._lanes_made}")
            self._lanes_made += 1
        lane.number += 1
        return lane

    def _packed(self, link: Link, script: Script, queue: str, request: bytes, lane: Lane | None) -> bytes:
        prefix = self.place.prefix
        _, sha = script.spoken(link.version)
        name, number = ("", 0) if lane is None else (lane.name, lane.number)
        return pack(("EVALSHA", sha, 2, f"{prefix}:{queue}:", f"corral:{prefix}:{queue}:", request, name, number))

    # -- when the first answer is not a reply --------------------------------------------------------------------------

    async def _run_on(
        self, script: Script, queue: str, request: bytes, lane: Lane | None, link: Link | None, first: Answer | None
    ) -> bytes:
        missing = _is_missing(first)

        async def send(link: Link) -> Answer:
            nonlocal missing
            packed = self._packed(link, script, queue, request, lane)
            if not missing:
                answer = await link.call(packed)
                if not _is_missing(answer):
                    return answer
                missing = True
            # Loaded and called in one go: between two round trips the next flush would find it.
            text, _ = script.spoken(link.version)
            load, call = link.call(pack(("SCRIPT", "LOAD", text))), link.call(packed)
            loaded, answer = await load, await call
            return loaded if _is_missing(answer) and isinstance(loaded, ReplyError) else answer

        answer = await self._persist(
            send, doing=f"script {script.name!r}", queue=queue, deadline=self._deadline(), link=link, answer=first,
            settled=lambda: self._lanes.append(lane) if lane is not None else None,
        )  # fmt: skip
        if isinstance(answer, bytes):
            return answer
        raise StorageError(f"script {script.name!r} answered {answer!r}, not a document")

    async def _persist(
        self, send: Callable[[Link], Awaitable[Answer]], *, doing: str, queue: str, deadline: float,
        link: Link | None = None, answer: Answer | None = None, settled: Callable[[], None] = lambda: None,
    ) -> Reply:  # fmt: skip
        """Send until there is a reply or an error that stays. The first repetition comes at once, others after a pause.

        `settled` is told that the call is over, before its error is raised.
        """
        loop = asyncio.get_running_loop()
        pauses: Pauses | None = None
        while True:
            if link is None or answer is None:
                link = await self._main(deadline)
                answer = await send(link)
            if not isinstance(answer, Lost | ReplyError):
                return answer
            trouble = str(answer)
            if isinstance(answer, ReplyError):
                cure = remedy(trouble)
                if cure is Remedy.NONE:
                    settled()
                    raise self._told(
                        error_of(trouble, doing=doing, queue=queue, place=self.place, raisers=self._raisers)
                    )
                if cure is Remedy.MOVE:
                    self._lines.finder.moved(trouble)
                    link.cut(trouble)
            pause = 0.0 if pauses is None else pauses.next()
            pauses = pauses or Pauses()
            if loop.time() + pause >= deadline:
                raise StorageUnavailableError(
                    f"{doing} got no answer from {self.place} within {self.place.patience:g} s: {trouble}"
                )
            await asyncio.sleep(pause)
            answer = None

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.place.patience

    async def _main(self, deadline: float) -> Link:
        try:
            return await self._lines.main(deadline)
        except ConfigError as error:
            raise self._told(error) from error

    def _told(self, error: CorralError) -> CorralError:
        """A setting that stopped being right while we work, such as a new password, may become right again."""
        return StorageUnavailableError(str(error)) if self._opened and isinstance(error, ConfigError) else error

    # -- blocking ------------------------------------------------------------------------------------------------------

    async def _borrow(self, name: str | None) -> Link:
        try:
            return await self._lines.borrow(name, self._deadline())
        except ConfigError as error:
            raise self._told(error) from error

    async def _wait_for(self, command: Command, timeout: float, name: str | None) -> Answer:
        link = await self._borrow(name)
        try:
            future = link.call(pack(command))
            await asyncio.wait((future,), timeout=timeout + GRACE)
            if not future.done():
                link.cut(f"no answer for {timeout + GRACE:.3g} s")
            answer = future.result()
            if isinstance(answer, ReplyError) and remedy(str(answer)) is not Remedy.NONE:
                link.cut(str(answer))
            return answer
        except BaseException:  # cancelled: the server must not hand this reader what another one could take
            link.cut("not waited for any more")
            raise
        finally:
            self._lines.give_back(name, link)


def _is_missing(answer: Answer | None) -> bool:
    return isinstance(answer, ReplyError) and remedy(str(answer)) is Remedy.LOAD
