"""Settings: arguments, then the environment, then `.env`, then the `[checkins]` table of `corral.toml`."""

from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from corral.handlers.kit.settings import FamilySettings


class CheckinsSettings(FamilySettings):
    """What counts as low, as a change, and as nobody's business. Every field has a variable of the same name."""

    table: ClassVar[str] = "checkins"

    checkins_time_zone: str = "UTC"  #: in which a check-in without a day has its day
    checkins_low_mood: float = Field(default=2.0, ge=1, le=5)  #: a mean at or below it is low
    checkins_steady: float = Field(default=0.25, ge=0, le=4)  #: a week that differs by less is no trend
    checkins_drop: float = Field(default=1.0, gt=0, le=4)  #: a week this much below the four before it is a drop
    checkins_min_answers: int = Field(default=3, ge=1, le=100)  #: check-ins that a statement about a person needs
    checkins_min_group: int = Field(default=3, ge=1, le=1_000)  #: people that a statement about a team needs
    checkins_silence_days: int = Field(default=7, ge=1, le=365)  #: without a check-in, of somebody who used to check in
    checkins_quiet_days: int = Field(default=7, ge=0, le=365)  #: before the same thing is said again

    @field_validator("checkins_time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # no zone of this name, or no name at all
            raise ValueError(f"{value!r} is not a time zone such as Europe/Oslo") from None
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.checkins_time_zone)
