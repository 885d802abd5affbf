"""What the alert jobs carry. Code says `alert_type`, JSON says `alertType`; both are understood."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]

#: PostgreSQL has no text with a zero byte: refused when it is added, and not when it is stored.
NO_NUL = r"^[^\x00]*$"
Key = Annotated[str, StringConstraints(max_length=256, pattern=NO_NUL)]


class Severity(StrEnum):
    """How bad it is. They compare by that: `Severity.HIGH.rank > Severity.LOW.rank`."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """0 for LOW to 3 for CRITICAL."""
        return list(Severity).index(self)


def _capitals(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class RaiseAlert(Payload):
    """Something that is not as it should be."""

    organization_id: Id
    alert_type: Id = Field(description="what kind of thing: DATA_ANOMALY, JOB_FAILED …")
    severity: Annotated[Severity, BeforeValidator(_capitals)]
    message: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000, pattern=NO_NUL)]
    metadata: dict[str, JsonValue] = Field(default_factory=dict, repr=False)
    key: Key = Field(
        default="", description="what it is about: alerts of one type and key are one, as long as it is open"
    )


class ResolveAlert(Payload):
    """The end of it: what was wrong is in order again."""

    organization_id: Id
    alert_type: Id
    key: Key = ""


class EscalateAlert(Payload):
    """A look, later, at whether anybody took care of an alert. The handler adds these itself."""

    alert_id: Id
    route: Id
    turn: int = Field(ge=1)
