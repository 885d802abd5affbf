"""Settings of the health checks: what a deployment may want looked at without a line of code."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from corral.handlers.kit.settings import FamilySettings


class HealthSettings(FamilySettings):
    """Lists are separated by commas."""

    table: ClassVar[str] = "health"

    health_urls: str = ""  #: addresses that must answer 2xx
    health_disks: str = ""  #: folders whose file systems must have room
    health_disk_free: float = Field(
        default=10, ge=0, le=100
    )  #: percent below which a disk is in trouble; twice it warns
    health_timeout: float = Field(default=10, gt=0, le=300)  #: seconds for each check
    health_after: int = Field(default=2, ge=1, le=100)  #: bad looks in a row before somebody is told
    health_remind_hours: float = Field(default=24, gt=0, le=8_760)  #: how often, while it stays bad
    health_alert_to: str = ""  #: mail addresses

    @property
    def urls(self) -> tuple[str, ...]:
        return _listed(self.health_urls)

    @property
    def disks(self) -> tuple[Path, ...]:
        return tuple(map(Path, _listed(self.health_disks)))

    @property
    def alert_to(self) -> tuple[str, ...]:
        return _listed(self.health_alert_to)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
