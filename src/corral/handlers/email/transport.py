"""Transports: what hands a finished mail over, and what it answers."""

import re
from dataclasses import dataclass
from typing import Protocol

from corral.errors import CorralError
from corral.handlers.email.message import Message

_CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_ADDRESS = re.compile(r"<?[^\s<>@:;,\"']+@[^\s<>@:;,\"']+>?")


class DeliveryError(CorralError):
    """The mail could not be handed over now. Trying again later may help."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One recipient the server would not take."""

    address: str
    code: int
    text: str

    @property
    def permanent(self) -> bool:
        return self.code >= 500


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one handing over."""

    message_id: str
    accepted: tuple[str, ...]
    refused: tuple[Refusal, ...] = ()
    response: str = ""  #: what the other side said, or where the file lies
    dry_run: bool = False  #: it went nowhere


class Transport(Protocol):
    """A way for mail to leave. Anything with this one method will do."""

    async def send(self, message: Message, recipients: tuple[str, ...], key: str) -> Receipt:
        """Hand the message over to these recipients. `key` is the same in every attempt of a job and in no other job.

        Raises:
            Discard: it will never be taken. Retry: not before some time. DeliveryError: not now.
        """
        ...


def said(text: str, limit: int = 200) -> str:
    """What a server said, fit for a log: one line, cut, and without addresses (they may be somebody's Bcc)."""
    line = _ADDRESS.sub("<address>", _CONTROLS.sub(" ", text).strip())
    return line if len(line) <= limit else line[: limit - 1] + "…"
