"""A way for mail to leave that is as unreliable as the real ones: what makes a demo's mails fail."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

from corral import JobContext
from corral.handlers.email import DeliveryError, DryRunTransport, Message, Receipt, Refusal, Transport

#: This mailbox is busy twice, and takes its mail the third time.
BUSY = "busy@example.com"
#: This one does not exist (any more).
GONE = "gone@example.com"

_attempt: ContextVar[int] = ContextVar("attempt", default=1)


async def note_attempt(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
    """Middleware: lets the transport know which attempt it is called in."""
    _attempt.set(ctx.attempt)
    return await call_next()


class Unreliable:
    """Another transport, with the troubles of a real mail server: a busy mailbox, and one that is gone."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    async def send(self, message: Message, recipients: tuple[str, ...], key: str) -> Receipt:
        """Hand over, unless it is one of the two mailboxes' turn. Raises: DeliveryError."""
        if BUSY in recipients and _attempt.get() <= 2:
            raise DeliveryError("451 mailbox busy, try again later")
        if GONE in recipients:
            return Receipt(f"<{message.id}>", accepted=(), refused=(Refusal(GONE, 550, "no such mailbox"),))
        return await self.inner.send(message, recipients, key)


def unreliable_mail(folder: Path) -> Unreliable:
    """Mails into files, with those troubles. Needs the middleware `note_attempt`."""
    return Unreliable(DryRunTransport(folder))
