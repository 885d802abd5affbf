"""Running one command: no shell, an environment of its own, and an end that always comes for all that it started."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from corral.errors import CorralError
from corral.handlers.pipelines.leftovers import MARK, end_leftovers, new_mark
from corral.handlers.pipelines.output import Output
from corral.worker.process import PipeEnd, Process, how_it_ended
from corral.worker.supervised import Warden

logger = logging.getLogger("corral.handlers.pipelines")

#: Between SIGTERM and SIGKILL. A worker gives a handler that is told to stop 5 s in all.
GRACE = 2.0
#: How long after a program's end its output may still come, from something that left its group.
LINGER = 0.5


class CommandError(CorralError):
    """A command could not be started, or failed and may be tried again."""


class Ended(Struct, frozen=True, kw_only=True):
    """How a command ended."""

    program: str
    status: int  #: its exit status; below 0 the signal that ended it
    seconds: float
    printed: int  #: bytes
    stopped: str = ""  #: why it was killed: "ran longer than 5 s"; empty when it ended by itself

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.stopped

    @property
    def reason(self) -> str:
        """What went wrong, as a sentence."""
        return f"{self.program} {self.stopped or how_it_ended(self.status)}"


class _TooMuchError(Exception):
    """It prints without end."""


class Runner:
    """Runs commands. Whatever ends the caller ends the command and everything that it started.

    Args:
        max_output: bytes that a command may print before it is killed.
    """

    def __init__(self, *, max_output: int) -> None:
        self._max_output = max_output
        self._warden = Warden()
        self._held = 0

    async def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float, output: Output
    ) -> Ended:  # fmt: skip
        """Run a program and wait for its end. `argv[0]` is a file. Cancelling ends its whole group: SIGTERM, 2 s
        later SIGKILL; should this very process be killed, a warden ends it.

        Raises:
            CommandError: it cannot be started.
        """
        began = time.monotonic()
        mark = new_mark()
        program = os.path.basename(argv[0])
        stopped = ""
        async with self._started(argv, cwd, {**env, MARK: mark}) as (process, pipe):
            try:
                async with asyncio.timeout(timeout):
                    await self._follow(process, pipe, output)
            except TimeoutError:
                stopped = f"ran longer than {timeout:g} s"
            except _TooMuchError:
                stopped = f"printed more than {self._max_output:,} bytes"
            finally:
                await asyncio.shield(_end(process, mark))
        status = process.exited.result() if process.exited.done() else -signal.SIGKILL
        seconds = round(time.monotonic() - began, 3)
        return Ended(program=program, status=status, seconds=seconds, printed=output.printed, stopped=stopped)

    @asynccontextmanager
    async def _started(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> AsyncIterator[tuple[Process, PipeEnd]]:
        self._held += 1
        reading, writing = os.pipe()
        pipe = PipeEnd(reading)
        warden = self._warden
        try:
            process = self._start(argv, cwd, env, writing)
            warden.add(process.pid)
            process.exited.add_done_callback(lambda _: _close_later(pipe))
            try:
                yield process, pipe
            finally:
                warden.remove(process.pid)
        finally:
            pipe.close()
            self._held -= 1
            if not self._held:
                self._warden = Warden()  # a command that begins meanwhile gets a new one
                await asyncio.shield(warden.close())

    def _start(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], writing: int) -> Process:
        try:
            self._warden.start({"PATH": os.defpath})
            return Process(argv, env=env, output=writing, cwd=str(cwd))
        except OSError as error:
            raise CommandError(f"{os.path.basename(argv[0])} cannot be started: {error}") from None
        finally:
            os.close(writing)

    async def _follow(self, process: Process, pipe: PipeEnd, output: Output) -> None:
        while (data := pipe.read()) != b"":
            if data is None:
                await pipe.readable()
                continue
            output.feed(data)
            if output.printed > self._max_output:
                raise _TooMuchError
            await asyncio.sleep(0)  # one that prints without a pause may not keep the loop from everybody else
        await asyncio.shield(process.exited)


def _close_later(pipe: PipeEnd) -> None:
    asyncio.get_running_loop().call_later(LINGER, pipe.close)


async def _end(process: Process, mark: str) -> None:
    if not process.exited.done():
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)  # a stopped program hears nothing else
        if not await process.gone(GRACE):
            await process.kill()
    ended = await asyncio.to_thread(end_leftovers, mark)
    if ended:
        logger.warning("a command left %d programs behind that had gone out of its group; they were killed", ended)


def joined(parts: Iterable[str]) -> str:
    """A command as it is shown: each argument that needs it in quotes."""
    return " ".join(part if part and part.isprintable() and " " not in part else repr(part) for part in parts)
