"""What the jobs of the metrics handler carry. Code says `metric_type`, JSON says `metricType`; both are understood."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]
MetricType = Literal["engagement", "performance", "satisfaction"]
Period = Literal["daily", "weekly", "monthly"]


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class CalculateMetrics(Payload):
    """Which figure to calculate, of whom, over which days."""

    organization_id: Id
    metric_type: MetricType
    period: Period
    team_id: Id | None = None
    day: date | None = Field(
        default=None, description="any day of the period; without one it is the last period that is over"
    )


class RecordActivity(Payload):
    """Something that somebody did, for figures to be calculated from."""

    organization_id: Id
    person_id: Id
    team_id: Id | None = None
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")] = Field(
        description="check-in, survey, kudos-given, kudos-received, goal-planned, goal-done, or a word of your own"
    )
    day: date | None = Field(default=None, description="the day of the job when not given")
    count: int = Field(default=1, ge=1, le=10_000)
    value: float | None = Field(default=None, ge=1, le=5, allow_inf_nan=False, description="a mood or score, 1 to 5")
