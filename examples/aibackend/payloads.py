"""What the platform's own jobs carry. Those of `generate-completion` and `generate-embeddings` are corral's."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from corral import Sensitive

Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class QueueName(StrEnum):
    """The queues."""

    AI_TASKS = "ai-tasks"
    EMAIL = "email"
    MAINTENANCE = "maintenance"


class Payload(BaseModel):
    """Base of the payloads: camelCase as in a web application's JSON, and nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class BatchProcess(Payload):
    """Several texts to be answered one after the other, apart from any conversation."""

    user_id: Id
    items: list[Annotated[str, StringConstraints(min_length=1, max_length=10_000)]] = Field(
        min_length=1, max_length=500
    )


class Greeting(Payload):
    """A mail to somebody who has just come: once in a lifetime."""

    user_id: Id


class Secret(Payload):
    """A mail with a token in it, which nobody may read in the queue."""

    user_id: Id
    token: Annotated[str, StringConstraints(min_length=16, max_length=200), Sensitive]


class Notice(Payload):
    """A mail that says something."""

    user_id: Id
    message: Annotated[str, StringConstraints(min_length=1, max_length=5_000)]
    job_id: str | None = None


class Report(Payload):
    """The day on which a report is made. It is about the day before."""

    date: str


class Nothing(Payload):
    """A job that needs to be told nothing."""
