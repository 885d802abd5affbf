"""The folder of backups. It tells by itself what is in it: beside each file lies another that describes it."""

import os
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from corral.errors import ConfigError
from corral.handlers.backup.errors import BackupError
from corral.handlers.backup.pack import Packed, unpack, unpack_difference
from corral.timing import Millis

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}-\d{8}T\d{6}Z-[0-9a-f]{8}")
_DAY_MS = 86_400_000


class Manifest(Struct, frozen=True, kw_only=True):
    """One backup."""

    id: str
    source: str
    type: Literal["full", "incremental"]
    file: str  #: its name in the folder
    at: Millis  #: when it was asked for
    packed: Packed
    compressed: bool
    base: str | None = None  #: the id of the one it is the difference to
    format: int = 1


class Keep(NamedTuple):
    """How many days, weeks and months have a backup left: the newest one of each."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 12


class Shelf:
    """A folder of backups."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()

    def __repr__(self) -> str:
        return f"<Shelf {self.folder}>"

    def open(self) -> None:
        """Make the folder, which nobody else may read, and remove what died runs have left (after a day)."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.folder.glob(".partial-*"):
            with suppress(FileNotFoundError):
                if datetime.now(UTC).timestamp() - path.lstat().st_mtime > 86_400:
                    path.unlink()

    def partial(self) -> Path:
        """A path for something that is not finished."""
        return self.folder / f".partial-{secrets.token_hex(8)}"

    def all(self, source: str | None = None) -> list[Manifest]:
        """What is there, the newest first. A description that cannot be read is passed over."""
        found = []
        for path in self.folder.glob("*.json"):
            with suppress(msgspec.DecodeError, FileNotFoundError):
                manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
                if _ID.fullmatch(manifest.id) and manifest.id == path.stem and source in (None, manifest.source):
                    found.append(manifest)
        return sorted(found, key=lambda one: (-one.at, one.id))

    def get(self, id: str) -> Manifest | None:
        """The backup of this id."""
        return next((one for one in self.all() if one.id == id), None)

    def put(self, partial: Path, manifest: Manifest) -> None:
        """Take a finished file in: first the file, then its description, each whole or not at all."""
        os.replace(partial, self.folder / manifest.file)
        described = self.partial()
        described.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
        os.replace(described, self.folder / f"{manifest.id}.json")
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, manifest: Manifest) -> None:
        """Remove a backup: first its description, so that nobody counts on it."""
        for name in (f"{manifest.id}.json", manifest.file):
            (self.folder / Path(name).name).unlink(missing_ok=True)

    def outlived(self, source: str, keep: Keep, now: Millis) -> list[Manifest]:
        """Backups of a source that are not kept any more."""
        there = self.all(source)
        return [one for one in there if one.id not in kept(there, keep, now)]

    def restore(self, id: str, target: str | Path) -> Manifest:
        """Write what a backup holds into a new file; `id` may also be the name of a source, for its newest one.

        Raises:
            BackupError: there is none, or it is damaged. FileExistsError: `target` is there already.
        """
        manifest = self.get(id) or next(iter(self.all(id)), None)
        if manifest is None:
            raise BackupError(f"there is no backup {id!r} in {self.folder}")
        target = Path(target)
        if target.exists():
            raise FileExistsError(f"{target} is there already: a backup is restored into a new file")
        partial = self.partial()
        try:
            self.unpack(manifest, partial)
            _copy(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return manifest

    def unpack(self, manifest: Manifest, target: Path, *, file: Path | None = None) -> None:
        """Write what a backup holds into a new file. `file` is where it lies, while it has not its name yet.

        Raises:
            BackupError: it is damaged, or what it is the difference to.
        """
        file = file or self.folder / Path(manifest.file).name
        if manifest.base is None:
            unpack(file, target, manifest.packed, compressed=manifest.compressed)
            return
        base = self.get(manifest.base)
        if base is None:
            raise BackupError(f"backup {manifest.id} is the difference to {manifest.base}, which is gone")
        before = self.partial()
        try:
            self.unpack(base, before)
            unpack_difference(file, before, base.packed.sha256, target, manifest.packed)
        finally:
            before.unlink(missing_ok=True)


def kept(backups: Sequence[Manifest], keep: Keep, now: Millis) -> set[str]:
    """Ids of those that stay: the newest of each day, week and month, all of the last 24 hours, and their bases."""
    newest_first = sorted(backups, key=lambda one: (-one.at, one.id))
    stay = {one.id for one in newest_first if now - one.at < _DAY_MS} | {one.id for one in newest_first[:1]}
    stay |= _newest_of_each(newest_first, lambda at: at.date(), keep.daily)
    stay |= _newest_of_each(newest_first, lambda at: at.isocalendar()[:2], keep.weekly)
    stay |= _newest_of_each(newest_first, lambda at: (at.year, at.month), keep.monthly)
    return stay | {one.base for one in backups if one.id in stay and one.base is not None}


def backup_id(source: str, at: Millis, mark: str) -> str:
    """An id that says what it is of and when."""
    made = f"{source}-{datetime.fromtimestamp(at / 1000, UTC):%Y%m%dT%H%M%SZ}-{mark}"
    if not _ID.fullmatch(made):
        raise ConfigError(f"{made!r} cannot be the id of a backup", key="name")
    return made


def _newest_of_each(newest_first: Iterable[Manifest], stretch: Callable[[datetime], object], count: int) -> set[str]:
    found: dict[object, str] = {}
    for one in newest_first:
        found.setdefault(stretch(datetime.fromtimestamp(one.at / 1000, UTC)), one.id)
    return set(list(found.values())[:count])


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as before, open(target, "xb") as after:
        while block := before.read(1 << 20):
            after.write(block)
        after.flush()
        os.fsync(after.fileno())
