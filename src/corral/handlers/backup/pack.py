"""Files of backups: compressed, or only what is different from an earlier one; and back again, every byte checked."""

import gzip
import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from corral.handlers.backup.errors import BackupError

#: What is compared and written at once.
BLOCK = 65_536
_HEAD = struct.Struct(">QI")


class Packed(Struct, frozen=True):
    """What a file of a backup holds."""

    size: int  #: of what was backed up, in bytes
    sha256: str
    packed_size: int  #: of the file
    packed_sha256: str


class _Difference(Struct, frozen=True):
    """The first line of a difference."""

    base: str  #: what it is different from
    size: int
    block: int = BLOCK


def pack(raw: Path, target: Path, *, compress: bool, check: Callable[[], None]) -> Packed:
    """Write a new file with all of `raw`, and flush it to the disk. Raises: OSError."""
    digest = hashlib.sha256()
    with open(raw, "rb") as source, _new(target) as file:
        with _compressed(file) if compress else nullcontext(file) as packed:
            for block in _blocks(source):
                check()
                digest.update(block)
                packed.write(block)
        _flush(file)
    return Packed(raw.stat().st_size, digest.hexdigest(), target.stat().st_size, digest_of(target))


def pack_difference(
    raw: Path, base: Path, base_sha256: str, target: Path, *, check: Callable[[], None]
) -> Packed:  # fmt: skip
    """Write a new file with what of `raw` is different from the compressed file `base`. Raises: OSError."""
    digest = hashlib.sha256()
    with open(raw, "rb") as source, gzip.open(base, "rb") as before, _new(target) as file:
        with _compressed(file) as packed:
            packed.write(msgspec.json.encode(_Difference(base_sha256, raw.stat().st_size)) + b"\n")
            for number, block in enumerate(_blocks(source)):
                check()
                digest.update(block)
                if block != before.read(len(block)):
                    packed.write(_HEAD.pack(number, len(block)))
                    packed.write(block)
        _flush(file)
    return Packed(raw.stat().st_size, digest.hexdigest(), target.stat().st_size, digest_of(target))


def unpack(file: Path, target: Path, packed: Packed, *, compressed: bool) -> None:
    """Write what was backed up into a new file. Raises: BackupError when it is not what it was."""
    digest = hashlib.sha256()
    try:
        with gzip.open(file, "rb") if compressed else open(file, "rb") as source, _new(target) as result:
            for block in _blocks(source):  # type: ignore[arg-type]  # both read bytes
                digest.update(block)
                result.write(block)
            _flush(result)
    except (OSError, EOFError) as error:
        raise BackupError(f"backup {file.name} is damaged: {error}") from None
    _compare(file, digest.hexdigest(), packed)


def unpack_difference(file: Path, base: Path, base_sha256: str, target: Path, packed: Packed) -> None:
    """The same of a difference: `base` is what its base was unpacked to. Raises: BackupError."""
    digest = hashlib.sha256()
    try:
        with gzip.open(file, "rb") as source, open(base, "rb") as before, _new(target) as result:
            head = msgspec.json.decode(source.readline(1_000), type=_Difference)
            if head.base != base_sha256:
                raise BackupError(f"backup {file.name} is the difference to another one than it is given")
            changes = _changes(source)
            following = next(changes, None)
            for number in range(-(-head.size // head.block)):
                before.seek(number * head.block)
                block = before.read(min(head.block, head.size - number * head.block))
                if following is not None and following[0] == number:
                    block, following = following[1], next(changes, None)
                digest.update(block)
                result.write(block)
            _flush(result)
    except (OSError, EOFError, msgspec.DecodeError, struct.error) as error:
        raise BackupError(f"backup {file.name} is damaged: {error}") from None
    _compare(file, digest.hexdigest(), packed)


def digest_of(file: Path) -> str:
    """The SHA-256 of a file."""
    with open(file, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _compressed(file: BinaryIO) -> gzip.GzipFile:
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6)


def _changes(source: gzip.GzipFile) -> Iterator[tuple[int, bytes]]:
    while head := source.read(_HEAD.size):
        number, length = _HEAD.unpack(head)
        if length > BLOCK:
            raise BackupError("a difference has a block that is too long")
        yield number, source.read(length)


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    while block := source.read(BLOCK):
        yield block


def _new(path: Path) -> BinaryIO:
    """A file that was not there before and that nobody else may read."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _compare(file: Path, found: str, packed: Packed) -> None:
    if found != packed.sha256:
        raise BackupError(f"backup {file.name} is damaged: it does not hold what it did")
