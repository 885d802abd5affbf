"""What the environment, or a `.env` file, says. Each field is the variable of the same name in capitals."""

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Arguments beat the environment, and that beats `.env`.

    How mail leaves is in corral's `EmailSettings` (`RESEND_API_KEY`, `EMAIL_FROM` …), the platforms' keys in its
    `SyncSettings` (`SHOPIFY_ACCESS_TOKEN`, `SYNC_KEYS` …), who may send webhooks in its `WebhooksSettings`
    (`SHOPIFY_WEBHOOK_SECRET` …), a model for summaries in its `InsightsSettings` (`INSIGHTS_AI_URL` …).
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    #: The store. Without one corral looks: CORRAL_URL, REDIS_URL or REDIS_HOST, `corral.toml`, and `corral.db` here.
    url: str | None = Field(default=None, validation_alias=AliasChoices("CORRAL_URL"))
    bizinsights_home: Path | None = None  #: where the platform keeps its files; beside the store when not given
    database_url: SecretStr | None = None  #: its data: `bizinsights.db` in its folder when not given
    jwt_secret: SecretStr | None = None  #: what tokens are signed with (HS256); without it the API is closed
    mail_dir: Path | None = Field(default=None, validation_alias=AliasChoices("CORRAL_MAIL_DIR"))
    #: What WooCommerce sites sign their webhooks with; the other platforms' secrets are in `WebhooksSettings`.
    woocommerce_webhook_secret: SecretStr | None = None
    quota_alert: float = Field(default=0.1, gt=0, lt=1)  #: the share of a platform's quota below which somebody is told
    #: Who is told of jobs that failed for good and of queues that pile up: addresses, with commas between them.
    operators: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("operators", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value
