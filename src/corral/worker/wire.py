"""What a worker and its child processes say to each other: length-prefixed msgpack over a pair of pipes.

Only frozen data of fixed types crosses: nothing that is read here can name a class to build or code to run.
"""

from typing import Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from corral.errors import CorralError
from corral.job import Job, JobId, NewJob
from corral.storage.port import Children
from corral.timing import Millis

#: The longest message. A result is stored as text, and no store should be asked to keep more than this in one place.
MAX_FRAME = 16 * 2**20
_HEADER = 4

# -- worker to child -------------------------------------------------------------------------------------------------


class HandlerRef(Struct, frozen=True):
    """Where a child finds a registered function. Made from code at registration, never from a payload."""

    module: str
    qualname: str  #: attribute path in the module, to the function or to what the decorator made of it
    main_path: str | None = None  #: file of the `__main__` module when `module` is `__main__`


class Hello(Struct, frozen=True):
    """The first message to a child: what of the worker's situation it takes over."""

    parent: int  #: process id of the worker
    path: tuple[str, ...]  #: `sys.path`, so that the child finds the modules the worker found
    argv: tuple[str, ...]
    package: str  #: `__package__` of the worker's `__main__`: its relative imports need it
    python_path: str | None  #: the PYTHONPATH to restore; the child was started with one that leads to corral
    memory_limit: int | None  #: bytes of address space


class ChildRequest(Struct, frozen=True, tag="run"):
    """One job to run."""

    handler: HandlerRef
    job: Job
    attempts: int


# -- child to worker -------------------------------------------------------------------------------------------------


class Ready(Struct, frozen=True, tag="ready"):
    """The child can take a job."""


class Started(Struct, frozen=True, tag="started"):
    """The handler is found and about to be called: from here on its time counts."""


class Done(Struct, frozen=True, tag="done"):
    """The handler returned (JSON text)."""

    result: str


class Raised(Struct, frozen=True, tag="raised"):
    """The handler raised something of its own. `names` are its class and every base, most specific first."""

    names: tuple[str, ...]
    message: str
    trace: str
    frames: tuple[str, ...] = ()  #: the application's, for the fingerprint


class Steered(Struct, frozen=True, tag="steered"):
    """The handler raised one of corral's signals."""

    signal: str
    reason: str = ""
    seconds: float | None = None
    pause: Literal["group", "queue"] | None = None


class Refused(Struct, frozen=True, tag="refused"):
    """One of corral's own errors, by the name of its class: as a verdict, or as the answer to a question."""

    error: str
    message: str
    details: tuple[str, ...] = ()
    seconds: float = 0.0


Failure: TypeAlias = Raised | Steered | Refused
Verdict: TypeAlias = Done | Failure

# -- questions of a running handler, and their answers -----------------------------------------------------------------


class Progress(Struct, frozen=True, tag="progress"):
    """Store the handler's progress (JSON text)."""

    value: str


class Log(Struct, frozen=True, tag="log"):
    """Append a line to the job's log."""

    line: str


class ListChildren(Struct, frozen=True, tag="children"):
    """How do the job's children stand?"""


class Recall(Struct, frozen=True, tag="recall"):
    """What did an earlier attempt note under this key?"""

    key: str


class Note(Struct, frozen=True, tag="note"):
    """Leave a note to later attempts."""

    key: str
    value: str
    keep_ms: Millis


class Remember(Struct, frozen=True, tag="remember"):
    """Write (or, without a value, look) into a ledger, as the run's lease allows."""

    ledger: str  #: the queue whose ledger it is
    key: str
    value: str | None = None
    replace: bool = False
    ttl_ms: Millis | None = None


class StillRuns(Struct, frozen=True, tag="still-runs"):
    """Is this run of a job still going on? The answer is JSON text."""

    queue: str
    job_id: str
    fence: int


class AddJobs(Struct, frozen=True, tag="add"):
    """Add these jobs. The answer is JSON text: a list of `Added`."""

    jobs: tuple[NewJob, ...]
    patience: float = 0.0


class Collect(Struct, frozen=True, tag="collect"):
    """Keep these jobs for the completion."""

    jobs: tuple[NewJob, ...]


class NamesOf(Struct, frozen=True, tag="names"):
    """Which of these jobs are what? The answer is JSON text: id -> "queue/name"."""

    queue: str
    ids: tuple[JobId, ...]


Question: TypeAlias = Progress | Log | ListChildren | Recall | Note | Remember | StillRuns | AddJobs | Collect | NamesOf


class Ask(Struct, frozen=True, tag="ask"):
    """A question. The child sends the next one when this one is answered: neither pipe ever fills up with them."""

    id: int
    question: Question


class Answer(Struct, frozen=True, tag="answer"):
    """What became of a question: the value it asked for, or why there is none."""

    id: int
    value: str | Children | None = None
    refused: Refused | None = None


Reply: TypeAlias = Ready | Started | Ask | Verdict
Order: TypeAlias = ChildRequest | Answer

_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()
replies = msgspec.msgpack.Decoder[Reply](Reply)
orders = msgspec.msgpack.Decoder[Order](Order)


class FrameTooLongError(CorralError):
    """A message above MAX_FRAME; whoever sends or reads one says what was too long. `size` is in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"{size:,} bytes, more than the {MAX_FRAME:,} that fit into one message")


def pack(message: Struct) -> bytes:
    """A message as one frame.

    Raises:
        FrameTooLongError: it would be longer than MAX_FRAME.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameTooLongError(len(body))
    return len(body).to_bytes(_HEADER, "big") + body


class Inbox:
    """Cuts a stream of bytes back into frames."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def feed(self, data: bytes) -> None:
        """Take in what was read."""
        self._bytes += data

    def take(self) -> bytes | None:
        """The next frame's content, or None while it is incomplete.

        Raises:
            FrameTooLongError: the sender announces more than it may send.
        """
        if len(self._bytes) < _HEADER:
            return None
        size = int.from_bytes(self._bytes[:_HEADER], "big")
        if size > MAX_FRAME:
            raise FrameTooLongError(size)
        end = _HEADER + size
        if len(self._bytes) < end:
            return None
        frame = bytes(self._bytes[_HEADER:end])
        del self._bytes[:end]
        return frame


_running_in_child = False


def enter_child() -> None:
    """Note that this process is a child that runs handlers: `in_child` is True from now on."""
    global _running_in_child
    _running_in_child = True


def in_child() -> bool:
    """Whether this process is a child that runs handlers. Such a process must not start a worker of its own."""
    return _running_in_child
