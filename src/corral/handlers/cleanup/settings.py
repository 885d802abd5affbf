"""Settings of the clean-up: where the three kinds of files lie, and for how long they may."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from corral.handlers.cleanup.rules import LIMIT, FileRule
from corral.handlers.kit.settings import FamilySettings


class CleanupSettings(FamilySettings):
    """Each folder that is not named is left alone: its job fails and says which variable it misses."""

    table: ClassVar[str] = "cleanup"

    cleanup_temp_dir: Path | None = None  #: temporary files
    cleanup_temp_hours: float = Field(default=24, ge=1, le=87_840)
    cleanup_logs_dir: Path | None = None  #: logs
    cleanup_logs_days: float = Field(default=30, ge=1, le=3_660)
    cleanup_logs_archive: Path | None = None  #: where old logs go, compressed; without it they are removed
    cleanup_archive_days: float | None = Field(default=None, ge=1, le=3_660)  #: for how long; without it for ever
    cleanup_artifacts_dir: Path | None = None  #: what builds leave behind
    cleanup_artifacts_days: float = Field(default=7, ge=1, le=3_660)
    cleanup_limit: int = Field(default=LIMIT, ge=1, le=1_000_000)  #: files in one run

    def rules(self) -> tuple[FileRule, ...]:
        """What is configured. Raises: ConfigError for a folder that must not be emptied."""
        made = []
        if self.cleanup_temp_dir is not None:
            age = self.cleanup_temp_hours * 3_600
            made.append(FileRule("temp-files", self.cleanup_temp_dir, older_than=age, limit=self.cleanup_limit))
        if self.cleanup_logs_dir is not None:
            archive = self.cleanup_logs_archive
            age = self.cleanup_logs_days * 86_400
            made.append(
                FileRule("old-logs", self.cleanup_logs_dir, older_than=age, archive=archive, limit=self.cleanup_limit)
            )
            if archive is not None and self.cleanup_archive_days is not None:
                age = self.cleanup_archive_days * 86_400
                made.append(FileRule("old-logs", archive, older_than=age, match=("*.gz",), limit=self.cleanup_limit))
        if self.cleanup_artifacts_dir is not None:
            age = self.cleanup_artifacts_days * 86_400
            made.append(FileRule("old-artifacts", self.cleanup_artifacts_dir, older_than=age, limit=self.cleanup_limit))
        return tuple(made)
