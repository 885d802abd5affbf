"""Making backups and looking after them."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NotRequired, TypedDict

from corral.errors import JobCancelledError
from corral.handlers.backup.errors import BackupError
from corral.handlers.backup.pack import pack, pack_difference
from corral.handlers.backup.payload import MakeBackup, VerifyBackups
from corral.handlers.backup.shelf import Keep, Manifest, Shelf, backup_id
from corral.handlers.backup.sources import Check, Source
from corral.signals import Discard
from corral.timing import Clock
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.backup")


class OneBackup(TypedDict):
    """One backup, in the result of a job."""

    id: str
    source: str
    type: str
    file: str
    size: int  #: of what was backed up, in bytes
    bytes: int  #: of the file
    sha256: str  #: of what was backed up
    already: NotRequired[bool]  #: an earlier attempt made it


class Made(TypedDict):
    """The result of `daily-backup`."""

    backups: list[OneBackup]
    removed: list[str]  #: ids of backups that have had their time


class Verified(TypedDict):
    """The result of `verify-backups`."""

    verified: list[str]  #: ids


class Backups:
    """What the jobs use."""

    def __init__(self, shelf: Shelf | None, sources: Sequence[Source], keep: Keep, clock: Clock) -> None:
        self._shelf = shelf
        self._sources = {source.name: source for source in sources}
        self._keep = keep
        self._clock = clock

    async def make(self, ctx: JobContext, data: MakeBackup) -> Made:
        """Back up each source, verify that it can be restored, and remove what has had its time.

        Names are made of the job's, so a later attempt finds what an earlier one made. One source that fails does not
        keep the others from being backed up.

        Raises:
            Discard: nothing is configured. BackupError: not all could be backed up.
        """
        shelf, chosen = self._chosen(data.only)
        await asyncio.to_thread(shelf.open)
        at = int(ctx.scheduled_for.timestamp() * 1000) if ctx.scheduled_for else ctx.job.created_at
        mark = hashlib.sha256(f"{ctx.queue}/{ctx.id}/{ctx.job.created_at}".encode("utf-8", "backslashreplace"))
        made: Made = {"backups": [], "removed": []}
        failed = []
        for number, source in enumerate(chosen, 1):
            id = backup_id(source.name, at, mark.hexdigest()[:8])
            try:
                made["backups"].append(await self._one(shelf, source, data.type, id, at))
            except (BackupError, OSError) as error:
                failed.append(f"{source.name}: {error}")
                await ctx.log(failed[-1])
            else:
                made["removed"] += await asyncio.to_thread(self._clear, shelf, source.name)
            await ctx.progress(100 * number // len(chosen))
        if failed:
            raise BackupError(f"{len(failed)} of {len(chosen)} could not be backed up: {'; '.join(failed)}")
        return made

    async def verify(self, ctx: JobContext, data: VerifyBackups) -> Verified:
        """Unpack backups and look whether they are what they were. It only reads: twice is as good as once.

        Raises:
            Discard: nothing is configured. BackupError: a backup is damaged, or a source has none.
        """
        shelf, chosen = self._chosen(data.only)
        verified, failed = list[str](), list[str]()
        for number, source in enumerate(chosen, 1):
            there = await asyncio.to_thread(shelf.all, source.name)
            if not there:
                failed.append(f"{source.name} has no backup")
            for manifest in there if data.every else there[:1]:
                try:
                    await self._look(shelf, source, manifest)
                    verified.append(manifest.id)
                except (BackupError, OSError) as error:
                    failed.append(str(error))
            await ctx.progress(100 * number // len(chosen))
        for line in failed:
            await ctx.log(line)
        if failed:
            raise BackupError("; ".join(failed)[:1_000])
        return {"verified": verified}

    # -- one backup ----------------------------------------------------------------------------------------------------

    async def _one(self, shelf: Shelf, source: Source, kind: str, id: str, at: int) -> OneBackup:
        known = await asyncio.to_thread(shelf.get, id)
        if known is not None:
            return {**_told(known), "already": True}
        stop = threading.Event()
        raw, packed, back = shelf.partial(), shelf.partial(), shelf.partial()

        def check() -> None:
            if stop.is_set():
                raise JobCancelledError("the backup was told to stop")

        try:
            await source.dump(raw, check)
            await source.verify(raw)
            manifest = await asyncio.to_thread(_packed, shelf, source, kind, (id, at), raw, packed, check)
            await asyncio.to_thread(shelf.unpack, manifest, back, file=packed)  # what cannot be restored is no backup
            await asyncio.to_thread(shelf.put, packed, manifest)
        finally:
            stop.set()  # a thread cannot be stopped from outside: it looks at every block
            for path in (raw, packed, back):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        logger.info("Backup %s of %s: %s", manifest.type, source.name, manifest.file)
        return _told(manifest)

    async def _look(self, shelf: Shelf, source: Source, manifest: Manifest) -> None:
        back = shelf.partial()
        try:
            await asyncio.to_thread(shelf.unpack, manifest, back)
            await source.verify(back)
        finally:
            back.unlink(missing_ok=True)

    def _clear(self, shelf: Shelf, source: str) -> list[str]:
        outlived = shelf.outlived(source, self._keep, self._clock())
        for manifest in outlived:
            shelf.remove(manifest)
        return [manifest.id for manifest in outlived]

    def _chosen(self, only: Sequence[str]) -> tuple[Shelf, list[Source]]:
        if self._shelf is None:
            raise Discard("nothing says where backups go: set BACKUP_DIR, or give bundle(shelf=…)")
        unknown = [name for name in only if name not in self._sources]
        if unknown or not self._sources:
            there = (
                ", ".join(self._sources) or "none: set BACKUP_DATABASE or BACKUP_FOLDERS, or give bundle(sources=[…])"
            )
            raise Discard(f"nothing to back up is called {', '.join(unknown) or 'anything'}; there are {there}")
        return self._shelf, [source for name, source in self._sources.items() if name in only or not only]


def _packed(
    shelf: Shelf, source: Source, kind: str, which: tuple[str, int], raw: Path, target: Path, check: Check
) -> Manifest:
    """Compress a dump; for an incremental backup what is different from the last full one, where there is one."""
    id, at = which
    bases = [one for one in shelf.all(source.name) if one.type == "full" and one.compressed]
    if kind == "incremental" and source.blocks and bases:
        base = bases[0]
        packed = pack_difference(raw, shelf.folder / base.file, base.packed.sha256, target, check=check)
        name = f"{id}.diff{source.suffix}.gz"
        return Manifest(
            id=id, source=source.name, type="incremental", file=name, at=at, packed=packed, compressed=True,
            base=base.id,
        )  # fmt: skip
    packed = pack(raw, target, compress=not source.packed, check=check)
    name = f"{id}.full{source.suffix}{'' if source.packed else '.gz'}"
    return Manifest(
        id=id, source=source.name, type="full", file=name, at=at, packed=packed, compressed=not source.packed
    )


def _told(manifest: Manifest) -> OneBackup:
    return {
        "id": manifest.id, "source": manifest.source, "type": manifest.type, "file": manifest.file,
        "size": manifest.packed.size, "bytes": manifest.packed.packed_size, "sha256": manifest.packed.sha256,
    }  # fmt: skip
