"""The Resend API: one POST per mail, which its idempotency key makes safe to repeat for a day."""

import base64
import math
import re
import ssl
import time
from email.utils import parsedate_to_datetime
from functools import cached_property

import httpx2
from pydantic import SecretStr

from corral.errors import ConfigError
from corral.handlers.email.address import Address
from corral.handlers.email.message import Message
from corral.handlers.email.transport import DeliveryError, Receipt, said
from corral.signals import Discard, Retry

#: Answers that say "not now", whatever the mail is: two requests at once for one mail, or an API key not (yet) valid.
_LATER = frozenset({401, 408, 425})
_LATER_NAMES = frozenset({"concurrent_idempotent_requests", "invalid_api_key", "restricted_api_key", "missing_api_key"})
#: A server that asks for more than this means another day: the back-off decides then.
_LONGEST_WAIT = 3_600.0


class ResendTransport:
    """Hands mails to Resend.

    Args:
        url: where the API is; only tests and proxies need another one.
        timeout: seconds for each step of the request.

    Raises:
        ConfigError: `url` is neither https nor on this machine: the key would travel in the clear.
    """

    def __init__(self, key: SecretStr, *, url: str = "https://api.resend.com", timeout: float = 10.0) -> None:
        parsed = httpx2.URL(url)
        if parsed.scheme != "https" and parsed.host not in ("localhost", "127.0.0.1", "::1"):
            raise ConfigError(f"RESEND_URL must begin with https://, not {url!r}", key="RESEND_URL")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._key = key

    def __repr__(self) -> str:
        return f"<resend {self.url}>"

    async def send(self, message: Message, recipients: tuple[str, ...], key: str) -> Receipt:
        """Post the mail. The API takes all recipients or none.

        Raises:
            Discard: refused for good (4xx). Retry: too many requests, after what the API asks for.
            DeliveryError: everything else: no connection, silence, 5xx, a key that is not accepted.
        """
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}", "Idempotency-Key": key}
        body = _body(message, recipients)
        try:
            async with httpx2.AsyncClient(timeout=self.timeout, verify=self._tls) as client:
                response = await client.post(f"{self.url}/emails", json=body, headers=headers)
        except httpx2.HTTPError as error:
            raise DeliveryError(f"{self!r} failed: {said(str(error)) or type(error).__name__}") from None
        answer = _json(response)
        if not response.is_success:
            raise self._refusal(response, answer)
        return Receipt(str(answer.get("id") or f"<{message.id}>"), recipients, response=f"{response.status_code}")

    def _refusal(self, response: httpx2.Response, answer: dict[str, object]) -> Exception:
        name = str(answer.get("name") or "")
        words = (str(response.status_code), said(name, 60), said(str(answer.get("message") or "")))
        text = f"{self!r} answered {' '.join(word for word in words if word)}"
        if response.status_code == 429:
            after = _retry_after(response.headers.get("Retry-After", ""))
            return DeliveryError(text) if after is None else Retry(text, after=after)
        if 400 <= response.status_code < 500 and response.status_code not in _LATER and name not in _LATER_NAMES:
            return Discard(text)
        return DeliveryError(text)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()  # takes 20 ms: once, not for each mail


def _body(message: Message, recipients: tuple[str, ...]) -> dict[str, object]:
    """The request. The same in every attempt, without a date: the API refuses a key that comes with another body."""
    message.to_bytes()  # refuses what headers may not have; what the API makes of it is not ours to find out
    wanted = set(recipients)
    people = {
        what: [_mailbox(mailbox) for mailbox in mailboxes if mailbox.spec in wanted]
        for what, mailboxes in (("to", message.to), ("cc", message.cc), ("bcc", message.bcc))
    }
    body: dict[str, object] = {
        "from": _mailbox(message.sender),
        "subject": message.subject,
        "html": message.html,
        "text": message.text,
        "headers": {"Auto-Submitted": "auto-generated"},
        **{what: texts for what, texts in people.items() if texts},
    }
    if message.reply_to:
        body["reply_to"] = [_mailbox(mailbox) for mailbox in message.reply_to]
    if message.attachments:
        body["attachments"] = [
            {
                "filename": attachment.filename,
                "content": base64.b64encode(attachment.data).decode(),
                "content_type": attachment.content_type,
            }
            for attachment in message.attachments
        ]
    return body


_TO_QUOTE = re.compile(r'[()<>@,:;."\[\]\\]')


def _mailbox(mailbox: Address) -> str:
    """`Name <address>` as the API reads it: in Unicode, with quotes where the name needs them."""
    name = mailbox.name
    if _TO_QUOTE.search(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{mailbox.spec}>" if name else mailbox.spec


def _json(response: httpx2.Response) -> dict[str, object]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after(value: str) -> float | None:
    """The header's seconds, or its date as seconds from now; None when it says nothing we can follow."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else None
