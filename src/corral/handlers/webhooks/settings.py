"""Settings: arguments, then the environment, then `.env`, then the `[webhooks]` table of `corral.toml`."""

from collections.abc import Callable
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from corral.handlers.kit.settings import FamilySettings
from corral.handlers.webhooks.schemes import Secrets, Source, github, shopify, slack, standard, stripe


def _several(value: object) -> object:
    """`one,two` as people write it into a variable."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


#: One secret, or several with a comma between while they are being changed: each of them is accepted.
SeveralSecrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_several)]


class WebhooksSettings(FamilySettings):
    """Secrets of those who send, and how deliveries go out. Every field has a variable of the same name."""

    table: ClassVar[str] = "webhooks"

    shopify_webhook_secret: SeveralSecrets = ()
    stripe_webhook_secret: SeveralSecrets = ()
    github_webhook_secret: SeveralSecrets = ()
    slack_signing_secret: SeveralSecrets = ()
    standard_webhook_secret: SeveralSecrets = ()
    webhook_max_bytes: int = Field(default=900_000, ge=1_000, le=50_000_000)  #: of a body that comes in
    webhook_tolerance: float = Field(default=300.0, gt=0, le=3_600)  #: seconds that a timestamp may be off

    webhook_signing_key: SeveralSecrets = ()  #: what the endpoints' secrets are made of
    webhook_timeout: float = Field(default=15.0, gt=0, le=120)  #: seconds for one attempt
    webhook_disable_after_days: float = Field(default=5.0, gt=0, le=90)  #: of nothing but failures
    webhook_plain_http: bool = False  #: endpoints may be http://
    webhook_trusted: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_several)] = ()  #: origins, may be private


def sources_of(settings: WebhooksSettings) -> dict[str, Source]:
    """The sources that the settings have a secret for, under their platforms' names. Raises: ConfigError."""
    tolerance = settings.webhook_tolerance
    known: dict[str, tuple[tuple[SecretStr, ...], Callable[[Secrets], Source]]] = {
        "shopify": (settings.shopify_webhook_secret, shopify),
        "stripe": (settings.stripe_webhook_secret, lambda secrets: stripe(secrets, tolerance=tolerance)),
        "github": (settings.github_webhook_secret, github),
        "slack": (settings.slack_signing_secret, lambda secrets: slack(secrets, tolerance=tolerance)),
        "standard": (settings.standard_webhook_secret, lambda secrets: standard(secrets, tolerance=tolerance)),
    }
    return {name: make(secrets) for name, (secrets, make) in known.items() if secrets}
