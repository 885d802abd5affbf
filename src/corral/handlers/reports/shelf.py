"""Where documents are kept until they expire: the port, and a folder with a table of what is in it."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from msgspec import Struct, structs

from corral.handlers.kit.database import Database
from corral.handlers.reports.links import ID, Links
from corral.handlers.reports.output.formats import FORMATS, Format
from corral.handlers.reports.output.render import Rendered
from corral.handlers.reports.tables import SCHEMA, documents
from corral.timing import Clock, Millis, now_ms

DAY = 86_400_000
#: A file that no row tells of belongs to a job that died before it wrote one; its next attempt is over by then.
ORPHAN_AGE = DAY


class Entry(Struct, frozen=True, kw_only=True):
    """What a document is about. `run` is the job it comes from: the same in every attempt."""

    run: str
    report_id: str
    kind: str
    about: str = ""
    requested_by: str = ""
    title: str
    period: str
    first_day: date
    last_day: date
    filename: str


class Stored(Struct, frozen=True, kw_only=True):
    """A document on the shelf."""

    id: str
    run: str
    report_id: str
    kind: str
    about: str
    requested_by: str
    title: str
    period: str
    first_day: date
    last_day: date
    format: Format
    filename: str
    bytes: int
    sha256: str
    created_at: Millis
    expires_at: Millis


class Swept(Struct, frozen=True, rename="camel"):
    """What a sweep removed, or would have."""

    documents: int
    bytes: int
    orphans: int
    dry_run: bool = False


class Shelf(Protocol):
    """Keeps documents."""

    async def put(self, entry: Entry, rendered: Rendered) -> Stored:
        """Keep a document, in place of the one that the same job made in that format."""
        ...

    async def find(self, id: str) -> Stored | None:
        """Look a document up; None when there is none, or it has expired."""
        ...

    async def read(self, stored: Stored) -> bytes | None:
        """A document's bytes; None when they are gone."""
        ...

    def link(self, stored: Stored) -> str | None:
        """An address from which a document can be fetched for a while; None when nothing serves them."""
        ...

    async def sweep(self, *, limit: int = 10_000, dry_run: bool = False) -> Swept:
        """Remove what has expired."""
        ...


class FolderShelf:
    """Files in a folder, and a table that says what they are. Names of files are made here, never of what a job says.

    Args:
        links: makes addresses; without one there are none.
        keep_days: how long a document is kept.
        link_hours: how long an address holds; never longer than the document is kept.
    """

    def __init__(
        self, folder: Path, database: Database, *, links: Links | None = None, keep_days: float = 30,
        link_hours: float = 168, clock: Clock = now_ms,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.links = links
        self._database = database
        self._keep_ms = round(keep_days * DAY)
        self._link_ms = round(link_hours * 3_600_000)
        self.clock = clock
        database.needs(SCHEMA)

    def __repr__(self) -> str:
        return f"<FolderShelf {self.folder}>"

    async def put(self, entry: Entry, rendered: Rendered) -> Stored:
        """Write the file, then its row. A second time replaces both."""
        id = hashlib.sha256(f"{entry.run}\n{rendered.format}".encode()).hexdigest()[:40]
        now = self.clock()
        stored = Stored(
            **structs.asdict(entry), id=id, format=rendered.format, bytes=len(rendered.body),
            sha256=hashlib.sha256(rendered.body).hexdigest(), created_at=now, expires_at=now + self._keep_ms,
        )  # fmt: skip
        await asyncio.to_thread(_write, self._path(stored.id, stored.format), rendered.body, now)
        async with self._database.begin() as connection:
            await self._database.upsert(connection, documents, [structs.asdict(stored)], key=["run", "format"])
        return stored

    async def find(self, id: str) -> Stored | None:
        """Look a document up."""
        if not ID.fullmatch(id):
            return None
        query = sa.select(documents).where(documents.c.id == id, documents.c.expires_at > self.clock())
        found = await self._rows(query)
        return found[0] if found else None

    async def of(self, about: str, *, kind: str | None = None, limit: int = 50) -> Sequence[Stored]:
        """The documents about an organization, project or pipeline that have not expired, newest first."""
        query = sa.select(documents).where(documents.c.about == about, documents.c.expires_at > self.clock())
        if kind is not None:
            query = query.where(documents.c.kind == kind)
        return await self._rows(query.order_by(documents.c.created_at.desc(), documents.c.id).limit(limit))

    async def read(self, stored: Stored) -> bytes | None:
        """A document's bytes, as long as they are those that were written."""
        body = await asyncio.to_thread(_read, self._path(stored.id, stored.format))
        return body if body is not None and hashlib.sha256(body).hexdigest() == stored.sha256 else None

    def link(self, stored: Stored) -> str | None:
        """A signed address, which holds for a while from now on."""
        if self.links is None:
            return None
        return self.links.make(stored.id, min(self.clock() + self._link_ms, stored.expires_at))

    async def sweep(self, *, limit: int = 10_000, dry_run: bool = False) -> Swept:
        """Remove expired documents, oldest first, and files of which no row tells. Twice is as good as once.

        A file goes before its row, so that one that could not be removed is found again.
        """
        now = self.clock()
        expired = await self._rows(
            sa.select(documents).where(documents.c.expires_at <= now).order_by(documents.c.expires_at).limit(limit)
        )
        if not dry_run:
            await asyncio.to_thread(_remove, [self._path(one.id, one.format) for one in expired])
            await self._forget([one.id for one in expired])
        orphans = await self._orphans(now, limit)
        if not dry_run:
            await asyncio.to_thread(_remove, orphans)
        return Swept(len(expired), sum(one.bytes for one in expired), len(orphans), dry_run)

    async def _forget(self, ids: Sequence[str]) -> None:
        for start in range(
            0, len(ids), 500
        ):  # SQLite takes 32,766 values in a statement, and one after the other is as fast
            async with self._database.begin() as connection:
                await connection.execute(sa.delete(documents).where(documents.c.id.in_(ids[start : start + 500])))

    async def _orphans(self, now: Millis, limit: int) -> list[Path]:
        old = await asyncio.to_thread(_old_files, self.folder, now - ORPHAN_AGE, limit)
        known: set[str] = set()
        for start in range(0, len(old), 500):
            some = [path.name.partition(".")[0] for path in old[start : start + 500]]
            async with self._database.connect() as connection:
                known |= set(
                    (await connection.execute(sa.select(documents.c.id).where(documents.c.id.in_(some)))).scalars()
                )
        return [path for path in old if path.name.partition(".")[0] not in known]

    async def _rows(self, query: sa.Select[tuple[object, ...]]) -> list[Stored]:
        async with self._database.connect() as connection:
            return [Stored(**row) for row in (await connection.execute(query)).mappings()]

    def _path(self, id: str, form: Format) -> Path:
        assert ID.fullmatch(id)
        assert form in FORMATS
        return self.folder / id[:2] / f"{id}.{form}"


# -- files -------------------------------------------------------------------------------------------------------------


def _write(path: Path, body: bytes, now: Millis) -> None:
    """Write a file so that it is there as a whole or not at all, also after a power cut; nobody else may read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.utime(name, (now / 1000, now / 1000))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> bytes | None:
    try:
        # A link in place of the file is not ours: nothing here makes one.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read()
    except OSError:
        return None


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _old_files(folder: Path, before: Millis, limit: int) -> list[Path]:
    """Our own files that were written before a moment; nothing else in the folder is looked at, no link followed."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        shelves = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    found: list[Path] = []
    for shelf in shelves:
        with os.scandir(shelf) as entries:
            found += [Path(entry.path) for entry in entries if _is_ours(entry) and _written(entry) < before]
        if len(found) >= limit:
            break
    return found[:limit]


def _is_ours(entry: os.DirEntry[str]) -> bool:
    name, _, rest = entry.name.partition(".")
    ours = ID.fullmatch(name) is not None and (rest in FORMATS or rest.endswith(".part"))
    return ours and entry.is_file(follow_symlinks=False)


def _written(entry: os.DirEntry[str]) -> float:
    return entry.stat(follow_symlinks=False).st_mtime * 1000
