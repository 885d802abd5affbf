"""The mailer: turns one job into one mail, and remembers that it did."""

import json
import logging
import re
from typing import NotRequired, TypedDict

from corral.errors import StorageError
from corral.handlers.email.address import parse_address
from corral.handlers.email.message import Message, job_key, message_id
from corral.handlers.email.payload import SendEmail, addresses, unique
from corral.handlers.email.settings import EmailSettings
from corral.handlers.email.templates import MailFacts, Templates
from corral.handlers.email.transport import DeliveryError, Receipt, Transport
from corral.job import Job
from corral.plurals import plural
from corral.signals import Discard
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.email")


class Rejected(TypedDict):
    """A recipient the server refused for good."""

    to: str
    code: int
    text: str


class Sent(TypedDict):
    """The result of a job that sent a mail, or found that an earlier attempt had."""

    messageId: str
    alreadySent: NotRequired[bool]
    accepted: NotRequired[list[str]]
    rejected: NotRequired[list[Rejected]]
    response: NotRequired[str]
    dryRun: NotRequired[bool]


class Mailer:
    """Delivers mails through one transport. Bundles use it; so can a handler of your own, with a payload of its own."""

    def __init__(
        self, settings: EmailSettings, transport: Transport, templates: Templates, *, clock: Clock = now_ms
    ) -> None:
        self.transport = transport
        self.templates = templates
        self.sender = parse_address(settings.sender, "EMAIL_FROM")
        self.brand = settings.email_brand or self.sender.name or self.sender.domain
        self._clock = clock
        self._warn = settings.email_transport is None  # who asks for a dry run knows that it is one

    def compose(self, job: Job, email: SendEmail) -> Message:
        """The mail a job asks for. The same in every attempt, but for its date.

        Raises:
            PayloadError: no such template, data it cannot be filled with, or a header that may not be.
        """
        rendered = self.templates.render(email.template, email.data, MailFacts(email.subject, self.brand))
        return Message(
            id=message_id(job, self.sender),
            sender=self.sender,
            to=addresses(email.to, "to"),
            cc=addresses(email.cc, "cc"),
            bcc=addresses(email.bcc, "bcc"),
            reply_to=addresses(email.reply_to, "reply_to"),
            subject=email.subject,
            text=rendered.text if email.text is None else email.text,
            html=rendered.html,
            date=self._clock(),
            attachments=tuple(email.attachments),
        )

    async def deliver(self, ctx: JobContext, email: SendEmail) -> Sent:
        """Send a job's mail, once.

        Raises:
            PayloadError, Discard: it can never be sent. DeliveryError, Retry: not now, or not to everybody yet.
        """
        logger.info("Processing email job", extra={"jobId": ctx.id, "to": _shown(email)})
        if (sent := await _recall_sent(ctx)) is not None:
            return {"alreadySent": True, "messageId": sent}
        message = self.compose(ctx.job, email)
        everybody = unique((*message.to, *message.cc, *message.bcc))
        progress = await _recall_progress(ctx)
        waiting = tuple(address for address in everybody if address not in progress.settled)
        receipt = await self.transport.send(message, waiting, job_key(ctx.job))
        progress.add(receipt)
        put_off = [refusal for refusal in receipt.refused if not refusal.permanent]
        if put_off:
            await _note_progress(ctx, progress)
            raise DeliveryError(_summary("put off", len(put_off), len(everybody), put_off[0].code, put_off[0].text))
        if not progress.accepted and progress.rejected:
            first = progress.rejected[0]
            raise Discard(_summary("refused", len(progress.rejected), len(everybody), first["code"], first["text"]))
        await _note_sent(ctx, receipt.message_id)
        logger.info("Email sent successfully", extra={"jobId": ctx.id})
        result: Sent = {"messageId": receipt.message_id, "accepted": progress.accepted, "rejected": progress.rejected}
        if receipt.response:
            result["response"] = receipt.response
        if receipt.dry_run:
            result["dryRun"] = True
            self._warn_once(receipt.response)
        return result

    def _warn_once(self, where: str) -> None:
        if self._warn:
            self._warn = False
            logger.warning("no mail leaves, each becomes a file (%s): set SMTP_HOST or RESEND_API_KEY", where)


def _shown(email: SendEmail) -> str:
    """The first recipient without its name, and how many more there are in `to`; nobody else."""
    first, *more = addresses(email.to, "to")
    return f"{first.spec} +{len(more)}" if more else first.spec


def _summary(what: str, count: int, total: int, code: int, text: str) -> str:
    return f"{count} of {plural(total, 'recipient')} {what} by the server, the first with {code} {text}"


# -- what attempts tell each other ------------------------------------------------------------------------------------


class _Progress:
    """Who has the mail already, and who never will."""

    def __init__(self, accepted: list[str], rejected: list[Rejected]) -> None:
        self.accepted = accepted
        self.rejected = rejected

    @property
    def settled(self) -> set[str]:
        return {*self.accepted, *(item["to"] for item in self.rejected)}

    def add(self, receipt: Receipt) -> None:
        self.accepted += receipt.accepted
        self.rejected += [
            {"to": refusal.address, "code": refusal.code, "text": refusal.text}
            for refusal in receipt.refused
            if refusal.permanent
        ]


# A note outlives its job, and an id chosen by a caller may come again for another one: the note says whose it is.
_MARKED = re.compile(r"(.*) (\d+)", re.DOTALL)


async def _recall_sent(ctx: JobContext) -> str | None:
    note = await ctx.recall("sent")
    if note is None:
        return None
    marked = _MARKED.fullmatch(note)
    if marked is None:
        return note
    return marked[1] if int(marked[2]) == ctx.job.created_at else None


async def _note_sent(ctx: JobContext, sent: str) -> None:
    try:
        await ctx.note("sent", f"{sent} {ctx.job.created_at}")
    except StorageError as error:
        # The mail is out. Failing now would send it again; the job may still be settled, and then all is well.
        logger.warning("email of job %s was sent but could not be noted: %s", ctx.id, error)


async def _recall_progress(ctx: JobContext) -> _Progress:
    # The first run has nobody to hear from, and most jobs run once.
    note = await ctx.recall("recipients") if ctx.fence > 1 else None
    if note is not None:
        kept = json.loads(note)
        if kept["created"] == ctx.job.created_at:
            return _Progress(kept["accepted"], kept["rejected"])
    return _Progress([], [])


async def _note_progress(ctx: JobContext, progress: _Progress) -> None:
    if progress.settled:
        note = {"created": ctx.job.created_at, "accepted": progress.accepted, "rejected": progress.rejected}
        await ctx.note("recipients", json.dumps(note))
