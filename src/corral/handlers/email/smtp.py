"""SMTP: one connection per mail, protected unless it stays on this machine.

Connections are not kept: an idle one is the kind that turns out to be dead in the middle of a mail, where nobody can
tell whether the mail was taken.
"""

import asyncio
import socket
import ssl
from functools import cached_property
from pathlib import Path

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from pydantic import SecretStr

from corral.errors import ConfigError
from corral.handlers.email.message import Message
from corral.handlers.email.settings import Security
from corral.handlers.email.transport import DeliveryError, Receipt, Refusal, said
from corral.signals import Discard

#: How many times the patience of other steps the server has to answer the end of the mail. Giving up there is the one
#: moment at which a mail may have been taken although nobody heard it.
_LAST_STEP = 3
#: 5xx that ask for a login or refuse it: they say something about our settings, and nothing about the mail.
_ABOUT_THE_LOGIN = frozenset({530, 534, 535, 538})


class SmtpTransport:
    """Hands mails to an SMTP server.

    Args:
        security: TLS, STARTTLS (refused when the server does not offer it) or none. Certificates are always checked.
        timeout: seconds for each step; the answer to the end of the mail may take three times as long.
        ca_file: authorities to trust beside the system's.

    Raises:
        ConfigError: `ca_file` cannot be read.
    """

    def __init__(
        self, host: str, port: int, *, security: Security = Security.STARTTLS, user: str | None = None,
        password: SecretStr | None = None, timeout: float = 10.0, ca_file: Path | None = None,
    ) -> None:  # fmt: skip
        self.host = host
        self.port = port
        self.security = Security(security)
        self.user = user
        self.timeout = timeout
        self._password = password
        self._ca_file = ca_file
        if ca_file is not None:
            _ = self._tls  # a wrong file shows at the start, not at the first mail

    def __repr__(self) -> str:
        return f"<smtp {self.host}:{self.port} {self.security.value}>"

    async def send(self, message: Message, recipients: tuple[str, ...], key: str) -> Receipt:
        """One conversation: connect, log in, name the recipients, hand the mail over.

        Raises:
            Discard: the server refuses the sender, every recipient or the mail, for good (5xx).
            DeliveryError: everything else: no connection, a login refused, 4xx, silence.
        """
        content = message.to_bytes()
        client = await self._client()
        try:
            await client.connect()
            receipt = await self._transact(client, message, content, recipients)
            await _part(client)
            return receipt
        except SMTPResponseException as error:
            # To the greeting, STARTTLS or the login: about the server's state and our settings, not about this mail.
            raise DeliveryError(f"{self!r} answered {error.code} {said(error.message)}") from None
        except (SMTPException, OSError, TimeoutError, EOFError) as error:
            raise DeliveryError(f"{self!r} failed: {said(str(error)) or type(error).__name__}") from None
        finally:
            client.close()

    async def _transact(self, client: SMTP, message: Message, content: bytes, recipients: tuple[str, ...]) -> Receipt:
        size = [f"SIZE={len(content)}"] if client.supports_extension("size") else []
        try:
            await client.mail(message.sender.spec, options=size)
            refused = await _name(client, recipients)
            accepted = tuple(address for address in recipients if address not in refused)
            if not accepted:
                return Receipt(f"<{message.id}>", (), tuple(refused.values()))
            response = await client.data(content, timeout=_LAST_STEP * self.timeout)
        except (SMTPSenderRefused, SMTPDataError) as error:
            text = f"{self!r} refused the mail: {error.code} {said(error.message)}"
            final = error.code >= 500 and error.code not in _ABOUT_THE_LOGIN
            raise (Discard(text) if final else DeliveryError(text)) from None
        return Receipt(
            f"<{message.id}>", accepted, tuple(refused.values()), f"{response.code} {said(response.message)}"
        )

    async def _client(self) -> SMTP:
        tls = None if self.security is Security.NONE else await asyncio.to_thread(lambda: self._tls)
        return SMTP(
            hostname=self.host, port=self.port, username=self.user,
            password=None if self._password is None else self._password.get_secret_value(),
            local_hostname=await asyncio.to_thread(lambda: self._own_name), timeout=self.timeout,
            use_tls=self.security is Security.TLS, start_tls=self.security is Security.STARTTLS, tls_context=tls,
        )  # fmt: skip

    # Both are worked out once: loading the authorities takes 20 ms, and asking for one's own name may take seconds.

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            try:
                context.load_verify_locations(self._ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    f"authorities cannot be read from {str(self._ca_file)!r}: {error}", key="SMTP_CA_FILE"
                ) from None
        return context

    @cached_property
    def _own_name(self) -> str:
        name = socket.getfqdn()
        return name if name.isascii() and name.strip() == name and name else "localhost"


async def _part(client: SMTP) -> None:
    """Say goodbye. The mail is handed over: whatever goes wrong here may not bring a second one."""
    try:
        await client.quit(timeout=1)
    except (SMTPException, OSError, TimeoutError, EOFError):
        pass


async def _name(client: SMTP, recipients: tuple[str, ...]) -> dict[str, Refusal]:
    """Tell the server whom the mail is for; answers those it will not take."""
    refused: dict[str, Refusal] = {}
    for address in recipients:
        try:
            await client.rcpt(address)
        except SMTPRecipientRefused as error:
            refused[address] = Refusal(address, error.code, said(error.message))
    return refused
