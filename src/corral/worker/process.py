"""A child process as the event loop sees it: leader of its own group, watched, and ended without leaving a zombie."""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

logger = logging.getLogger("corral.worker")

#: How often a process is looked at where the system has no pidfd (macOS, old kernels, strict sandboxes).
POLL_SECONDS = 0.02
#: How long to wait for a process that was sent SIGKILL: one that hangs in the kernel must not hang the worker too.
KILLED_SECONDS = 5.0


class Process:
    """One process in a session and a group of its own. `exited` gets its status as soon as it has ended.

    Must be made on the event loop's own thread: Linux ties the children's death signal to the thread that started them.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], pass_fds: tuple[int, ...] = (),
        stdin: int = subprocess.DEVNULL, quiet: bool = False, output: int | None = None, cwd: str | None = None,
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        output = subprocess.DEVNULL if quiet else output  # None: where the worker's own goes
        self._popen = subprocess.Popen(  # noqa: S603  # our own interpreter or a program the operator named, no shell
            command, env=env, stdin=stdin, stdout=output, stderr=output, close_fds=True, pass_fds=pass_fds,
            start_new_session=True, cwd=cwd,
        )  # fmt: skip
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._watch()

    @property
    def pid(self) -> int:
        """Its process id, which is its group's id too."""
        return self._popen.pid

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; nothing once the process has been reaped, for its id may be another's."""
        if self._popen.returncode is None:
            self._signal_group(number)

    async def gone(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long."""
        await asyncio.wait([self.exited], timeout=seconds)
        return self.exited.done()

    async def kill(self) -> None:
        """End the whole group at once and wait for it."""
        self.signal(signal.SIGKILL)
        if not await self.gone(KILLED_SECONDS):
            logger.error("process %s does not end although it was killed: it hangs in the system", self.pid)

    def _watch(self) -> None:
        try:
            pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            self._poll()
        else:
            self._loop.add_reader(pidfd, self._on_exit, pidfd)

    def _poll(self) -> None:
        if self._popen.poll() is None:
            self._loop.call_later(POLL_SECONDS, self._poll)
        else:
            self._signal_group(signal.SIGKILL)
            self._tell()

    def _on_exit(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        # Whatever the process started ends with it. Before it is reaped its id cannot be given to anybody else.
        self._signal_group(signal.SIGKILL)
        self._popen.wait()
        self._tell()

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # gone; macOS says the latter of a group of zombies
            pass

    def _tell(self) -> None:
        if not self.exited.done():
            self.exited.set_result(self._popen.returncode)


def how_it_ended(status: int) -> str:
    """An exit status in words, to follow "the process"."""
    if status >= 0:
        return f"exited with status {status}"
    names = {int(number): number.name for number in signal.Signals}
    name = names.get(-status)
    return f"was killed by signal {-status} ({name})" if name else f"was killed by signal {-status}"


class PipeEnd:
    """One end of a pipe, used from the event loop without blocking it. May be closed while somebody waits for it."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def read(self) -> bytes | None:
        """What is there; empty at the end, None when there is nothing at present."""
        if self.closed:
            return b""
        try:
            return os.read(self._fd, 65_536)
        except BlockingIOError:
            return None

    async def readable(self) -> None:
        """Wait until a read may bring something, or somebody calls `wake`."""
        await self._wait(writing=False)

    async def write(self, data: bytes) -> None:
        """Write everything. Silently gives up when the reader is gone: its end tells why."""
        left = memoryview(data)
        while left and not self.closed:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                await self._wait(writing=True)
            except BrokenPipeError:
                return

    def wake(self, *_: object) -> None:
        """End the wait of whoever waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Close it; a second time changes nothing."""
        if not self.closed:
            self._disarm()
            os.close(self._fd)
            self._fd = -1
            self.wake()

    async def _wait(self, *, writing: bool) -> None:
        if self.closed:
            return
        self._waiter = waiter = self._loop.create_future()
        arm = self._loop.add_writer if writing else self._loop.add_reader
        arm(self._fd, self.wake)
        try:
            await waiter
        finally:
            if not self.closed:
                self._disarm()
            self._waiter = None

    def _disarm(self) -> None:
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
