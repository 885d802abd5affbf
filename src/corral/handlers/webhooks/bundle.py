"""The bundle: deliveries to other people's servers, as an application takes them in."""

from corral.app.bundle import Bundle
from corral.errors import ConfigError
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web
from corral.handlers.webhooks.delivery import SCHEDULE, Deliverer, TellDisabled, pause_before
from corral.handlers.webhooks.endpoints import Endpoints
from corral.handlers.webhooks.settings import WebhooksSettings
from corral.timing import Clock, now_ms

QUEUE = "webhook-delivery"
JOB = "deliver-webhook"
_SHORTEST_KEY = 16


def bundle(
    settings: WebhooksSettings | None = None, *, database: Database, web: Web | None = None,
    tell_disabled: TellDisabled | None = None, queue: str = QUEUE, clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The jobs `deliver-webhook` and `prune-webhooks`; `Outgoing` includes them. Connects to nothing.

    Args:
        database: where endpoints, events and attempts are kept.
        web: another way to other servers. Without one only public addresses are gone to, and no redirect is followed.
        tell_disabled: gets an endpoint that was disabled because it failed for days.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    settings = checked(WebhooksSettings.load() if settings is None else settings)
    deliverer = Deliverer(
        settings, Endpoints(database, clock=clock), web or web_for(settings), clock=clock, tell_disabled=tell_disabled
    )
    made = Bundle("webhooks-out", queue=queue, timeout=settings.webhook_timeout + 30)
    made.job(JOB, attempts=len(SCHEDULE) + 1, backoff=pause_before)(deliverer.deliver)
    made.job("prune-webhooks", attempts=3, timeout=600)(deliverer.prune)
    return made


def web_for(settings: WebhooksSettings) -> Web:
    """The way out that the settings allow. Raises: ConfigError."""
    return Web(
        trusted=settings.webhook_trusted, plain_http=settings.webhook_plain_http, timeout=settings.webhook_timeout,
        max_bytes=65_536, max_redirects=0,
    )  # fmt: skip


def checked(settings: WebhooksSettings) -> WebhooksSettings:
    """The settings, when the signing keys can be meant. Raises: ConfigError."""
    for key in settings.webhook_signing_key:
        if len(key.get_secret_value()) < _SHORTEST_KEY:
            raise ConfigError(
                f"WEBHOOK_SIGNING_KEY has fewer than {_SHORTEST_KEY} characters: take 32 random ones",
                key="WEBHOOK_SIGNING_KEY",
            )
    return settings
