"""Several worker processes under one parent, and workers that start afresh when the code changes.

A child is told to stop by a word on its standard input, not by a signal: whoever signals the whole group (a terminal's
Ctrl-C, systemd) would reach it twice, and a worker takes the second time as "now". A parent that dies closes the pipe,
which stops its children too.
"""

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from corral.cli.failures import OK, UNREACHABLE, USAGE
from corral.errors import ConfigError
from corral.observe.outlook import SOCKET
from corral.worker.heed import DUMPS, QUIETS, STOPS, hung_up

logger = logging.getLogger("corral.supervisor")

INSTANCE = "CORRAL_INSTANCE"  #: tells a child that it is one, and which
STARTS = "CORRAL_STARTS"  #: tells a child the how manieth it is
STOP = b"stop\n"
ABORT = b"abort\n"
QUIET = b"quiet\n"
DUMP = b"dump\n"

FIRST_PAUSE = 1.0  #: seconds before a crashed child is replaced; doubles with each crash …
LONGEST_PAUSE = 30.0  #: … up to this
HEALTHY_AFTER = 60.0  #: a child that lived this long was no failure of the start: the pause begins anew
RELOAD_PATIENCE = 5.0  #: how long running jobs may delay a reload; they go back to the queue then
MARGIN = 10.0  #: beyond its own time to stop, before a child is killed
CUT_SHORT = {128 + signal.SIGINT, 128 + signal.SIGTERM}  #: a child that was stopped before it had begun
ECHO = 0.5  #: `timeout` and some supervisors signal the process and its group: that is one order, not two


@dataclass(slots=True)
class Plan:
    """What is to be supervised."""

    command: Sequence[str]
    processes: int = 1
    once: bool = False  #: a child that ends well is not replaced (`--burst`)
    watch: Path | None = None  #: start afresh when a Python file below changes
    shutdown_timeout: float = 30.0
    sockets: str | None = None  #: folder in which children listen for what the supervisor asks them
    env: Mapping[str, str] = field(default_factory=dict)
    workers: bool = False  #: the children are workers, which understand more than to stop
    inherited: Sequence[int] = ()  #: descriptors that children have too


class Supervisor:
    """Keeps the children of a plan alive until it is told to stop."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._children: dict[int, Process] = {}
        self.sockets: dict[int, str] = {}  #: of the children that run; read by the thread that answers probes
        self._started = 0
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()  #: replaced by a new one after each change
        self._ordered_at = -ECHO

    async def run(self) -> int:
        """Start the children and look after them. Answers the worst exit code of the last of each.

        Raises:
            ConfigError: reloading is wanted, but `watchfiles` is not installed.
        """
        if self.plan.watch is not None and find_spec("watchfiles") is None:
            raise ConfigError("--reload needs the package watchfiles: pip install 'corral[cli]'", key="reload")
        loop = asyncio.get_running_loop()
        heard: dict[signal.Signals, Callable[[], None]] = dict.fromkeys(STOPS, self._signalled)
        if self.plan.workers:
            heard |= dict.fromkeys(QUIETS, partial(self._pass_on, QUIET)) | dict.fromkeys(
                DUMPS, partial(self._pass_on, DUMP)
            )
            heard[signal.SIGHUP] = hung_up(self._signalled)
        for number, what in heard.items():
            loop.add_signal_handler(number, what)
        watching = asyncio.create_task(self._watch(self.plan.watch)) if self.plan.watch else None
        if watching is not None:
            watching.add_done_callback(_tell_when_blind)
        try:
            codes = await asyncio.gather(*(self._keep(index) for index in range(self.plan.processes)))
        finally:
            self._stopping.set()
            if watching is not None:
                await asyncio.wait([watching])
            for number in heard:
                loop.remove_signal_handler(number)
        return max(codes)

    def _signalled(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._ordered_at >= ECHO:
            self._ordered_at = now
            self.stop()

    def _pass_on(self, word: bytes) -> None:
        for child in self._children.values():
            tell(child, word)

    def stop(self) -> None:
        """Ask every child to finish its jobs and end; the second time, to end now."""
        word = ABORT if self._stopping.is_set() else STOP
        self._stopping.set()
        for child in self._children.values():
            tell(child, word)

    # -- one child ---------------------------------------------------------------------------------------------------

    async def _keep(self, index: int) -> int:
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        first = True
        while True:
            started = clock()
            changed = self._changed
            code = await self._run_one(index, changed)
            if self._stopping.is_set():
                return OK if code in CUT_SHORT else code
            if self.plan.once and code == OK:
                return code
            if self.plan.watch is not None:
                if not changed.is_set():
                    logger.warning("worker %d %s; it starts again when a file changes", index, how(code))
                    await self._rest(changed, None)
            elif code == USAGE or (code == UNREACHABLE and first):
                # The same start would fail the same way: whoever started us must see it.
                self.stop()
                return code
            elif code != OK:
                pause = FIRST_PAUSE if clock() - started >= HEALTHY_AFTER else pause
                logger.error("worker %d %s; another one takes its place in %g s", index, how(code), pause)
                await self._rest(None, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            if self._stopping.is_set():
                return code if code != OK else OK
            first = False

    async def _run_one(self, index: int, changed: asyncio.Event) -> int:
        self._started += 1
        env = {**os.environ, **self.plan.env, INSTANCE: str(index), STARTS: str(self._started)}
        if self.plan.sockets is not None:
            env[SOCKET] = self.sockets[index] = f"{self.plan.sockets}/{index}.{self._started}"
        child = await asyncio.create_subprocess_exec(
            *self.plan.command, stdin=PIPE, env=env, pass_fds=self.plan.inherited
        )
        self._children[index] = child
        ended = asyncio.create_task(child.wait())
        try:
            if self._stopping.is_set():  # asked while the child was being started
                tell(child, STOP)
            await _first_of(ended, changed, self._stopping)
            if not ended.done():
                await self._part(child, ended)
            return normal(await ended)
        finally:
            self._children.pop(index, None)
            self.sockets.pop(index, None)

    async def _part(self, child: Process, ended: "asyncio.Task[int]") -> None:
        """See a child off: ask, insist, and in the end kill it."""
        if self._stopping.is_set():
            await asyncio.wait([ended], timeout=self.plan.shutdown_timeout + MARGIN)
        else:
            tell(child, STOP)
            await asyncio.wait([ended], timeout=RELOAD_PATIENCE)
            if not ended.done():
                tell(child, ABORT)
                await asyncio.wait([ended], timeout=RELOAD_PATIENCE)
        if not ended.done():
            logger.error("worker process %d does not end: it is killed, its jobs are recovered", child.pid)
            with contextlib.suppress(ProcessLookupError):
                child.kill()

    async def _rest(self, changed: asyncio.Event | None, seconds: float | None) -> None:
        """Wait for the time to pass, a change or the stop."""
        waits = [asyncio.create_task(event.wait()) for event in (changed, self._stopping) if event is not None]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    # -- changes -----------------------------------------------------------------------------------------------------

    async def _watch(self, folder: Path) -> None:
        from watchfiles import PythonFilter, awatch  # an extra: only for --reload

        async for changes in awatch(
            folder, watch_filter=PythonFilter(), stop_event=self._stopping, debounce=200, ignore_permission_denied=True
        ):
            names = sorted({path.removeprefix(f"{folder}/") for _, path in changes})
            logger.info("%s changed, starting again", ", ".join(names[:3]) + (" …" if len(names) > 3 else ""))
            self._changed.set()
            self._changed = asyncio.Event()


def _tell_when_blind(watching: "asyncio.Task[None]") -> None:
    """A limit of the system may end the watching; the worker goes on, but somebody waits for a reload."""
    if not watching.cancelled() and watching.exception() is not None:
        logger.error("files are no longer watched, restart by hand: %s", watching.exception())


async def _first_of(ended: "asyncio.Task[int]", *events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait([ended, *waits], return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def tell(child: Process, word: bytes) -> None:
    """Say a word to a child; one that has just ended hears nothing."""
    if child.stdin is not None and not child.stdin.is_closing() and child.returncode is None:
        child.stdin.write(word)


def normal(code: int) -> int:
    """An exit code as a shell reports it: a death by signal is 128 and the signal's number."""
    return code if code >= 0 else 128 - code


def how(code: int) -> str:
    """How a child ended, in words."""
    if code <= 128:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(code - 128).name}"
    except ValueError:
        return f"ended with exit code {code}"
