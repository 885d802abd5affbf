"""What can be backed up: SQLite files while they are written to, PostgreSQL databases, folders."""

import asyncio
import os
import re
import signal
import sqlite3
import tarfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import ClassVar, Protocol

import sqlalchemy as sa
from pydantic import SecretStr

from corral.errors import ConfigError
from corral.handlers.backup.errors import BackupError

#: Raises when the job is to stop.
Check = Callable[[], None]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
#: Pages of a database between two looks at whether to stop: 16 MB.
PAGES = 4_096


class Source(Protocol):
    """Something that can be written into one file."""

    @property
    def name(self) -> str:
        """How its backups are called: letters, digits, `-` and `_`."""
        ...

    @property
    def suffix(self) -> str:
        """How its files end."""
        ...

    @property
    def packed(self) -> bool:
        """Whether its files are compressed already."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether what does not change stays in its place, so that a difference is small."""
        ...

    async def dump(self, target: Path, check: Check) -> None:
        """Write all of it, as it is at one moment, into a new file. Raises: BackupError."""
        ...

    async def verify(self, file: Path) -> None:
        """Whether such a file can be restored from. Raises: BackupError."""
        ...


class SqliteSource:
    """A SQLite file. It is copied while others write to it, and holds nobody up."""

    suffix: ClassVar[str] = ".sqlite"
    packed: ClassVar[bool] = False
    blocks: ClassVar[bool] = True

    def __init__(self, path: str | Path, *, name: str | None = None) -> None:
        self.path = Path(path).absolute()
        self.name = checked_name(name or _slug(self.path.stem))

    def __repr__(self) -> str:
        return f"<SqliteSource {self.name}: {self.path}>"

    async def dump(self, target: Path, check: Check) -> None:
        """As `Source.dump`."""
        await asyncio.to_thread(self._copy, target, check)

    def _copy(self, target: Path, check: Check) -> None:
        def step(status: int, remaining: int, total: int) -> None:
            check()

        try:
            with closing(_read_only(self.path)) as source, closing(sqlite3.connect(target)) as copy:
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it is this moment's
                source.backup(copy, pages=PAGES, progress=step)
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a journal beside it
        except sqlite3.Error as error:
            raise BackupError(f"database {str(self.path)!r} cannot be backed up: {error}") from None

    async def verify(self, file: Path) -> None:
        """As `Source.verify`: every page, every index."""
        await asyncio.to_thread(_check_integrity, file)


class FolderSource:
    """A folder with its files. Links are kept as links, and not followed."""

    suffix: ClassVar[str] = ".tar"
    packed: ClassVar[bool] = False
    blocks: ClassVar[bool] = False

    def __init__(self, path: str | Path, *, name: str | None = None) -> None:
        self.path = Path(path).absolute()
        self.name = checked_name(name or _slug(self.path.name))

    def __repr__(self) -> str:
        return f"<FolderSource {self.name}: {self.path}>"

    async def dump(self, target: Path, check: Check) -> None:
        """As `Source.dump`, though a folder has no one moment: files that change meanwhile are as they are read."""
        await asyncio.to_thread(self._pack, target, check)

    def _pack(self, target: Path, check: Check) -> None:
        def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            check()
            return member if member.isfile() or member.isdir() or member.issym() else None

        try:
            with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
                archive.add(self.path, arcname=".", filter=chosen)
        except (OSError, tarfile.TarError) as error:
            raise BackupError(f"folder {str(self.path)!r} cannot be backed up: {error}") from None

    async def verify(self, file: Path) -> None:
        """As `Source.verify`: every entry can be read to its end."""
        await asyncio.to_thread(_check_archive, file)


class PostgresSource:
    """A PostgreSQL database, by `pg_dump` in its own format. The password never stands on a command line."""

    suffix: ClassVar[str] = ".dump"
    packed: ClassVar[bool] = True
    blocks: ClassVar[bool] = False

    def __init__(self, url: str | SecretStr, *, name: str | None = None, pg_dump: str = "pg_dump") -> None:
        text = url.get_secret_value() if isinstance(url, SecretStr) else url
        self._url = sa.make_url(text)
        if self._url.get_backend_name() not in ("postgresql", "postgres") or not self._url.database:
            raise ConfigError("a PostgreSQL database is named by postgresql://user@host/name", key="url")
        self.name = checked_name(name or _slug(self._url.database))
        self._program = pg_dump

    def __repr__(self) -> str:
        return f"<PostgresSource {self.name}>"

    async def dump(self, target: Path, check: Check) -> None:
        """As `Source.dump`."""
        host = self._url.query.get("host", self._url.host or "")
        facts = {
            "host": str(host), "port": str(self._url.port or ""), "username": self._url.username or "",
            "dbname": self._url.database or "",
        }  # fmt: skip
        options = [f"--{key}={value}" for key, value in facts.items() if value]
        await self._run(
            self._program, "--format=custom", "--no-password", "--no-owner", f"--file={target}", *options
        )  # fmt: skip

    async def verify(self, file: Path) -> None:
        """As `Source.verify`: its table of contents can be read."""
        restore = str(Path(self._program).with_name("pg_restore")) if "/" in self._program else "pg_restore"
        await self._run(restore, "--list", str(file))

    async def _run(self, *command: str) -> None:
        password = self._url.password
        environment = {**os.environ, "PGPASSWORD": str(password)} if password else dict(os.environ)
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, env=environment, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise BackupError(
                f"{command[0]!r} cannot be run ({error.strerror}): "
                "install PostgreSQL's client programs, or set BACKUP_PG_DUMP"
            ) from None
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:  # the job was told to stop: the program and what it has started end with it
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise BackupError(f"{Path(command[0]).name} failed: {_said(said, password)}")


def source_of(url: str | SecretStr, *, name: str | None = None, pg_dump: str = "pg_dump") -> Source:
    """The source that a database URL means. Raises: ConfigError."""
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    if text.startswith("sqlite:///"):
        return SqliteSource(text.removeprefix("sqlite:///").partition("?")[0], name=name)
    return PostgresSource(url, name=name, pg_dump=pg_dump)


def checked_name(name: str) -> str:
    """The name, when it can be part of a file's. Raises: ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"the name of a source has small letters, digits, - and _, not {name!r}", key="name")
    return name


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:64] or "source"


def _read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)


def _check_integrity(file: Path) -> None:
    try:
        with closing(_read_only(file)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.Error as error:
        found = [str(error)]
    if found != ["ok"]:
        raise BackupError(f"the copy of a database is damaged: {'; '.join(found)}")


def _check_archive(file: Path) -> None:
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                while content is not None and content.read(1 << 20):
                    pass
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"the copy of a folder is damaged: {error}") from None


def _said(text: bytes, password: str | Sequence[str] | None) -> str:
    """What a program said, fit for a log: its last lines in one, without the password."""
    line = " ".join(text.decode("utf-8", "replace").split())[-500:]
    return line.replace(str(password), "…") if password else line
