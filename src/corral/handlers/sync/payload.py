"""What a job of the data sync carries."""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Platform = Literal["shopify", "woocommerce", "stripe", "google-analytics", "facebook-ads"]
SyncType = Literal["full", "incremental"]


class SyncData(BaseModel):
    """One integration is to be brought up to date: all of it, or what changed since the last time."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    integration_id: str = Field(min_length=1, max_length=100)
    organization_id: str = Field(min_length=1, max_length=100)
    platform: Platform
    sync_type: SyncType = "incremental"
    start_date: date | None = None  #: the first day that matters; by default where the last sync ended
    end_date: date | None = None  #: the last one, included; by default today

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start_date is not None and self.end_date is not None and self.start_date > self.end_date:
            raise ValueError(f"startDate {self.start_date} is after endDate {self.end_date}")
        return self
