"""What a step leaves behind: files found by patterns in its workspace and copied to where they are kept.

The workspace belongs to programs that may be up to anything. So it is walked by directory handles without following a
symbolic link, files are opened without following one, and what is copied is counted before it is.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from corral.errors import CorralError

MAX_FILES = 500
MAX_SEEN = 100_000
_CHUNK = 1_048_576


class ArtifactError(CorralError):
    """There is more than may be kept."""


class Artifact(Struct, frozen=True, rename="camel"):
    """One file that was kept."""

    name: str  #: its path in the workspace
    size: int
    sha256: str


def matcher(patterns: Sequence[str]) -> re.Pattern[str]:
    """Patterns as one expression: `*` and `?` stay within a folder, `**` is any number of folders."""
    return re.compile("|".join(f"(?:{_expression(pattern)})" for pattern in patterns) or r"(?!)")


def _expression(pattern: str) -> str:
    made = ""
    parts = pattern.split("/")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            made += "(?:.+)" if last else "(?:[^/]+/)*"
            continue
        words = re.split(r"(\*|\?)", part)
        made += "".join({"*": "[^/]*", "?": "[^/]"}.get(word, re.escape(word)) for word in words)
        made += "" if last else "/"
    return made


def find(root: Path, patterns: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The files below a folder that match, each with a handle to read it by. The caller closes the handles.

    Raises:
        ArtifactError: there are too many files to look at.
    """
    wanted = matcher(patterns)
    seen = 0
    for folder, folders, files, handle in os.fwalk(root, follow_symlinks=False):
        folders[:] = sorted(name for name in folders if name != ".git")
        seen += len(files)
        if seen > MAX_SEEN:
            raise ArtifactError(f"the workspace has more than {MAX_SEEN:,} files")
        for name in sorted(files):
            relative = os.path.relpath(os.path.join(folder, name), root)
            if wanted.fullmatch(relative):
                opened = _open(name, handle)
                if opened is not None:
                    yield relative, opened


def _open(name: str, folder: int) -> int | None:
    try:
        # Not blocking: a pipe in the workspace would hold on for ever.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:  # a symbolic link, or gone
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None


def keep(root: Path, patterns: Sequence[str], target: Path, *, max_bytes: int) -> tuple[Artifact, ...]:
    """Copy what matches. Blocks; call it in a thread. A second time writes the same files again.

    Raises:
        ArtifactError: more than 500 files, or more bytes than allowed.
    """
    kept: list[Artifact] = []
    left = max_bytes
    for relative, handle in find(root, patterns) if patterns else ():
        try:
            if len(kept) == MAX_FILES:
                raise ArtifactError(f"more than {MAX_FILES} files match {', '.join(patterns)}")
            kept.append(_copy(relative, handle, target / relative, left))
        finally:
            os.close(handle)
        left -= kept[-1].size
    return tuple(kept)


def _copy(name: str, handle: int, target: Path, left: int) -> Artifact:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    # Nobody but us writes to where artifacts are kept; a file of an earlier attempt gives way.
    with target.open("wb") as file:
        while chunk := os.read(handle, _CHUNK):
            size += len(chunk)
            if size > left:
                raise ArtifactError(f"the artifacts have more bytes than are allowed; {name!r} is too much")
            digest.update(chunk)
            file.write(chunk)
    return Artifact(name, size, digest.hexdigest())
