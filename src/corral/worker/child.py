"""The child's side of `process=True`: a fresh interpreter that runs one job after another until its worker hangs up.

Started as `python -m corral.worker.child REQUESTS REPLIES`: the file descriptors of two pipes, because standard output
belongs to the handlers. The process has one thread, so that a handler may fork.
"""

import faulthandler
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import FrameType, ModuleType
from typing import NoReturn

import msgspec

from corral.errors import RegistrationError
from corral.job import Job
from corral.worker.remote import MAIN_IN_CHILD, describe
from corral.worker.talk import Line, Talk
from corral.worker.wire import ChildRequest, Done, HandlerRef, Hello, Ready, Started, Verdict, enter_child, orders

#: (what the module attribute holds, the job, its attempts, the talk with the worker) -> the result as JSON text
Invoke = Callable[[object, Job, int, Talk], str]

_hello = msgspec.msgpack.Decoder(Hello)


class Stopped(SystemExit):
    """Raised inside a handler whose worker wants this process to end: its `finally` blocks still run.

    A SystemExit, because asyncio lets only that and KeyboardInterrupt out of a running loop.
    """


def main() -> None:
    """Settle in, then run jobs until the worker hangs up."""
    line = Line(int(sys.argv[1]), int(sys.argv[2]))
    heed_signals(line)
    frame = line.receive()
    if frame is None:
        return
    hello = _hello.decode(frame)
    if not settle_in(hello):
        return
    invoke: Invoke = importlib.import_module("corral.worker.invoke").invoke_in_child
    home = _directory()
    line.send(Ready())
    while (frame := line.receive()) is not None:
        order = orders.decode(frame)
        if isinstance(order, ChildRequest):  # or an answer that nobody waits for any more
            tidy_up(line, home)
            serve(line, order, hello.package, invoke)


def heed_signals(line: Line) -> None:
    """Obey SIGTERM only when the worker has hung up.

    A service manager that stops a unit signals every process in it, these too. Then it is the worker's business to let
    their jobs finish or to end them, and it says so by closing the pipe.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if line.hung_up():
            raise Stopped

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def settle_in(hello: Hello) -> bool:
    """Take over the worker's situation. False when the worker is gone already."""
    enter_child()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # masks and ignored signals are inherited through exec
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.stderr is not None:
        faulthandler.enable()  # a segmentation fault in a handler says where
    _die_with_parent()
    if os.getppid() != hello.parent:  # it died before the line above
        return False
    sys.path[:] = hello.path
    sys.argv[:] = hello.argv
    os.environ.pop("PYTHONPATH", None)
    if hello.python_path is not None:
        os.environ["PYTHONPATH"] = hello.python_path
    if hello.memory_limit is not None:
        resource.setrlimit(resource.RLIMIT_AS, (hello.memory_limit, hello.memory_limit))
    return True


def _die_with_parent() -> None:
    # Also covers a handler that holds the interpreter inside C code, where no thread of ours could notice anything.
    if sys.platform == "linux":
        import ctypes  # 5 ms, and only here

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGKILL), 0, 0, 0)


def _directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # removed: a deployment may have replaced it under a running worker
        return None


def tidy_up(line: Line, home: str | None) -> None:
    """Undo what the last handler may have changed for the whole process."""
    heed_signals(line)
    os.umask(0o077)
    if home is not None and _directory() != home:
        try:
            os.chdir(home)
        except OSError:  # removed meanwhile; the handler meets what it would have met in a new child
            pass


def serve(line: Line, request: ChildRequest, package: str, invoke: Invoke) -> None:
    """Run one job and tell how it ended."""
    talk = Talk(line)
    verdict: Verdict
    try:
        target = find(request.handler, package)
        line.send(Started())
        verdict = Done(invoke(target, request.job, request.attempts, talk))
    except BaseException as error:  # SystemExit and GeneratorExit too: whatever it is, the job failed with it
        if os.getpid() != line.pid:
            _end_of_fork(error)
        verdict = describe(error)
    if os.getpid() != line.pid:
        _end_of_fork(None)
    _flush()
    if not line.hung_up():
        talk.end(verdict)


def _end_of_fork(error: BaseException | None) -> NoReturn:
    """A process that the handler forked came out of the handler: it must not answer in its parent's place."""
    if error is not None:
        traceback.print_exception(error)
    _flush()
    os._exit(0 if error is None else 1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # none, broken or closed: no reason to fail a job
            pass


def find(ref: HandlerRef, package: str) -> object:
    """The registered function, or what its decorator made of it.

    Raises:
        RegistrationError: it cannot be reached from its module, as a local function or a lambda cannot.
    """
    where = f"handler {ref.module}:{ref.qualname}"
    if ref.module == "__main__":
        if ref.main_path is None:
            raise RegistrationError(f"{where} was typed into an interpreter: process=True needs it in a file")
        target: object = _main_module(ref.main_path, package)
    else:
        target = importlib.import_module(ref.module)
    for name in ref.qualname.split("."):
        try:
            target = getattr(target, name)
        except AttributeError:
            raise RegistrationError(f"{where} cannot be found in a new process: define it at module level") from None
    return target


def _main_module(path: str, package: str) -> ModuleType:
    """The worker's main file as a module, without firing its `if __name__ == "__main__"`."""
    known = sys.modules.get(MAIN_IN_CHILD)
    if known is not None:
        return known
    module = ModuleType(MAIN_IN_CHILD)
    module.__file__ = path
    module.__package__ = package
    loader = SourceFileLoader(MAIN_IN_CHILD, path)
    mine = sys.modules["__main__"]
    sys.modules[MAIN_IN_CHILD] = sys.modules["__main__"] = module
    try:
        if package:
            importlib.import_module(package)
        loader.exec_module(module)
    except BaseException:
        sys.modules["__main__"] = mine
        del sys.modules[MAIN_IN_CHILD]
        raise
    return module


if __name__ == "__main__":
    # As an ordinary module: the main file of the worker takes the name `__main__` over.
    importlib.import_module("corral.worker.child").main()
