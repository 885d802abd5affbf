"""Routes: which alerts go where, at once or when nobody took care of them; and the ways there are to tell one."""

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from pydantic import SecretStr

from corral.app.queues import AppQueue
from corral.errors import ConfigError
from corral.handlers.alerts.payload import Severity
from corral.handlers.alerts.settings import AlertSettings
from corral.handlers.alerts.store import Alert
from corral.handlers.kit.mail import Mail, SendMail
from corral.handlers.kit.web import Web, check
from corral.timing import Clock, now_ms

#: Tells an alert. The id is the same in every attempt: a second call with it is the first one.
Tell = Callable[[str, Alert], Awaitable[object]]


class Route(Struct, frozen=True, kw_only=True):
    """Alerts that are bad enough go this way: at once, or `after` seconds when nobody took care of them until then."""

    name: str
    tell: Tell
    at_least: Severity = Severity.MEDIUM
    after: float = 0.0


def by_mail(send: SendMail, to: Sequence[str], *, template: str = "alert-notification") -> Tell:
    """Mail it."""

    async def tell(id: str, alert: Alert) -> object:
        data: dict[str, object] = {
            "message": alert.message, "severity": alert.severity.value, "alertType": alert.type,
            "occurredAt": when(alert.last_at), "metadata": dict(alert.metadata),
        }  # fmt: skip
        return await send(id, Mail(to=tuple(to), subject=headline(alert), template=template, data=data))

    return tell


def by_job(queue: AppQueue, job: str, payload: Callable[[Alert], Mapping[str, object]]) -> Tell:
    """Add a job about it, such as `post-message` of the Slack handler: `payload` makes its data."""

    async def tell(id: str, alert: Alert) -> object:
        return await queue.definition(job).add(dict(payload(alert)), id=id)

    return tell


def by_slack(web: Web, url: SecretStr) -> Tell:
    """Post it to an incoming webhook of Slack's, or of a chat that understands them (Mattermost, Rocket.Chat)."""

    async def tell(id: str, alert: Alert) -> object:
        text = f"*{_plain(headline(alert))}*\n{_plain(alert.message)}"
        answer = await web.request("POST", url.get_secret_value(), json={"text": text})
        check(answer, "the chat's webhook")
        return None

    return tell


def by_webhook(web: Web, url: SecretStr, secret: SecretStr | None = None, *, clock: Clock = now_ms) -> Tell:
    """Post it as JSON, signed as Standard Webhooks has it when there is a secret."""
    key = None if secret is None else _key(secret)

    async def tell(id: str, alert: Alert) -> object:
        body = json.dumps({"type": "alert", "id": id, "data": facts(alert)}, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "webhook-id": id}
        if key is not None:
            headers["webhook-timestamp"] = str(clock() // 1000)
            signed = b".".join((id.encode(), headers["webhook-timestamp"].encode(), body))
            digest = hmac.new(key, signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        check(await web.request("POST", url.get_secret_value(), headers=headers, content=body), "the webhook")
        return None

    return tell


def routes_for(settings: AlertSettings, send: SendMail | None, web: Web, *, clock: Clock = now_ms) -> list[Route]:
    """What the settings say. Addresses without a `send` lead nowhere, and are refused. Raises: ConfigError."""
    if send is None and (settings.alerts_mail_to or settings.alerts_escalate_to):
        raise ConfigError("ALERTS_MAIL_TO and ALERTS_ESCALATE_TO need a way to send mail: bundle(send=…)", key="alerts")
    found = []
    if send is not None and settings.alerts_mail_to:
        mail = by_mail(send, settings.alerts_mail_to)
        found.append(Route(name="mail", tell=mail, at_least=settings.alerts_mail_from))
    if settings.alerts_slack_url is not None:
        found.append(Route(name="slack", tell=by_slack(web, settings.alerts_slack_url), at_least=Severity.HIGH))
    if settings.alerts_webhook_url is not None:
        hook = by_webhook(web, settings.alerts_webhook_url, settings.alerts_webhook_secret, clock=clock)
        found.append(Route(name="webhook", tell=hook, at_least=Severity.HIGH))
    if send is not None and settings.alerts_escalate_to:
        mail, after = by_mail(send, settings.alerts_escalate_to), settings.alerts_escalate_minutes * 60
        found.append(Route(name="escalation", tell=mail, at_least=Severity.CRITICAL, after=after))
    return found


def headline(alert: Alert) -> str:
    """One line: how bad, what, and how often."""
    kind = alert.type.replace("_", " ").replace("-", " ").capitalize()
    often = f" ({alert.count} times)" if alert.count > 1 else ""
    return " ".join(f"{alert.severity.value}: {kind}{often}".split())[:200]


def facts(alert: Alert) -> dict[str, object]:
    """An alert as JSON has it."""
    return {
        "alertId": alert.id, "organizationId": alert.organization, "alertType": alert.type, "key": alert.key,
        "severity": alert.severity.value, "message": alert.message, "metadata": dict(alert.metadata),
        "state": alert.state, "count": alert.count, "firstAt": when(alert.first_at), "lastAt": when(alert.last_at),
    }  # fmt: skip


def when(at: int) -> str:
    """An instant as people and programs read it."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(text: str) -> str:
    """Nothing that people or other programs wrote becomes a mention or a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ConfigError("ALERTS_WEBHOOK_SECRET must be base64, such as whsec_MfKQ9r8…", key="alerts") from None
