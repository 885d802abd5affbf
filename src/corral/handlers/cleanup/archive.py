"""The archive: a compressed copy of what is removed, in a folder of its own, complete before the original goes."""

import gzip
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Archive:
    """An open archive folder. Its files are named after where the originals lay and what they were."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def keep(self, parent: int, name: str, path: str, facts: os.stat_result) -> str:
        """Put a copy of a file in; answers the copy's name.

        The same file gets the same name, so a second run replaces what a first one left.

        Raises:
            OSError: it cannot be read or written, or it changed meanwhile; then nothing is in the archive.
        """
        with open(os.open(name, _READ, dir_fd=parent), "rb") as source:
            found = os.fstat(source.fileno())
            if not stat.S_ISREG(found.st_mode) or _identity(found) != _identity(facts):
                raise OSError(0, "it changed while it was being archived")
            target = copy_name(path, facts)
            self.write(target, source, facts.st_mtime_ns // 1_000_000_000)
            if _identity(os.fstat(source.fileno())) != _identity(facts):
                os.unlink(target, dir_fd=self._handle)
                raise OSError(0, "it changed while it was being archived")
        return target

    def write(self, target: str, source: BinaryIO, mtime: int) -> None:
        """Compress a stream into a file of the archive: whole, and on the disk, or not at all."""
        partial = f".{secrets.token_hex(8)}.part"
        try:
            with open(os.open(partial, _NEW, 0o640, dir_fd=self._handle), "wb") as raw:
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=mtime) as packed:
                    shutil.copyfileobj(source, packed, 1 << 20)
                raw.flush()
                os.fsync(raw.fileno())
            os.replace(partial, target, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            os.utime(target, (mtime, mtime), dir_fd=self._handle)
            os.fsync(self._handle)
        finally:
            with suppress(FileNotFoundError):  # there only when something went wrong
                os.unlink(partial, dir_fd=self._handle)


@contextmanager
def opened(folder: Path | None, *, dry_run: bool = False) -> Iterator[Archive | None]:
    """Open an archive, and make its folder where it is missing; None when there is none, or nothing is to be kept."""
    if folder is None or dry_run:
        yield None
        return
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        yield Archive(handle)
    finally:
        os.close(handle)


def copy_name(path: str, facts: os.stat_result) -> str:
    """What a file is called in the archive: readable, and another name for every file and every state of it."""
    mark = hashlib.sha256(f"{path}\0{facts.st_mtime_ns}\0{facts.st_size}".encode("utf-8", "surrogateescape"))
    # File systems take 255 bytes.
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', path)[-150:].lstrip('.-')}-{mark.hexdigest()[:16]}.gz"


def _identity(facts: os.stat_result) -> tuple[int, int, int, int]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
