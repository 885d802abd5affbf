"""The worker's answers to what a handler in a child process asks of its context."""

from datetime import timedelta
from typing import Protocol

from corral.errors import CorralError, PayloadError
from corral.storage.port import Children
from corral.timing import Seconds
from corral.worker.remote import refuse
from corral.worker.wire import Answer, Ask, FrameTooLongError, ListChildren, Log, Note, Progress, Question, Recall, pack


class Verbs(Protocol):
    """What a handler may do with its job: a `JobContext`."""

    async def progress_json(self, text: str) -> None: ...

    async def log(self, line: str) -> None: ...

    async def children(self) -> Children: ...

    async def recall(self, key: str) -> str | None: ...

    async def note(self, key: str, value: str, *, keep: Seconds) -> None: ...


async def answer_frame(ask: Ask, verbs: Verbs) -> bytes:
    """Do what was asked; the answer as a message. corral's own errors are part of it, any other is raised."""
    try:
        value = await _do(ask.question, verbs)
    except CorralError as error:
        return pack(Answer(ask.id, refused=refuse(error)))
    try:
        return pack(Answer(ask.id, value))
    except FrameTooLongError as error:
        return pack(Answer(ask.id, refused=refuse(PayloadError(f"the answer has {error}"))))


async def _do(question: Question, verbs: Verbs) -> str | Children | None:
    match question:
        case Progress(value):
            await verbs.progress_json(value)
        case Log(line):
            await verbs.log(line)
        case ListChildren():
            return await verbs.children()
        case Recall(key):
            return await verbs.recall(key)
        case Note(key, value, keep_ms):
            await verbs.note(key, value, keep=timedelta(milliseconds=keep_ms))
    return None
