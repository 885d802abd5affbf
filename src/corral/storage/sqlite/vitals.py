"""How the file is: its version, size and disk."""

import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from corral.storage.sqlite.file import connect
from corral.storage.sqlite.url import SqliteUrl, parse
from corral.storage.vital import Vital, fill, size


def vitals(address: str) -> list[Vital]:
    """What the file at a URL and its disk tell."""
    url = parse(address)
    version = Vital("server", f"SQLite {apsw.sqlite_lib_version()}, in this process")
    if url.memory:
        return [version, Vital("persistence", "in memory: gone with this process")]
    file = Path(url.path)
    parts = [Path(f"{url.path}{suffix}") for suffix in ("", "-wal")]
    taken = sum(part.stat().st_size for part in parts if part.exists())
    disk = shutil.disk_usage(file.resolve().parent)
    safe = url.synchronous == "FULL"
    return [
        version,
        Vital(
            "persistence",
            "every commit waits for the disk" if safe else "a power cut may lose the last moments (synchronous=normal)",
            "" if safe else "leave synchronous=normal out of the URL",
        ),
        *_layout(url),
        *_access(parts),
        fill(
            "disk", f"{size(taken)} in the file, {size(disk.free)} free of {size(disk.total)}", disk.total - disk.free,
            disk.total, "make room, keep finished jobs for a shorter time, or move the file to another disk",
        ),
    ]  # fmt: skip


def _layout(url: SqliteUrl) -> Iterator[Vital]:
    db = connect(url, read_only=True)
    try:
        mode = str(db.pragma("journal_mode"))
    finally:
        db.close()
    fix = "" if mode == "wal" else "something else has switched it off: PRAGMA journal_mode = wal"
    yield Vital("layout", f"journal {mode}" if fix else "write-ahead log: readers do not wait for writers", fix)


def _access(parts: Sequence[Path]) -> Iterator[Vital]:
    """Whether other users of this machine may look at what jobs carry."""
    modes = [part.stat().st_mode for part in parts if part.exists()]
    open_to_all = any(mode & (stat.S_IROTH | stat.S_IWOTH) for mode in modes)
    if open_to_all:
        yield Vital("access", "every user of this machine may read the file", f"chmod o-rwx {parts[0]}*")
    else:
        yield Vital("access", "other users of this machine cannot read the file")
