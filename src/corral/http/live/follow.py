"""Following a log that keeps only its newest lines: when it is full it gets no longer, and still there are new ones."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from corral.storage.insight import Page

#: Lines that are told at a time.
LINES = 200
#: Lines by which the place is found again where it was read last.
KNOWN = 5

#: Lines from a number on, at most so many.
Read: TypeAlias = Callable[[int, int], Awaitable[Page[str]]]


class Follower:
    """One log, from where it ended when it was looked at first."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._told = -1  #: lines there were, had all been kept since the first look; -1 before that
        self._end = 0  #: of what was read, in what is kept
        self._last: tuple[str, ...] = ()  #: the lines before that end

    async def look(self) -> list[tuple[int, str]]:
        """New lines with their numbers, which go on where old lines have given way. The first look finds none."""
        if self._told < 0:
            total = (await self._read(0, 0)).total
            page = await self._read(max(0, total - KNOWN), KNOWN)
            self._told, self._end, self._last = page.total, page.total, page.items
            return []
        begin = max(0, self._end - len(self._last))
        page = await self._read(begin, len(self._last) + LINES)
        if page.items[: len(self._last)] == self._last:
            new = page.items[len(self._last) :]
            self._end = begin + len(page.items)
        else:
            page = await self._read(max(0, page.total - LINES - KNOWN), LINES + KNOWN)
            new = tuple(_behind(page.items, self._last)[-LINES:])
            self._end = page.total
        self._last = (*self._last, *new)[-KNOWN:]
        first, self._told = self._told, self._told + len(new)
        return list(enumerate(new, start=first))


def _behind(lines: Sequence[str], last: Sequence[str]) -> Sequence[str]:
    """What stands behind lines that were read before; everything where they have given way, too."""
    for end in range(len(lines), 0, -1):
        known = last[-end:]
        if known and tuple(lines[end - len(known) : end]) == tuple(known):
            return lines[end:]
    return lines
