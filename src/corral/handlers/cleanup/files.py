"""Removing old files below a folder, by handles of folders only.

A path is walked by the kernel anew each time it is used, and whoever may write in a folder can put a link where a
folder was a moment ago. So no path is used below the root: every folder is opened from the handle of its parent, with
links refused, and every file is looked at and removed by its name in an open folder. What a name then refers to cannot
lie anywhere else.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from corral.errors import ConfigError
from corral.handlers.cleanup.archive import Archive, opened
from corral.handlers.cleanup.outcome import Tally
from corral.handlers.cleanup.rules import FileRule

#: Folders within folders. Each level holds a handle, of which a process has 1,024 as a rule.
DEEPEST = 64
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
#: Not on Windows.
_POSSIBLE = os.open in os.supports_dir_fd and os.scandir in os.supports_fd and hasattr(os, "O_NOFOLLOW")


class Order(NamedTuple):
    """How one sweep is to go."""

    rule: FileRule
    before_ms: int  #: files last changed before are old
    limit: int
    dry_run: bool
    check: Callable[[], None]  #: raises when the job is to stop
    say: Callable[[str], None]  #: a line for the job's log


def sweep(order: Order) -> Tally:
    """Remove what the rule means. A folder that is not there is clean.

    Raises:
        ConfigError: the root is a link or no folder, or the system cannot open files by the handle of a folder.
    """
    tally = Tally()
    root = _open_root(order.rule)
    if root is None:
        return tally
    with _closing(root), opened(order.rule.archive, dry_run=order.dry_run) as archive:
        _Sweep(order, tally, archive, os.fstat(root).st_dev).folder(root, "", 0)
    return tally


def _open_root(rule: FileRule) -> int | None:
    if not _POSSIBLE:
        raise ConfigError(
            "files cannot be cleaned up safely on this system: it does not open them by folder", key="root"
        )
    try:
        return os.open(rule.root, _FOLDER)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"{str(rule.root)!r} cannot be cleaned up, it is a link or no folder ({error.strerror}): "
            "name the folder itself", key="root",
        ) from None  # fmt: skip


class _Sweep:
    """One walk. Not reused."""

    def __init__(self, order: Order, tally: Tally, archive: Archive | None, device: int) -> None:
        self.order = order
        self.rule = order.rule
        self.tally = tally
        self.archive = archive
        self.device = device

    def folder(self, handle: int, path: str, depth: int) -> bool:
        """Clean one open folder; answers whether nothing is left in it."""
        empty = True
        with os.scandir(handle) as names:
            for entry in names:
                self.order.check()
                if self.tally.removed >= self.order.limit:
                    self.tally.more = True
                    return False
                empty &= self.entry(handle, entry.name, f"{path}{entry.name}", depth)
        return empty

    def entry(self, parent: int, name: str, path: str, depth: int) -> bool:
        """Look at one name; answers whether it is gone (or, in a dry run, would be)."""
        try:
            facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                return self.subfolder(parent, name, path, depth, facts)
            # Links, sockets, pipes and devices stay: none of them takes room.
            return stat.S_ISREG(facts.st_mode) and self.file(parent, name, path, facts)
        except FileNotFoundError:
            return True  # somebody else was faster
        except OSError as error:
            self.tally.failed += 1
            if self.tally.failed <= 20:
                self.order.say(f"cannot remove {path!r}: {error.strerror}")
            return False

    def subfolder(self, parent: int, name: str, path: str, depth: int, facts: os.stat_result) -> bool:
        # Another file system below is somebody's mount, not this folder's content.
        if depth >= DEEPEST or facts.st_dev != self.device:
            return False
        handle = os.open(name, _FOLDER, dir_fd=parent)  # fails when a link has taken the folder's place
        with _closing(handle):
            inside = os.fstat(handle)
            if inside.st_dev != self.device or not self.folder(handle, f"{path}/", depth + 1):
                return False
        # Its age is from before the walk: removing a file changes its folder.
        if not self.rule.folders or not self.old(inside) or name in self.rule.keep:
            return False
        if not self.order.dry_run:
            os.rmdir(name, dir_fd=parent)  # fails when something new is in it
        self.tally.folders += 1
        return True

    def file(self, parent: int, name: str, path: str, facts: os.stat_result) -> bool:
        if not self.old(facts) or not self.rule.wants(name):
            return False
        if self.archive is not None:
            self.archive.keep(parent, name, path, facts)
            self.tally.archived += 1
        if self.order.dry_run:
            if self.tally.removed < 20:
                self.order.say(f"would remove {path!r} ({facts.st_size:,} bytes)")
        else:
            os.unlink(name, dir_fd=parent)
        self.tally.removed += 1
        self.tally.bytes += facts.st_size
        return True

    def old(self, facts: os.stat_result) -> bool:
        newest = facts.st_mtime_ns
        if self.rule.by == "changed":
            newest = max(newest, facts.st_ctime_ns)
        return newest // 1_000_000 < self.order.before_ms


@contextmanager
def _closing(handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(handle)
