"""A real SMTP server on a local port, whose answers a test may choose."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Literal, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Letter:
    """One mail as the server took it."""

    sender: str
    recipients: list[str]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return parsed(self.content)

    @property
    def text(self) -> str:
        return body_of(self.message, "plain")


def parsed(content: bytes) -> EmailMessage:
    """A mail read back by the standard library's own parser."""
    return message_from_bytes(content, policy=default)


def body_of(message: EmailMessage, subtype: Literal["plain", "html"]) -> str:
    """The text or HTML part, decoded, with plain line feeds."""
    part = message.get_body((subtype,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def hang_up(server: SMTP) -> None:
    """Drop the connection without a word."""
    assert server.transport is not None
    server.transport.close()


@dataclass
class PostOffice:
    """The server's behaviour and its memory. Answers are SMTP lines; empty ones mean yes."""

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    connections: int = 0
    to_mail: str = ""
    to_rcpt: dict[str, str] = field(default_factory=dict)
    to_data: list[str] = field(default_factory=list)  #: one per mail, in order
    silent: bool = False  #: never answers the end of a mail
    hang_up_at: str = ""  #: "RCPT", "QUIT", or "DATA" after the mail was taken
    gate: asyncio.Event = field(default_factory=asyncio.Event)  #: ends the silence
    arrived: asyncio.Event = field(default_factory=asyncio.Event)  #: set by the first mail
    left: asyncio.Event = field(default_factory=asyncio.Event)  #: set when a client hangs up
    login: str = ""

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.to_mail:
            return self.to_mail
        envelope.mail_from = address
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.hang_up_at == "RCPT":
            hang_up(server)
        if address in self.to_rcpt:
            return self.to_rcpt[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.to_data.pop(0) if self.to_data else "250 2.0.0 Queued as 4F2A"
        if answer.startswith("250"):
            self.letters.append(Letter(str(envelope.mail_from), envelope.rcpt_tos, cast(bytes, envelope.content)))
            self.arrived.set()
        if self.silent:
            await self.gate.wait()
        if self.hang_up_at == "DATA":
            hang_up(server)
        return answer

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.hang_up_at == "QUIT":
            hang_up(server)
        return "221 Bye"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.login = data.login.decode()
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@asynccontextmanager
async def post_office(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, auth: bool = False
) -> AsyncIterator[PostOffice]:
    """Run the server on this event loop: plain, with TLS from the first byte, or with STARTTLS."""
    office = PostOffice()
    loop = asyncio.get_running_loop()

    class Counter(SMTP):
        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            office.left.set()

    def connected() -> SMTP:
        return Counter(
            office, hostname="mail.example.org", tls_context=starttls, require_starttls=starttls is not None,
            auth_required=auth, auth_exclude_mechanism=["CRAM-MD5"], authenticator=office.authenticate, loop=loop,
        )  # fmt: skip

    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=tls)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        office.gate.set()
        server.close()
        await server.wait_closed()
