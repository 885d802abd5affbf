"""What the jobs of the webhooks handler carry. Code says `event_type`, JSON says `eventType`; both are understood."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

#: Names and ids as other services write them: printable, not endless.
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class WebhookEvent(Payload):
    """One delivery from outside, verified when it came. Its representation leaves out what it says."""

    platform: Word
    event_type: Word
    payload: JsonValue = Field(default=None, repr=False)
    signature: str | None = Field(
        default=None, max_length=2_000, repr=False, description="what it was verified by; nobody verifies it again"
    )
    organization_id: Word | None = None
    integration_id: Word | None = None
    delivery_id: Word | None = Field(default=None, description="the sender's id for it, or a hash of what was signed")


class DeliverWebhook(Payload):
    """One event for one endpoint. The body that is sent is the same in every attempt."""

    endpoint_id: Word
    event_id: Word
    event_type: Word
    created_at: int = Field(ge=0, description="when it happened, in milliseconds since 1970")
    data: JsonValue = Field(default=None, repr=False)


class PruneWebhooks(Payload):
    """How old what is forgotten has to be."""

    older_than_days: int = Field(default=30, ge=1, le=3_650)
