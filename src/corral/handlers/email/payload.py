"""What a job of the e-mail handler carries."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from corral.errors import PayloadError
from corral.handlers.email.address import Address, check_line, parse_address

#: Over `to`, `cc` and `bcc` together. Resend's own bound, and far below where SMTP servers begin to refuse.
MAX_RECIPIENTS = 50
MAX_SUBJECT = 500
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}", re.IGNORECASE)


def _addresses(value: object) -> object:
    """Every bad address of a field in one complaint; a union of types would complain once per member instead."""
    several = value if isinstance(value, list) else [value]
    complaints = []
    for item in several:
        if not isinstance(item, str):
            raise PayloadError(f"must be an address or a list of addresses, not {item!r:.80}")
        try:
            parse_address(item)
        except PayloadError as error:
            complaints.append(str(error))
    if complaints:
        raise PayloadError("; ".join(complaints))
    return value


def _subject(value: str) -> str:
    return check_line(value, "subject", limit=MAX_SUBJECT)


def _filename(value: str) -> str:
    check_line(value, "filename", limit=200)
    if not value.strip(". ") or "/" in value or "\\" in value:
        raise PayloadError(f"filename {value!r} must be a plain name, without a folder")
    return value


def _content_type(value: str) -> str:
    # A whole message or a multipart as an attachment would be read as structure, not as a file.
    if not _TYPE.fullmatch(value) or value.lower().startswith(("multipart/", "message/")):
        raise PayloadError(f"content type {value[:80]!r} is not one of a file, such as application/pdf")
    return value.lower()


def _base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise PayloadError("content must be base64 text") from None
    return value


Addresses = Annotated[str | list[str], BeforeValidator(_addresses)]


class Attachment(BaseModel):
    """A small file that travels in the payload itself. For large ones put a link into the mail."""

    model_config = ConfigDict(extra="forbid")

    filename: Annotated[str, AfterValidator(_filename)]
    content: Annotated[str, AfterValidator(_base64)] = Field(repr=False, description="base64")
    content_type: Annotated[str, AfterValidator(_content_type)] = "application/octet-stream"

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.content)


class SendEmail(BaseModel):
    """One mail: whom it goes to, and the template and data it is made of.

    Its representation leaves out `data`, `text` and what is attached: they may be private, and it may end in a log.
    """

    model_config = ConfigDict(extra="forbid")

    to: Addresses
    subject: Annotated[str, AfterValidator(_subject)]
    template: str
    data: dict[str, JsonValue] = Field(default_factory=dict, repr=False)
    cc: Addresses | None = None
    bcc: Addresses | None = None
    reply_to: Addresses | None = Field(default=None, validation_alias=AliasChoices("reply_to", "replyTo"))
    text: str | None = Field(default=None, repr=False, description="replaces the template's text part")
    attachments: list[Attachment] = Field(default_factory=list, repr=False, max_length=20)

    @model_validator(mode="after")
    def _recipients(self) -> "SendEmail":
        if not as_list(self.to):
            raise PayloadError("to must name at least one recipient")
        count = sum(len(as_list(field)) for field in (self.to, self.cc, self.bcc))
        if count > MAX_RECIPIENTS:
            raise PayloadError(f"a mail may have {MAX_RECIPIENTS} recipients, not {count}: add a job for each of them")
        return self


def as_list(field: str | list[str] | None) -> list[str]:
    """The addresses of a field that may be one, several or none."""
    if field is None:
        return []
    return [field] if isinstance(field, str) else field


def addresses(field: str | list[str] | None, what: str) -> tuple[Address, ...]:
    """A field's addresses, read. Raises: PayloadError."""
    return tuple(parse_address(text, what) for text in as_list(field))


def unique(mailboxes: Iterable[Address]) -> tuple[str, ...]:
    """Who gets the mail: each address once, in order."""
    found: dict[str, str] = {}
    for mailbox in mailboxes:
        found.setdefault(mailbox.spec.lower(), mailbox.spec)
    return tuple(found.values())
