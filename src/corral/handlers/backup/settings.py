"""Settings of the backups."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from corral.handlers.kit.settings import FamilySettings


class BackupSettings(FamilySettings):
    """Without a folder nothing is backed up: the jobs fail and say so."""

    table: ClassVar[str] = "backup"

    backup_dir: Path | None = None  #: where backups go: nobody but the worker may read it
    backup_database: SecretStr | None = None  #: sqlite:///app.db or postgresql://user:password@host/name
    backup_folders: str = ""  #: separated by commas
    backup_keep_daily: int = Field(default=7, ge=1, le=3_660)
    backup_keep_weekly: int = Field(default=4, ge=0, le=520)
    backup_keep_monthly: int = Field(default=12, ge=0, le=120)
    backup_timeout: float = Field(default=3_600, gt=0, le=86_400)  #: seconds for a whole job
    backup_pg_dump: str = "pg_dump"  #: the program; `pg_restore` lies beside it

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(Path(part.strip()) for part in self.backup_folders.split(",") if part.strip())
