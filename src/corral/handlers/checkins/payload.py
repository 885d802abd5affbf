"""What the jobs of the check-ins handler carry. Code says `person_id`, JSON says `personId`; both are understood."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from corral.sensitive import Sensitive

#: Whose, who, which team: what an application's own ids look like is its business, but they fit into a key.
Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]

#: PostgreSQL has no text with a zero byte: refused when it is added, and not when it is stored.
NO_NUL = r"^[^\x00]*$"


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Answer(Payload):
    """A question of the check-in, and what was answered."""

    question: str = Field(min_length=1, max_length=500, pattern=NO_NUL)
    answer: Annotated[str, Sensitive] = Field(max_length=2_000, pattern=NO_NUL, repr=False)


class ProcessCheckin(Payload):
    """How somebody's day went. Its representation leaves out what was written: that may be private."""

    organization_id: Id
    person_id: Id
    team_id: Id | None = None
    day: date | None = Field(default=None, description="the day it is about; the day it was sent when not given")
    mood: int = Field(ge=1, le=5, description="1 (bad) to 5 (good)")
    goals_planned: int = Field(default=0, ge=0, le=100)
    goals_done: int = Field(default=0, ge=0, le=100)
    answers: tuple[Answer, ...] = Field(default=(), max_length=50, repr=False)
    comment: Annotated[str, Sensitive] = Field(default="", max_length=2_000, pattern=NO_NUL, repr=False)


class MoodTrends(Payload):
    """Whose mood to follow, week by week: an organization's, or one team's."""

    organization_id: Id
    team_id: Id | None = None
    day: date | None = Field(default=None, description="a day of the last week; the day of the job when not given")
    weeks: int = Field(default=8, ge=2, le=104)


class CheckinInsights(Payload):
    """Where to look for something that wants attention: an organization, or one team."""

    organization_id: Id
    team_id: Id | None = None
    day: date | None = Field(default=None, description="the last day to look at; the day before the job's by default")
