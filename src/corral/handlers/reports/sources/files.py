"""The files that other tools leave behind, and reading them without trusting them."""

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar
from xml.etree.ElementTree import Element

from msgspec import Struct

from corral.errors import CorralError
from corral.handlers.kit.extra import need
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.source import Request
from corral.handlers.reports.words import line
from corral.signals import Discard

T = TypeVar("T")
#: One file, and how many of them: a coverage file of a large project has 10 MB.
MAX_BYTES = 64_000_000
MAX_FILES = 400
#: What may name a folder: no separators, nothing that begins with a dot, no control characters.
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+=-]{0,199}")


class InputFileError(CorralError):
    """A file that cannot be read as what it should be. `file` names it."""

    def __init__(self, file: str, reason: str) -> None:
        self.file = file
        super().__init__(f"{line(file)[:120]} cannot be read: {reason}")


class InputFile(Struct, frozen=True, kw_only=True):
    """A file as a tool wrote it. `at` says when, in milliseconds since the epoch."""

    name: str
    content: bytes
    at: int

    def __repr__(self) -> str:
        return f"<InputFile {self.name} of {len(self.content):,} bytes>"


class Inputs(Protocol):
    """Where such files are."""

    async def files(self, request: Request[ReportPayload]) -> Sequence[InputFile]:
        """The files for a report, in any order. Those of the period and before it."""
        ...


class FolderInputs:
    """A folder with a folder for each project (or whatever the report is about), and the files in that.

    When a file was written is when the file system says. Links are not followed, and an id names a folder right below
    `root` or nothing.
    """

    def __init__(self, root: Path | str, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        self._root = Path(root)
        self._max_bytes = max_bytes
        self._max_files = max_files

    async def files(self, request: Request[ReportPayload]) -> Sequence[InputFile]:
        """The newest files that were written before the period ended.

        Raises:
            Discard: an id that cannot name a folder.
        """
        if not _FOLDER.fullmatch(request.about):
            raise Discard(f"{request.about[:80]!r} cannot name a folder of files")
        return await asyncio.to_thread(self._read, self._root / request.about, request.period.end_ms)

    def _read(self, folder: Path, before: int) -> list[InputFile]:
        found = []
        for path in _regular(folder):
            at = int(path.stat(follow_symlinks=False).st_mtime * 1000)
            if at < before:
                found.append((at, path))
        found.sort(key=lambda item: (item[0], item[1].name), reverse=True)
        return [self._one(path, at) for at, path in found[: self._max_files]]

    def _one(self, path: Path, at: int) -> InputFile:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            content = file.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            raise InputFileError(path.name, f"it has more than {self._max_bytes:,} bytes")
        return InputFile(name=path.name, content=content, at=at)


def _regular(folder: Path) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".")
        ]


def read_all(files: Sequence[InputFile], read: Callable[[InputFile], T]) -> tuple[list[tuple[InputFile, T]], list[str]]:
    """Read files, oldest first: what they hold, and what to say about those that cannot be read.

    Raises:
        Discard: there are files, and none can be read.
    """
    good: list[tuple[InputFile, T]] = []
    bad: list[str] = []
    for file in sorted(files, key=lambda one: (one.at, one.name)):
        try:
            good.append((file, read(file)))
        except InputFileError as error:
            bad.append(str(error))
    if bad and not good:
        raise Discard(f"no file can be read; {bad[-1]}")
    return good, bad


def parse_xml(file: InputFile) -> Element:
    """The root of an XML file. Entities are refused, and nothing outside the file is looked at.

    Raises:
        InputFileError: it is not XML, or has entities. ConfigError: defusedxml is missing.
    """
    need("reports", "defusedxml")
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        # The formats that are read here name their DTD; it is neither fetched nor wanted.
        root: Element = fromstring(file.content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InputFileError(file.name, f"not XML that is safe to read ({line(str(error))[:120]})") from None
    return root


def local(tag: object) -> str:
    """A tag without its namespace."""
    return str(tag).rpartition("}")[2]


def number(text: str | None, default: float = 0.0) -> float:
    """A number that a tool wrote; `default` when it is none."""
    try:
        value = float((text or "").replace(",", "").rstrip("%"))
    except ValueError:
        return default
    return value if abs(value) < 1e15 else default


def whole(text: str | None) -> int:
    """A count that a tool wrote; 0 when it is none."""
    return max(0, int(number(text)))
