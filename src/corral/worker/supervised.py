"""One supervised child and the talk with it; and the warden, which clears up should the worker itself be killed."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from corral.errors import CorralError, JobTimeoutError, ResultError, WorkerCrashedError
from corral.worker.answers import Verbs, answer_frame
from corral.worker.process import PipeEnd, Process, how_it_ended
from corral.worker.wire import (
    Ask,
    Done,
    FrameTooLongError,
    Hello,
    Inbox,
    Raised,
    Ready,
    Refused,
    Reply,
    Started,
    Steered,
    Verdict,
    pack,
    replies,
)

logger = logging.getLogger("corral.worker")

#: How long a new interpreter, and later the import of a handler's module, may take before the child is given up.
START_SECONDS = 60.0
#: How long to wait for the status of a child whose pipe has closed: it is a better reason than "closed its pipe".
FAREWELL_SECONDS = 1.0


class Child:
    """A child process that takes one job at a time.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        fds: list[int] = []
        try:
            for _ in ("requests", "replies"):
                fds += os.pipe()
            command = [*_interpreter(), "-m", "corral.worker.child", str(fds[0]), str(fds[3])]
            self.process = Process(command, env=env, pass_fds=(fds[0], fds[3]))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        os.close(fds[0])
        os.close(fds[3])
        self._requests, self._replies = PipeEnd(fds[1]), PipeEnd(fds[2])
        self._inbox = Inbox()
        self._busy = False
        self._stopping = False
        self.jobs = 0  #: how many it has finished
        self.calling = False  #: whether the handler of the present job has been called
        self.process.exited.add_done_callback(self._on_exit)

    async def greet(self, hello: Hello) -> None:
        """Wait until it can take a job.

        Raises:
            CorralError: it ended before, or was not ready within 60 s.
        """
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._requests.write(pack(hello))
                await self._receive()
        except WorkerCrashedError:
            status = self.process.exited
            ending = how_it_ended(status.result()) if status.done() else "closed its pipe"
            raise CorralError(f"a child process {ending} before it could take a job; its output tells why") from None
        except TimeoutError:
            raise CorralError(f"a child process was not ready within {START_SECONDS:g} s") from None

    async def converse(self, frame: bytes, verbs: Verbs, timeout: float | None) -> Verdict:
        """Have it run a job; answers its verdict. After any exception the child can only be stopped.

        Raises:
            JobTimeoutError: the handler took longer than `timeout` seconds. WorkerCrashedError: the process died.
            ResultError: it sent more than fits into one message. CorralError: importing the handler takes too long.
        """
        self._busy, self.calling = True, False
        clock = asyncio.timeout(START_SECONDS)
        try:
            async with clock:
                await self._requests.write(frame)
                verdict = await self._listen(clock, verbs, timeout)
        except TimeoutError:
            if not clock.expired():
                raise  # out of a verb
            if timeout is not None and self.calling:
                raise JobTimeoutError(timeout) from None
            raise CorralError(f"the handler's module was not imported within {START_SECONDS:g} s") from None
        self._busy = False
        self.jobs += 1
        return verdict

    def quiet(self) -> bool:
        """Whether it is alive and has nothing to say: the state in which it can be given the next job."""
        return not self.process.exited.done() and not self._inbox and self._replies.read() is None

    async def stop(self, grace: float) -> None:
        """End it, its whole group, and close the pipes. While it runs a job: SIGTERM, and after `grace` s SIGKILL."""
        self._stopping = True
        self._requests.close()
        try:
            if self._busy:
                self.process.signal(signal.SIGTERM)
            if not await self.process.gone(grace):
                await self.process.kill()
        finally:
            self.process.signal(signal.SIGKILL)  # when this very wait was cancelled
            self._replies.close()

    async def _listen(self, clock: asyncio.Timeout, verbs: Verbs, timeout: float | None) -> Verdict:
        while True:
            match await self._receive():
                case Ask() as ask:
                    await self._requests.write(await answer_frame(ask, verbs))
                case Started():
                    self.calling = True
                    clock.reschedule(None if timeout is None else asyncio.get_running_loop().time() + timeout)
                case Done() | Raised() | Steered() | Refused() as verdict:
                    return verdict
                case Ready():
                    raise WorkerCrashedError("the process running it answered out of turn")

    async def _receive(self) -> Reply:
        while (frame := self._frame()) is None:
            data = self._replies.read()
            if data:
                self._inbox.feed(data)
            elif data is None and not self.process.exited.done():
                await self._replies.readable()
            else:
                raise WorkerCrashedError(await self._obituary())
        try:
            reply: Reply = replies.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WorkerCrashedError(f"the process running it wrote into the worker's pipe: {error}") from None
        return reply

    def _frame(self) -> bytes | None:
        try:
            return self._inbox.take()
        except FrameTooLongError as error:
            raise ResultError(f"the process running it sent {error}") from None

    async def _obituary(self) -> str:
        if not await self.process.gone(FAREWELL_SECONDS):
            return "the process running it closed its pipe to the worker"
        if self._stopping:
            return "the process running it was ended because its worker closes"
        return f"the process running it {how_it_ended(self.process.exited.result())}"

    def _on_exit(self, _: object) -> None:
        self._requests.close()
        self._replies.wake()


class Warden:
    """The worker's hold on its warden process: which groups are to die with the worker."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._pipe = -1
        self._groups: set[int] = set()

    def start(self, env: Mapping[str, str]) -> None:
        """Start it unless it runs.

        Raises:
            OSError: it cannot be started.
        """
        if self._process is not None and not self._process.exited.done():
            return
        self._hang_up()
        reading, self._pipe = os.pipe()
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("warden.py"))]
        try:
            self._process = Process(command, env=env, stdin=reading, quiet=True)
        finally:
            os.close(reading)
        os.set_blocking(self._pipe, False)
        for group in self._groups:
            self._tell("+", group)

    def add(self, group: int) -> None:
        """Have this group killed when the worker dies."""
        self._groups.add(group)
        self._tell("+", group)

    def remove(self, group: int) -> None:
        """Forget a group: it has ended."""
        self._groups.discard(group)
        self._tell("-", group)

    async def close(self) -> None:
        """End it."""
        self._hang_up()
        if self._process is not None and not await self._process.gone(FAREWELL_SECONDS):
            await self._process.kill()
        self._process = None

    def _tell(self, verb: str, group: int) -> None:
        if self._pipe >= 0:
            try:
                os.write(self._pipe, f"{verb}{group}\n".encode())
            except (BrokenPipeError, BlockingIOError) as error:  # killed or frozen: the next child starts a new one
                logger.warning("the warden of the child processes does not listen: %s", error)

    def _hang_up(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def hello(memory_limit: int | None, env: Mapping[str, str]) -> Hello:
    """What a child of this process is told first."""
    main = sys.modules.get("__main__")
    return Hello(
        parent=os.getpid(),
        path=tuple(item if item else _directory() for item in sys.path if isinstance(item, str)),
        argv=tuple(sys.argv),
        package=getattr(main, "__package__", None) or "",
        python_path=env.get("PYTHONPATH", os.environ.get("PYTHONPATH")),
        memory_limit=memory_limit,
    )


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed under the worker: nothing can be imported from it anyway
        return ""


def _interpreter() -> list[str]:
    """This interpreter, with the options that change what code does."""
    options = [f"-W{option}" for option in sys.warnoptions]
    if sys.flags.optimize:
        options.append("-" + "O" * sys.flags.optimize)
    if sys.flags.dev_mode:
        options.append("-Xdev")
    return [sys.executable, "-P", *options]  # -P: no import from the current directory before `sys.path` is known
