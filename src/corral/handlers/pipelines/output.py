"""What a command prints: into a file, and as it comes into the job's log, in lines without secrets and escape codes."""

import asyncio
import codecs
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

from corral.errors import LeaseLostError, StorageError

logger = logging.getLogger("corral.handlers.pipelines")

#: Lines are collected for so long before they are written: a chatty command costs five writes a second, not thousands.
EVERY = 0.2
#: How long the last lines may take to get into the log, and how long when the job is told to stop.
PATIENT, HURRIED = 30.0, 2.0
MAX_LINE = 4_000
#: What fits into one entry of a job's log.
MAX_ENTRY = 8_000
#: A shorter secret would mask half of what is printed.
SHORTEST_SECRET = 4

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

#: Appends an entry to a job's log: `ctx.log`.
Log = Callable[[str], Awaitable[None]]


class Mask:
    """Takes secrets out of texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({one for one in secrets if len(one) >= SHORTEST_SECRET}, key=len, reverse=True)
        self.longest = max(map(len, known), default=0)
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None

    def __repr__(self) -> str:
        return "<Mask>"

    def __call__(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub("***", text)


class Lines:
    """Cuts a stream of bytes into lines of text. A line that was written over (`\\r`) is as it was at last."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes, *, last: bool = False) -> Iterator[str]:
        """The lines that these bytes end."""
        *lines, self._rest = (self._rest + self._decoder.decode(data, last)).split("\n")
        for line in lines:
            yield from self._clean(line)
        if len(self._rest) > 2 * MAX_LINE + self._mask.longest:
            # A secret may have begun at the cut: as much as the longest one stays for the next round.
            cut = len(self._rest) - self._mask.longest
            head, self._rest = self._rest[:cut], self._rest[cut:]
            yield from self._clean(head)
        if last and self._rest:
            rest, self._rest = self._rest, ""
            yield from self._clean(rest)

    def _clean(self, line: str) -> Iterator[str]:
        text = self._mask(line.rstrip("\r")).rpartition("\r")[2]
        text = _CONTROLS.sub("", _ESCAPES.sub("", text))
        for start in range(0, max(len(text), 1), MAX_LINE):
            yield text[start : start + MAX_LINE]


class Output:
    """Where one command's output goes. Use it as a context manager: leaving it writes what is left.

    Args:
        file: gets all of it.
        max_log: bytes of it that the job's log gets.
    """

    def __init__(self, log: Log, file: Path, mask: Mask, *, max_log: int) -> None:
        self.printed = 0  #: bytes
        self._log = log
        self._file = file.open("a", encoding="utf-8", errors="replace")
        self._left = max_log
        self._lines = Lines(mask)
        self._mask = mask
        self._waiting: list[str] = []
        self._come = asyncio.Event()
        self._closed = False
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Output":
        self._pump = asyncio.create_task(self._write_on())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._take(self._lines.feed(b"", last=True))
        self._closed = True
        self._come.set()
        self._file.close()
        assert self._pump is not None
        hurried = kind is not None and issubclass(kind, asyncio.CancelledError)
        await asyncio.wait([self._pump], timeout=HURRIED if hurried else PATIENT)
        self._pump.cancel()

    def say(self, line: str) -> None:
        """A line of our own."""
        self._take([self._mask(line)])

    def feed(self, data: bytes) -> None:
        """Bytes that the command printed."""
        self.printed += len(data)
        self._take(self._lines.feed(data))

    def _take(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._file.write(line + "\n")
            if self._left > 0:
                self._left -= len(line.encode("utf-8", "replace")) + 1
                self._waiting.append(
                    line if self._left > 0 else f"{line}\n… the rest is in {Path(self._file.name).name}"
                )
                self._come.set()

    async def _write_on(self) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            waiting, self._waiting = self._waiting, []
            for entry in entries(waiting):
                if not await self._write(entry):
                    return
            if self._closed and not self._waiting:
                return
            if not self._closed:
                await asyncio.sleep(EVERY)

    async def _write(self, entry: str) -> bool:
        try:
            await self._log(entry)
        except LeaseLostError:
            return False
        except StorageError as error:  # the file has it; a command is not stopped because its log is slow
            logger.warning("a piece of a command's output is not in its job's log: %s", error)
        return True


def entries(lines: Iterable[str]) -> Iterator[str]:
    """Lines as entries of a log: as many whole lines in each as fit, because each entry costs one write."""
    entry: list[str] = []
    size = 0
    for line in lines:
        if entry and size + len(line) + 1 > MAX_ENTRY:
            yield "\n".join(entry)
            entry, size = [], 0
        entry.append(line)
        size += len(line) + 1
    if entry:
        yield "\n".join(entry)
