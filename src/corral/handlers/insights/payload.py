"""What a job of the insights carries."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Period = Literal["7d", "30d", "90d", "1y"]
DAYS: dict[str, int] = {"7d": 7, "30d": 30, "90d": 90, "1y": 365}


class GenerateInsights(BaseModel):
    """What is there to say about an organization's figures?"""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    organization_id: str = Field(min_length=1, max_length=100)
    period: Period
    force_regenerate: bool = False  #: also when the figures are those of the last time
