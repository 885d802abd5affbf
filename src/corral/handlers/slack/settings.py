"""Settings: arguments, then the environment, then `.env`, then the `[slack]` table of `corral.toml`."""

from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from corral.handlers.kit.settings import FamilySettings


class SlackSettings(FamilySettings):
    """Which workspaces there are, and how much is fetched. Every field has a variable of the same name."""

    table: ClassVar[str] = "slack"

    slack_bot_token: SecretStr | None = None  #: of the workspaces that have none of their own
    slack_tokens: dict[str, SecretStr] = Field(default_factory=dict)  #: workspace -> token, as JSON
    slack_api_url: str = "https://slack.com/api/"
    slack_timeout: float = Field(default=20.0, gt=0, le=300)  #: seconds for each request
    slack_page_size: int = Field(default=200, ge=1, le=1_000)
    slack_history_days: int = Field(default=30, ge=1, le=3_660)  #: how far back a channel's first sync goes
    slack_store_text: bool = True  #: false: keep who wrote when, and not what
    slack_threads: bool = True  #: fetch the replies of threads, too

    @field_validator("slack_api_url")
    @classmethod
    def _protected(cls, value: str) -> str:
        """The token goes there: it must be protected, unless it stays on this machine."""
        parts = urlsplit(value)
        if parts.scheme == "https" and parts.hostname:
            return value
        if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
            return value
        raise ValueError(f"{value!r} must be an https address, or an http one of this machine")

    @property
    def has_token(self) -> bool:
        """Whether any token is configured; without one nothing is asked of Slack."""
        return self.slack_bot_token is not None or bool(self.slack_tokens)

    def token(self, workspace: str) -> SecretStr | None:
        """The token of a workspace."""
        return self.slack_tokens.get(workspace, self.slack_bot_token)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
