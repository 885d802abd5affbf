"""The size of a store's file, for metrics."""

from pathlib import Path

import apsw

from corral.storage.insight import Engine


def engine(db: apsw.Connection, path: str | None) -> Engine:
    """How large the file and its log are; of a store in memory, what it takes there."""
    taken = int(db.pragma("page_count") or 0) * int(db.pragma("page_size") or 0)
    log = Path(f"{path}-wal")
    return Engine(
        kind="sqlite", version=apsw.sqlite_lib_version(), db_bytes=taken,
        wal_bytes=None if path is None else log.stat().st_size if log.exists() else 0,
    )  # fmt: skip
