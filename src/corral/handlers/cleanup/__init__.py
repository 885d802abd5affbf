"""Ready-made clean-up jobs: old files, logs into an archive, and rows that have expired.

See `docs/handlers/cleanup.md`.
"""

from corral.handlers.kit.extra import need

need("db", "sqlalchemy", "aiosqlite", "alembic")  # before anything below imports what the extra brings

from corral.handlers.cleanup.bundle import JOBS, bundle  # noqa: E402
from corral.handlers.cleanup.outcome import Cleaned, CleanupError  # noqa: E402
from corral.handlers.cleanup.payload import Clean  # noqa: E402
from corral.handlers.cleanup.rules import FileRule, RowRule, Rule  # noqa: E402
from corral.handlers.cleanup.settings import CleanupSettings  # noqa: E402

__all__ = [
    "JOBS",
    "Clean",
    "Cleaned",
    "CleanupError",
    "CleanupSettings",
    "FileRule",
    "RowRule",
    "Rule",
    "bundle",
]
