"""How the file is: its version, size and disk."""

import shutil
from pathlib import Path

import apsw

from corral.storage.sqlite.url import parse
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
        fill(
            "disk", f"{size(taken)} in the file, {size(disk.free)} free of {size(disk.total)}", disk.total - disk.free,
            disk.total, "make room, keep finished jobs for a shorter time, or move the file to another disk",
        ),
    ]  # fmt: skip
