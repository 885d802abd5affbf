"""Settings: arguments, then the environment, then `.env`, then the `[notify]` table of `corral.toml`."""

import json
import re
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from corral.handlers.kit.settings import FamilySettings

_SCHEMA = re.compile(r"([a-z0-9]+)://", re.IGNORECASE)

#: Services that are spoken to over the network and do nothing on this machine. apprise knows many that do.
SCHEMAS = frozenset(
    "discord gchat gotify gotifys matrix matrixs mmost mmosts msteams ntfy ntfys opsgenie pagerduty pover rocket "
    "rockets signal signals slack tgram twilio webex wxteams workflow workflows zulip".split()
)


class NotificationSettings(FamilySettings):
    """How people are reached. Every field has a variable of the same name; keys and services' addresses do not show."""

    table: ClassVar[str] = "notify"

    notify_time_zone: str = "UTC"  #: in which kudos have their day
    notify_base_url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")  #: what a path leads to in a mail
    notify_urls: Annotated[dict[str, tuple[SecretStr, ...]], NoDecode] = Field(default_factory=dict)
    notify_schemas: Annotated[frozenset[str], NoDecode] = SCHEMAS
    vapid_private_key: SecretStr | None = None
    vapid_subject: str | None = None  #: whom a push service may write to: mailto: or https:
    push_ttl: int = Field(default=86_400, ge=0, le=2_419_200)  #: seconds that a push waits for its browser

    @field_validator("notify_urls", mode="before")
    @classmethod
    def _by_audience(cls, value: object) -> object:
        """`a://…, b://…` is for everybody; `{"ops": ["a://…"]}` has audiences."""
        if isinstance(value, str):
            text = value.strip()
            value = json.loads(text) if text.startswith("{") else {"all": text}
        if not isinstance(value, dict):
            raise ValueError("must be addresses between commas, or a table of them by audience")
        return {str(name): _several(some) for name, some in value.items()}

    @field_validator("notify_schemas", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return frozenset(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("notify_time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # no zone of this name, or no name at all
            raise ValueError(f"{value!r} is not a time zone such as Europe/Oslo") from None
        return value

    @model_validator(mode="after")
    def _allowed(self) -> "NotificationSettings":
        for name, several in self.notify_urls.items():
            for url in several:
                found = _SCHEMA.match(url.get_secret_value())
                schema = found[1].lower() if found else ""
                if schema not in self.notify_schemas:
                    raise ValueError(
                        f"an address of audience {name!r} begins with {schema + '://' if schema else 'no schema'}, "
                        "which NOTIFY_SCHEMAS does not have"
                    )
        if self.vapid_private_key is not None and not (self.vapid_subject or "").startswith(("mailto:", "https:")):
            raise ValueError("VAPID_SUBJECT must say whom push services may write to, such as mailto:ops@example.org")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.notify_time_zone)


def _several(value: object) -> object:
    """Addresses, one by one. A comma may be part of one, so that only one before another address divides them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in re.split(r"[,\s]+(?=[A-Za-z0-9]+://)", value) if part.strip())
    return value
