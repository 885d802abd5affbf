"""Settings: arguments, then the environment, then `.env`, then the `[metrics]` table of `corral.toml`."""

from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from corral.handlers.kit.settings import FamilySettings


class MetricsSettings(FamilySettings):
    """Which days count, and how many people a figure must be about. Every field has a variable of the same name."""

    table: ClassVar[str] = "metrics"

    metrics_time_zone: str = "UTC"  #: in which a day begins
    metrics_work_days: frozenset[int] = frozenset({1, 2, 3, 4, 5})  #: Monday is 1; a check-in is expected on each
    metrics_min_group: int = Field(default=3, ge=1, le=1_000)  #: people whose satisfaction is told together
    metrics_people_days: int = Field(default=90, ge=1, le=3_660)  #: who was active in them is one of the people

    @field_validator("metrics_time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # no zone of this name, or no name at all
            raise ValueError(f"{value!r} is not a time zone such as Europe/Oslo") from None
        return value

    @field_validator("metrics_work_days")
    @classmethod
    def _days(cls, value: frozenset[int]) -> frozenset[int]:
        if not value or not value <= set(range(1, 8)):
            raise ValueError("work days are numbers from 1 (Monday) to 7 (Sunday), such as [1, 2, 3, 4, 5]")
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.metrics_time_zone)
