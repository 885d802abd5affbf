"""Settings: arguments, then the environment, then `.env`, then the `[alert-handlers]` table of `corral.toml`."""

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from corral.handlers.alerts.payload import Severity
from corral.handlers.kit.settings import FamilySettings

Names = Annotated[tuple[str, ...], NoDecode]


class AlertSettings(FamilySettings):
    """Whom alerts reach, and how often. Every field has a variable of the same name; addresses with a key do not show.

    The table is not `[alerts]`, which is about the alerts that corral raises about itself.
    """

    table: ClassVar[str] = "alert-handlers"

    alerts_quiet_minutes: float = Field(default=60, ge=0, le=10_080)  #: before an open alert is told again
    alerts_mail_to: Names = ()  #: addresses, for alerts of `alerts_mail_from` and above
    alerts_mail_from: Severity = Severity.MEDIUM
    alerts_slack_url: SecretStr | None = None  #: an incoming webhook, for HIGH and above
    alerts_webhook_url: SecretStr | None = None  #: gets the alert as JSON, for HIGH and above
    alerts_webhook_secret: SecretStr | None = None  #: `whsec_…`, signs what the webhook gets
    alerts_escalate_to: Names = ()  #: addresses, for CRITICAL ones that nobody took care of
    alerts_escalate_minutes: float = Field(default=15, gt=0, le=10_080)

    @field_validator("alerts_mail_to", "alerts_escalate_to", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("alerts_mail_to", "alerts_escalate_to")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            name, at, domain = address.rpartition("@")
            if not (name and at and domain) or any(mark in address for mark in "<>\r\n"):
                raise ValueError(f"{address!r} is not an address such as ops@example.org")
        return value
