"""The bundle: the backups as an application takes them in."""

from collections.abc import Iterable

from corral.app.bundle import Bundle
from corral.errors import ConfigError
from corral.handlers.backup.backups import Backups, Made, Verified
from corral.handlers.backup.payload import MakeBackup, VerifyBackups
from corral.handlers.backup.settings import BackupSettings
from corral.handlers.backup.shelf import Keep, Shelf
from corral.handlers.backup.sources import FolderSource, Source, source_of
from corral.options import Exponential
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

JOBS = ("daily-backup", "verify-backups")


def bundle(
    settings: BackupSettings | None = None, *, sources: Iterable[Source] = (), shelf: Shelf | None = None,
    queue: str = "backup", jobs: tuple[str, str] = JOBS, clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The backup jobs, for `app.include(bundle())`. Reads the settings; touches nothing.

    Args:
        settings: where to, of what, for how long; by default what the environment, `.env` and `corral.toml` say.
        sources: what else is backed up.
        shelf: another folder than that of the settings.
        jobs: the name of the job that makes backups, and of the one that verifies them.

    Raises:
        ConfigError: settings that cannot be meant, or two sources of one name.
    """
    settings = BackupSettings.load() if settings is None else settings
    known = [*sources, *(FolderSource(folder) for folder in settings.folders)]
    if settings.backup_database is not None:
        known.append(source_of(settings.backup_database, pg_dump=settings.backup_pg_dump))
    names = [source.name for source in known]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two sources are called {name!r}: give one of them another name", key="sources")
    if shelf is None and settings.backup_dir is not None:
        shelf = Shelf(settings.backup_dir)
    keep = Keep(settings.backup_keep_daily, settings.backup_keep_weekly, settings.backup_keep_monthly)
    backups = Backups(shelf, known, keep, clock)

    async def make(ctx: JobContext, data: MakeBackup) -> Made:
        """Make backups. A second run finds those that the first one made: see `Backups.make`."""
        return await backups.make(ctx, data)

    async def verify(ctx: JobContext, data: VerifyBackups) -> Verified:
        """Verify backups. It only reads: twice is as good as once."""
        return await backups.verify(ctx, data)

    made = Bundle("backup", queue=queue, attempts=3, backoff=Exponential(60), timeout=settings.backup_timeout)
    made.job(jobs[0])(make)
    made.job(jobs[1])(verify)
    return made
