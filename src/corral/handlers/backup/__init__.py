"""Ready-made backup jobs: databases and folders, verified by restoring them, and kept for as long as you say.

See `docs/handlers/backup.md`.
"""

from corral.handlers.kit.extra import need

need("db", "sqlalchemy")  # before anything below imports what the extra brings

from corral.handlers.backup.backups import Backups, Made, OneBackup, Verified  # noqa: E402
from corral.handlers.backup.bundle import JOBS, bundle  # noqa: E402
from corral.handlers.backup.errors import BackupError  # noqa: E402
from corral.handlers.backup.payload import MakeBackup, VerifyBackups  # noqa: E402
from corral.handlers.backup.settings import BackupSettings  # noqa: E402
from corral.handlers.backup.shelf import Keep, Manifest, Shelf  # noqa: E402
from corral.handlers.backup.sources import FolderSource, PostgresSource, Source, SqliteSource, source_of  # noqa: E402

__all__ = [
    "JOBS",
    "BackupError",
    "BackupSettings",
    "Backups",
    "FolderSource",
    "Keep",
    "Made",
    "MakeBackup",
    "Manifest",
    "OneBackup",
    "PostgresSource",
    "Shelf",
    "Source",
    "SqliteSource",
    "Verified",
    "VerifyBackups",
    "bundle",
    "source_of",
]
