"""Rules: what may be removed, where, and from which age on. Code and configuration write them, payloads never do."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from sqlalchemy import Date, DateTime, Integer, Table
from sqlalchemy.sql.schema import Column

from corral.errors import ConfigError
from corral.timing import Seconds, to_ms

#: Removed in one run when neither the rule nor the payload says less: a run ends, the next one goes on.
LIMIT = 10_000
#: Folders that hold a system or a person's home together; none of them is ever a place to empty.
SYSTEM = frozenset(
    map(
        Path,
        "/ /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /usr /var".split(),
    )
)


class FileRule:
    """Old files below one folder.

    Args:
        job: the job that does it; several rules may share one.
        root: the folder. It stays, whatever its age.
        older_than: seconds since the last change.
        match: names (not paths) that may be removed, as shell patterns.
        keep: names that never are.
        archive: a folder that gets a compressed copy of each file before it goes.
        limit: files in one run.
        folders: also remove folders that are old themselves and empty by then.
        by: "modified" (mtime), or "changed": the later of mtime and ctime, for files that come with an old date, as
            from an unpacked archive.

    Raises:
        ConfigError: a folder that must not be emptied, or an archive inside of it.
    """

    def __init__(
        self, job: str, root: str | Path, *, older_than: Seconds, match: Iterable[str] = ("*",),
        keep: Iterable[str] = (".gitkeep", ".gitignore"), archive: str | Path | None = None, limit: int = LIMIT,
        folders: bool = True, by: Literal["modified", "changed"] = "modified",
    ) -> None:  # fmt: skip
        self.job = job
        self.root = checked_root(Path(root))
        self.older_ms = to_ms(older_than, "older_than", minimum=0)
        self.match = tuple(match)
        self.keep = tuple(keep)
        self.archive = None if archive is None else _beside(Path(archive), self.root)
        self.limit = _positive(limit)
        self.folders = folders
        self.by = by

    def __repr__(self) -> str:
        return f"<FileRule {self.job} in {self.root}>"

    def wants(self, name: str) -> bool:
        """Whether a file of this name may go."""
        if any(fnmatchcase(name, pattern) for pattern in self.keep):
            return False
        return any(fnmatchcase(name, pattern) for pattern in self.match)


class RowRule:
    """Old rows of one table, told by a column with a time.

    Args:
        job: the job that does it; several rules may share one.
        column: of a table of yours with a primary key: `tokens.c.expires_at`.
        older_than: seconds since the time in the column; 0 for a column that says when the row expires.
        unit: what a number in the column counts since 1970.
        archive: a folder that gets the rows as compressed JSON lines before they go.
        limit: rows in one run.
        batch: rows in one transaction.

    Raises:
        ConfigError: a column that holds no time, or a table without a primary key.
    """

    def __init__(
        self, job: str, column: Column[object], *, older_than: Seconds = 0, unit: Literal["ms", "s"] = "ms",
        archive: str | Path | None = None, limit: int = LIMIT, batch: int = 500,
    ) -> None:  # fmt: skip
        self.job = job
        self.column = column
        if not isinstance(column.type, Integer | DateTime | Date):
            raise ConfigError(
                f"column {column} must hold an instant, a date or a number, not {column.type}", key="column"
            )
        table = column.table
        if not isinstance(table, Table) or not table.primary_key.columns:
            raise ConfigError(f"table {table} needs a primary key: rows are removed by it", key="column")
        self.table = table
        self.keys = tuple(table.primary_key.columns)
        self.older_ms = to_ms(older_than, "older_than", minimum=0)
        self.unit = unit
        self.archive = None if archive is None else Path(archive).absolute()
        self.limit = _positive(limit)
        self.batch = _positive(batch)

    def __repr__(self) -> str:
        return f"<RowRule {self.job} in {self.table.name}>"


Rule = FileRule | RowRule


def checked_root(root: Path) -> Path:
    """The folder, absolute. It need not be there yet. Raises: ConfigError."""
    path = root.absolute()
    resolved = path.resolve()
    home, here = Path.home().resolve(), Path.cwd().resolve()
    if {path, resolved} & SYSTEM or any(known == resolved or resolved in known.parents for known in (home, here)):
        raise ConfigError(f"{str(root)!r} is no folder to be emptied: name one that holds nothing else", key="root")
    if ".." in root.parts:
        raise ConfigError(f"{str(root)!r} must not climb with '..': write the folder out", key="root")
    return path


def _beside(archive: Path, root: Path) -> Path:
    path = archive.absolute()
    if path.resolve() == root.resolve() or root.resolve() in path.resolve().parents:
        raise ConfigError(f"archive {str(archive)!r} lies inside of {str(root)!r}, which is emptied", key="archive")
    return path


def _positive(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"limit and batch must be 1 or more, not {value!r}", key="limit")
    return value
