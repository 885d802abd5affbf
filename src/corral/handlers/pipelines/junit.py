"""Test results as JUnit's XML has them, counted while they are read.

Every test runner writes a dialect of it. What all have in common is enough: `<testcase>` with a `<failure>`, `<error>`
or `<skipped>` in it. The file comes from programs that may be up to anything: a document type, with which files grow
and read others, is refused, and so is more than is reasonable.
"""

import os
from xml.parsers import expat

from msgspec import Struct

from corral.errors import CorralError

MAX_BYTES = 50_000_000
MAX_DEPTH = 50
#: So many failed tests are told by name; the others are counted.
MAX_TOLD = 50
MAX_MESSAGE = 500
_CHUNK = 262_144
_BAD = {"failure": "failed", "error": "error", "skipped": "skipped"}


class ResultsError(CorralError):
    """A file that cannot be read as test results."""


class FailedTest(Struct, frozen=True, rename="camel"):
    """One test that did not pass."""

    name: str
    kind: str  #: "failed", or "error" when it could not even be run
    message: str = ""


class Results(Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts over all files of results."""

    tests: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: float = 0.0
    told: tuple[FailedTest, ...] = ()  #: at most fifty of those that did not pass

    @property
    def passed(self) -> int:
        return self.tests - self.failed - self.errors - self.skipped

    @property
    def bad(self) -> int:
        return self.failed + self.errors

    def plus(self, other: "Results") -> "Results":
        """Both together."""
        return Results(
            tests=self.tests + other.tests,
            failed=self.failed + other.failed,
            errors=self.errors + other.errors,
            skipped=self.skipped + other.skipped,
            seconds=round(self.seconds + other.seconds, 3),
            told=(*self.told, *other.told)[:MAX_TOLD],
        )


def read_results(handle: int, name: str) -> Results:
    """Count the tests in one file. Blocks; call it in a thread.

    Raises:
        ResultsError: it is not well-formed, has a document type, or is larger than 50 MB.
    """
    reader = _Reader()
    size = 0
    try:
        while chunk := os.read(handle, _CHUNK):
            size += len(chunk)
            if size > MAX_BYTES:
                raise ResultsError(f"it has more than {MAX_BYTES:,} bytes")
            reader.parser.Parse(chunk, False)
        reader.parser.Parse(b"", True)
    except (expat.ExpatError, ResultsError, UnicodeDecodeError, LookupError) as error:
        raise ResultsError(f"test results {name!r} cannot be read: {error}") from None
    return reader.results()


class _Reader:
    """Listens to the parser and keeps the one test it is in."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._counts = {"failed": 0, "error": 0, "skipped": 0}
        self._tests = 0
        self._seconds = 0.0
        self._told: list[FailedTest] = []
        self._depth = 0
        self._root = False
        self._test: dict[str, str] | None = None
        self._kind = ""  #: of the present test, as the first element in it that says so
        self._message = ""
        self._listening = False

    def results(self) -> Results:
        if not self._root:
            raise ResultsError("its root is neither testsuites nor testsuite")
        return Results(
            tests=self._tests, failed=self._counts["failed"], errors=self._counts["error"],
            skipped=self._counts["skipped"], seconds=round(self._seconds, 3), told=tuple(self._told),
        )  # fmt: skip

    def _doctype(self, *_: object) -> None:
        raise ResultsError("it has a document type, which test results do not need")

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ResultsError(f"its elements are nested more than {MAX_DEPTH} deep")
        if self._depth == 1:
            self._root = element in ("testsuites", "testsuite")
        if element == "testcase":
            self._test, self._kind, self._message = attributes, "", ""
        elif self._test is not None and element in _BAD and self._kind in ("", "skipped"):
            self._kind = _BAD[element]
            self._message = attributes.get("message", "")
            self._listening = not self._message

    def _text(self, text: str) -> None:
        if self._listening and len(self._message) < MAX_MESSAGE:
            self._message += text

    def _end(self, element: str) -> None:
        self._depth -= 1
        if element in _BAD:
            self._listening = False
        if element != "testcase" or self._test is None:
            return
        test, self._test = self._test, None
        self._tests += 1
        self._seconds += _seconds(test.get("time", ""))
        if self._kind:
            self._counts[self._kind] += 1
        if self._kind in ("failed", "error") and len(self._told) < MAX_TOLD:
            name = ".".join(filter(None, (test.get("classname"), test.get("name")))) or "unnamed"
            self._told.append(FailedTest(name[:200], self._kind, " ".join(self._message.split())[:MAX_MESSAGE]))


def _seconds(text: str) -> float:
    try:
        seconds = float(text.replace(",", ""))  # some write 1,234.5
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < 1e7 else 0.0
