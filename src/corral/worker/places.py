"""Where a worker runs its handlers: as they declare it, all in this process, or all in child processes."""

from collections.abc import Iterable
from typing import Literal

from msgspec.structs import replace

from corral.errors import ConfigError, closest
from corral.worker.handler import Handler, Mode, is_async
from corral.worker.lane import Lane

ExecutorKind = Literal["async", "thread", "process"]
KINDS = ("async", "thread", "process")


def check_executor(kind: str) -> str:
    """Raises: ConfigError unless it is one of the words that there are."""
    if kind not in KINDS:
        near = closest(str(kind), KINDS)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"executor must be {', '.join(KINDS)}, not {kind!r}{hint}", key="executor")
    return kind


def housed(lane: Lane, kind: str) -> Lane:
    """A lane whose handlers run where `kind` says.

    "async": as they are declared. "thread": none in a child process, also not those with `process=True`: for debugging,
    and where a process more is too dear. "process": each of them in a child process, but those that take batches.

    Raises:
        ConfigError: a handler that no other process can find, because it is defined inside of a function.
    """
    if kind == "async":
        return lane
    known: dict[int, tuple[Handler, Handler]] = {}  # each once: whoever asks again gets the same object

    def moved(handler: Handler) -> Handler:
        found = known.get(id(handler))
        if found is None:
            found = known[id(handler)] = handler, _moved(handler, kind)
        return found[1]

    def find(name: str) -> Handler | None:
        handler = lane.find(name)
        return None if handler is None else moved(handler)

    def handlers() -> Iterable[Handler]:
        return [moved(handler) for handler in lane.handlers()]

    handlers()  # so that one that cannot move is told of before the first job
    return replace(lane, find=find, handlers=handlers)


def _moved(handler: Handler, kind: str) -> Handler:
    if kind == "thread" and handler.mode is Mode.PROCESS:
        return replace(handler, mode=Mode.ASYNC if is_async(handler.function) else Mode.THREAD)
    if kind == "process" and handler.mode is not Mode.PROCESS and handler.batch is None:
        where = getattr(handler.function, "__qualname__", "")
        if handler.owner is None and "<" in where:
            raise ConfigError(
                f"handler {handler.name!r} ({where}) cannot be found by another process: define it at module level, or "
                "leave --executor process away",
                key="executor",
            )
        return replace(handler, mode=Mode.PROCESS)
    return handler
