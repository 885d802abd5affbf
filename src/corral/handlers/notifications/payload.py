"""What the notification jobs carry. Code says `recipient_id`, JSON says `recipientId`; both are understood."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\r\n\x00]*$")]
Text = Annotated[str, StringConstraints(max_length=2_000, pattern=r"^[^\x00]*$")]
Channel = Literal["inbox", "email", "push"]
Urgency = Literal["low", "normal", "high"]
#: Each is looked up and told one by one; more people are more jobs.
MAX_RECIPIENTS = 500


def _link(value: str) -> str:
    """Where somebody may be led: another page, or a place in the application. Nothing that runs in a browser."""
    parts = urlsplit(value)
    if parts.scheme in ("http", "https") and parts.hostname:
        return value
    if not parts.scheme and value.startswith("/") and not value.startswith(("//", "/\\")):
        return value
    raise ValueError("must be an http or https address, or a path that begins with /")


Link = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_link)]


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    organization_id: Id
    channels: tuple[Channel, ...] = Field(
        default=("inbox", "email", "push"), min_length=1, description="ways to tell; those that somebody wants are used"
    )
    url: Link | None = Field(default=None, description="where it leads")


class Notify(Payload):
    """Something to tell people."""

    recipient_ids: tuple[Id, ...] = Field(min_length=1, max_length=MAX_RECIPIENTS)
    title: Line
    message: Text = Field(default="", repr=False)
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")] = "notification"
    urgency: Urgency = "normal"
    data: dict[str, JsonValue] = Field(default_factory=dict, repr=False)


class Kudos(Payload):
    """Praise for somebody, who is told about it."""

    sender_id: Id
    recipient_id: Id
    message: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]*$")
    ] = Field(repr=False)
    value: Line | None = Field(default=None, description="what it is for: teamwork, courage …")


class Achievement(Payload):
    """Something that somebody reached, once."""

    person_id: Id
    achievement: Id = Field(description="which one: a person has each of them once")
    title: Line
    description: Text = ""


class Performer(BaseModel):
    """Somebody who got many kudos."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Line
    kudos: int | None = Field(default=None, ge=0)


class TeamUpdate(Payload):
    """News for a team."""

    recipient_ids: tuple[Id, ...] = Field(min_length=1, max_length=MAX_RECIPIENTS)
    title: Line
    message: Text = ""
    team_name: Line | None = None
    period: Line | None = None
    kudos_count: int = Field(default=0, ge=0)
    top_performers: tuple[Line | Performer, ...] = Field(default=(), max_length=20)
    highlights: tuple[Line, ...] = Field(default=(), max_length=20)


class Announce(BaseModel):
    """Something to say in the chats and services that the operator has configured under a name."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    audience: Id = Field(default="all", description="a name in NOTIFY_URLS; no address ever comes from a payload")
    title: Line
    message: Text = Field(default="", repr=False)
    level: Literal["info", "success", "warning", "failure"] = "info"


class Keys(BaseModel):
    """The two keys of a browser's push subscription, in base64url."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    p256dh: str = Field(min_length=80, max_length=100, repr=False)
    auth: str = Field(min_length=20, max_length=30, repr=False)


class Subscription(BaseModel):
    """A browser's push subscription, as its `toJSON()` gives it."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # browsers add an expirationTime that is null

    endpoint: str = Field(max_length=2_000, pattern=r"^https?://[^\s\x00]+$")
    keys: Keys
