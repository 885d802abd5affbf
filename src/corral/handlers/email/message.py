"""A finished mail, and its form on the wire (RFC 5322)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.charset import QP, Charset
from email.encoders import encode_base64
from email.header import Header
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime, formataddr
from hashlib import sha256

from corral.handlers.email.address import MAX_NAME, Address, check_line
from corral.handlers.email.payload import MAX_SUBJECT, Attachment
from corral.job import Job
from corral.timing import Millis, to_datetime

#: compat32 and not the newer policies: those of Python 3.11.7 merge recipients when they fold a list of long names,
#: because they encode the commas in between (python/cpython#100884).
_WIRE = compat32.clone(linesep="\r\n", max_line_length=78)
_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP
_SLUG = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A mail as it will be read. Making one checks nothing: `to_bytes` refuses what headers may not have."""

    id: str  #: without angle brackets: local part, "@", domain
    sender: Address
    to: tuple[Address, ...]
    subject: str
    text: str
    html: str
    date: Millis
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    attachments: tuple[Attachment, ...] = field(default=(), repr=False)

    def to_bytes(self) -> bytes:
        """The whole mail, lines ended by CR LF, nothing but ASCII. Bcc stays out: only the envelope knows it.

        Raises:
            PayloadError: a header with a line break or another character that headers may not have.
        """
        part = self._body()
        part["From"] = _mailboxes((self.sender,), "from")
        part["To"] = _mailboxes(self.to, "to")
        if self.cc:
            part["Cc"] = _mailboxes(self.cc, "cc")
        if self.reply_to:
            part["Reply-To"] = _mailboxes(self.reply_to, "reply_to")
        part["Subject"] = _encoded(check_line(self.subject, "subject", limit=MAX_SUBJECT))
        part["Date"] = format_datetime(to_datetime(self.date))
        part["Message-ID"] = f"<{check_line(self.id, 'message id', limit=400)}>"
        # Asks vacation responders to stay silent (RFC 3834).
        part["Auto-Submitted"] = "auto-generated"
        return part.as_bytes(policy=_WIRE)

    def _body(self) -> MIMEMultipart:
        both = MIMEMultipart("alternative", boundary=self._boundary("alternative"))
        for subtype, content in (("plain", self.text), ("html", self.html)):  # the last one is the one preferred
            part = MIMENonMultipart("text", subtype, charset="utf-8")
            del part["MIME-Version"]
            part.set_payload(_lines(content), _UTF8)
            both.attach(part)
        if not self.attachments:
            return both
        del both["MIME-Version"]
        mixed = MIMEMultipart("mixed", boundary=self._boundary("mixed"))
        mixed.attach(both)
        for attachment in self.attachments:
            mixed.attach(_file(attachment))
        return mixed

    def _boundary(self, part: str) -> str:
        # "=_" cannot stand in quoted-printable or base64 text, so no content can contain it; and no chance is involved,
        # so that a second attempt makes the same mail.
        return f"=_{part}_{sha256(self.id.encode()).hexdigest()[:24]}"


def _file(attachment: Attachment) -> MIMEBase:
    part = MIMEBase(*attachment.content_type.split("/"))
    del part["MIME-Version"]
    part.set_payload(attachment.data)
    encode_base64(part)
    name = check_line(attachment.filename, "filename", limit=200)
    part.add_header("Content-Disposition", "attachment", filename=name if name.isascii() else ("utf-8", "", name))
    return part


def _lines(text: str) -> str:
    return "\n".join(text.splitlines()) + "\n"


def _encoded(value: str) -> str:
    """A header's text in ASCII. What looks encoded already is encoded once more, to be read as it was written."""
    if value.isascii() and "=?" not in value:
        return value
    # Told of the longest name it may stand behind, it makes the first piece short enough to stay on the name's line.
    return Header(value, "utf-8", header_name="Reply-To").encode(linesep="")


def _mailboxes(mailboxes: Sequence[Address], what: str) -> str:
    return ", ".join(_mailbox(mailbox, what) for mailbox in mailboxes)


def _mailbox(mailbox: Address, what: str) -> str:
    spec = check_line(mailbox.spec, what, limit=400)
    name = check_line(mailbox.name, f"{what}'s name", limit=MAX_NAME)
    encoded = _encoded(name)
    return formataddr((name, spec)) if encoded == name else f"{encoded} <{spec}>"


# -- names that are the same in every attempt -------------------------------------------------------------------------


def stamp(job: Job) -> str:
    """A short text for this job alone. Ids come again, in a new store or after a removal, but not at one instant."""
    return sha256(f"{job.queue}\0{job.id}\0{job.created_at}".encode()).hexdigest()[:16]


def slug(text: str) -> str:
    """Like the text, but safe in a header, a path and a URL; at most 60 characters, not necessarily unique."""
    return _SLUG.sub("-", text.lower()).strip("-.")[:60] or "x"


def message_id(job: Job, sender: Address) -> str:
    """The Message-ID of the mail this job sends: the same in every attempt."""
    return f"{slug(job.queue)}.{slug(job.id)}.{stamp(job)}@{sender.domain}"


def job_key(job: Job) -> str:
    """What a transport may recognise a repeated attempt by: queue, job id and a stamp, at most 140 ASCII characters."""
    return f"{slug(job.queue)}/{slug(job.id)}/{stamp(job)}"
