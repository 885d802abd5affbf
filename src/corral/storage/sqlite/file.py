"""Opening the file: refuse what cannot be trusted, create privately, bring the schema up to date."""

import os
import random
import time
from functools import cache
from importlib.resources import files
from pathlib import Path

import apsw

from corral.errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StorageVersionError,
)
from corral.storage.sqlite.url import SqliteUrl

SCHEMA = 4
#: Before 3.51.3 two connections that reset the write-ahead log at once could lose commits (sqlite.org/wal.html).
OLDEST_SQLITE = 3_051_003
#: Pages in the write-ahead log before they are copied into the file. After its first round the log is written over, and
#: a commit costs 130 µs; while it still grows, the file's new size must reach the disk too, and a commit costs 240 µs.
CHECKPOINT_PAGES = 1_000

#: How often a writer looks whether its file is still in its place: two calls of the system, 3 µs.
LOOK_SECONDS = 1.0

#: Bytes of a write-ahead log with nothing in it.
WAL_HEADER = 32

#: File systems whose locks or shared memory do not work between hosts.
NETWORK = frozenset(
    (
        "nfs nfs4 cifs smb3 smbfs 9p afs ceph glusterfs lustre gpfs beegfs "
        "fuse.sshfs fuse.s3fs fuse.rclone fuse.glusterfs"
    ).split()
)


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system a path lies on, from the text of `/proc/self/mountinfo`; "" when unknown."""
    best, kind = "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        mount = fields[4].encode().decode("unicode_escape")
        inside = mount == "/" or str(path) == mount or str(path).startswith(mount + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
    return kind


def prepare(url: SqliteUrl) -> None:
    """Check the place and create an empty private file if there is none.

    Raises:
        StorageVersionError: a network file system. StorageCorruptError: something that is no SQLite file.
        StorageError: a symbolic link, a directory, or no permission.
    """
    path = Path(os.path.abspath(url.path))
    if not url.network:
        _refuse_network(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink() and not path.exists():
            raise StorageError(f"{url.path} is a dangling symbolic link: a new store is not created through links")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
        except FileExistsError:
            _inspect(path)
        if not os.access(path, os.R_OK | os.W_OK):
            raise StorageError(f"{url.path} cannot be read and written by this user")
    except OSError as error:
        if isinstance(error, StorageError):  # StorageUnavailableError is an OSError too
            raise
        raise StorageError(f"cannot open {url.path}: {error.strerror or error}") from None


def _refuse_network(path: Path) -> None:
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return  # not Linux: nothing to ask
    kind = file_system(path, mounts)
    if kind in NETWORK:
        raise StorageVersionError(
            f"{path} lies on {kind}, where SQLite's locks cannot be relied on and jobs would be lost; use a local "
            "disk, or add ?network=allow to the URL if exactly one host opens the file"
        )


def _inspect(path: Path) -> None:
    """Refuse an existing file that is clearly not a whole SQLite database. An empty one is new."""
    if not path.is_file():
        raise StorageError(f"{path} is not a file")
    size = path.stat().st_size
    head = _head(path) if size else b""
    if not head:  # new; another process may be writing its first page right now
        return
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise StorageCorruptError(f"{path} is not an SQLite database; it was left as it is: choose another path")
    page = int.from_bytes(head[16:18], "big")
    page = 65_536 if page == 1 else page
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size > WAL_HEADER:
        return  # the rest may be in the log, and a checkpoint writes the page count first: SQLite knows better
    # The page count is only valid when the change counters agree (file format, section 1.3.7).
    if head[24:28] == head[92:96] and int.from_bytes(head[28:32], "big") * page > size:
        raise StorageCorruptError(f"{path} is truncated ({size:,} bytes); it was left as it is: restore a backup")


def _head(path: Path) -> bytes:
    """The first 100 bytes, read by SQLite itself.

    Closing any descriptor of a file gives up all the locks that the process has on it, also those of another store or
    of the application's own connection (sqlite.org/howtocorrupt.html, section 2.2). SQLite waits with closing its own.
    """
    try:
        file = apsw.VFSFile("", str(path), [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0])
        try:
            return file.xRead(100, 0)
        finally:
            file.xClose()
    except apsw.Error as error:
        raise translate(error, str(path)) from None


class Place:
    """Which file the store's path leads to. One that is deleted or replaced while it is open would swallow commits.

    Its log counts too: with a new one beside it, other processes would not see what is in ours.
    """

    def __init__(self, path: str) -> None:
        self._paths = (os.path.abspath(path), os.path.abspath(path) + "-wal")
        self._known = [_identity(one) for one in self._paths]
        self._look_at = 0.0

    def check(self) -> None:
        """Look, at most once in LOOK_SECONDS while all is well. Raises: StorageError when it is another file now."""
        if time.monotonic() < self._look_at:
            return
        for path, known in zip(self._paths, self._known, strict=True):
            if known is not None and _identity(path) != known:
                raise StorageError(
                    f"{path} was moved, deleted or replaced while it was open: put it back, or restart what uses it"
                )
        self._look_at = time.monotonic() + LOOK_SECONDS


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Patience:
    """A busy handler that waits in short random steps, so that several processes do not march in step."""

    def __init__(self, busy_ms: int) -> None:
        self.seconds = busy_ms / 1000
        self.none = False  #: set while a transaction is tried on somebody's event loop
        self._started = 0.0

    def __call__(self, tries: int) -> bool:
        """Whether SQLite shall try once more."""
        if tries == 0:
            self._started = time.monotonic()
        if self.none or time.monotonic() - self._started > self.seconds:
            return False
        # A transaction takes 0.3 to 3 ms. Sleeping much longer than that would starve this process.
        time.sleep(random.uniform(0.0001, min(0.0004 * (tries + 1), 0.005)))  # jitter, not a secret
        return True


def connect(url: SqliteUrl, *, read_only: bool = False, patience: Patience | None = None) -> apsw.Connection:
    """A configured connection. Raises: StorageError and its kin, never apsw's own errors."""
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
        raise StorageVersionError(f"SQLite {apsw.sqlite_lib_version()} can lose commits; corral needs 3.51.3 or newer")
    try:
        # Never SQLITE_OPEN_CREATE: `prepare` makes new files, private ones, and a deleted one must not come back empty.
        place = ":memory:" if url.memory else os.path.abspath(url.path)
        db = apsw.Connection(place, flags=apsw.SQLITE_OPEN_READWRITE)
        db.set_busy_handler(patience or Patience(url.busy_ms))
        db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        # Else a statement with `LIMIT ?` is planned anew at each execution: 17 µs instead of 2 for the claim's.
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        if not url.memory:
            _use_log(db, url.busy_ms)
            db.pragma("synchronous", url.synchronous)
            db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            db.pragma("journal_size_limit", 64 * 1024 * 1024)
        db.pragma("cache_size", -16_000)  # 16 MB
        db.pragma("temp_store", "memory")
        if read_only:
            db.pragma("query_only", True)
    except apsw.Error as error:
        raise translate(error, url.path) from None
    return db


def _use_log(db: apsw.Connection, busy_ms: int) -> None:
    """Switch to the write-ahead log, patiently.

    SQLite does not ask the busy handler while it upgrades its lock for that: of five processes that created a file at
    the same moment one was refused at once in 3 of 200 rounds.
    """
    deadline = time.monotonic() + busy_ms / 1000
    while True:
        try:
            db.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.001, 0.005))  # jitter, not a secret


@cache
def _script(name: str) -> str:
    return files("corral.storage.sqlite").joinpath(f"sql/{name}.sql").read_text()


def migrate(db: apsw.Connection, path: str) -> None:
    """Create the tables, bring older ones up to date, or refuse those of a version this code does not understand.

    Raises:
        StorageVersionError: written by a newer corral. StorageCorruptError: damaged.
    """
    try:
        small = db.pragma("page_count") * db.pragma("page_size") < 8_000_000
        if small and (verdict := db.execute("PRAGMA quick_check(1)").fetchall()[0][0]) != "ok":
            raise StorageCorruptError(f"{path} is damaged ({verdict}); it was left as it is: restore a backup")
        if _version(db) in (None, *range(1, SCHEMA)):
            with _Immediate(db):
                if _version(db) is None:  # asked again, here and below: another process may have been faster
                    db.execute(_script("schema"))
                for step in range(2, SCHEMA + 1):
                    if _version(db) == step - 1:
                        db.execute(_script(f"to_{step}"))
        version = _version(db)
    except apsw.Error as error:
        raise translate(error, path) from None
    if not isinstance(version, int) or version > SCHEMA:
        raise StorageVersionError(
            f"{path} was written by a newer corral (schema {version}, this one knows {SCHEMA}): upgrade"
        )


class _Immediate:
    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def _version(db: apsw.Connection) -> object:
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'corral_meta'").fetchone() is None:
        return None
    row = db.execute("SELECT value FROM corral_meta WHERE key = 'schema'").fetchone()
    return row[0] if row else "missing"


def translate(error: apsw.Error, path: str) -> StorageError:
    """corral's error for one of SQLite's."""
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return StorageUnavailableError(f"{path} is locked by another process; it waited in vain: {error}")
        case apsw.FullError():
            return StorageFullError(f"no room left on the disk of {path}; nothing was written")
        case apsw.CorruptError() | apsw.NotADBError() | apsw.FormatError():
            return StorageCorruptError(f"{path} is damaged ({error}); stop the workers and restore a backup")
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.CantOpenError():
            return StorageError(f"{path} cannot be opened or written: {error}")
        case _:
            return StorageUnavailableError(f"{path}: {error}")
