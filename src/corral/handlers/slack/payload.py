"""What the jobs of the Slack handler carry. Code says `workspace_id`, JSON says `workspaceId`; both are understood."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]
SyncType = Literal["users", "channels", "messages"]
#: A channel's id (C…, G…, D…), a person's (U…, W…), or a name such as `#general`.
Channel = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^#?[\w.-]{1,80}$")]
#: Slack cuts what is longer.
MAX_TEXT = 40_000


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class SyncSlack(Payload):
    """What to fetch from a workspace."""

    workspace_id: Id
    sync_type: SyncType
    channel_ids: tuple[Channel, ...] = Field(
        default=(), max_length=200, description="whose messages; of all channels the app is in when empty"
    )
    full: bool = Field(default=False, description="begin from the start, not where the last one ended")

    @model_validator(mode="after")
    def _channels_of_messages(self) -> Self:
        if self.channel_ids and self.sync_type != "messages":
            raise ValueError("channelIds are for messages; users and channels are fetched whole")
        return self


class PostMessage(Payload):
    """A message for a channel or a person. Its representation leaves the text out."""

    workspace_id: Id
    channel: Channel
    text: str = Field(min_length=1, max_length=MAX_TEXT, repr=False)
    blocks: tuple[dict[str, JsonValue], ...] = Field(default=(), max_length=50, repr=False)
    thread_ts: Annotated[str, StringConstraints(pattern=r"^[0-9]{10}\.[0-9]{6}$")] | None = None
    plain: bool = Field(default=True, description="show the text as it is: no mentions, links or bold in it")


class ManageChannel(Payload):
    """Something to be done with a channel. Done already is done."""

    workspace_id: Id
    action: Literal["create", "join", "archive", "unarchive", "invite", "topic"]
    channel: Channel
    user_ids: tuple[Id, ...] = Field(default=(), max_length=100, description="whom to invite")
    topic: str = Field(default="", max_length=250)
    private: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.action == "invite" and not self.user_ids:
            raise ValueError("userIds must say whom to invite")
        return self
