"""The language of the search box: `state:failed queue:email error:~timeout created:<1d`. Pure.

    field:value    a space is AND    a,b is OR within a field    -field:value is NOT    "quoted text"
    field:~part    field:>=n    field:a..b    mail* (any ending)    word (an id, or part of a name or reason)

What can be compared is turned into ranges of numbers while it is read, ages among them: `created:<2h` is "less than two
hours ago". Every error says where it is.
"""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from corral.errors import QueryError, closest
from corral.job import JobState
from corral.monitor.moments import ages, instants, length, number
from corral.timing import Millis

#: A longer line is a mistake or an attack, and so are more terms.
MAX_TEXT, MAX_TERMS = 2_000, 50


class Kind(StrEnum):
    """What the values of a field are."""

    TEXT = "text"
    WORD = "word"  #: one of a few
    NUMBER = "number"
    SPAN = "span"  #: a length of time
    MOMENT = "moment"
    JSON = "json"  #: any value inside of a document


STATES = tuple(str(state) for state in JobState)
HAS = (
    "children", "dedup", "error", "group", "logs", "parent", "progress", "result", "schedule", "tags", "trace",
    "worker",
)  # fmt: skip
IS = ("finished", "late", "pending", "recovered", "rerun", "retried", "stalled", "stuck")
WORDS = {"state": STATES, "has": HAS, "is": IS}

FIELDS = {
    **dict.fromkeys(
        (
            "id",
            "queue",
            "name",
            "tag",
            "group",
            "fingerprint",
            "error",
            "worker",
            "schedule",
            "parent",
            "flow",
            "trace",
        ),
        Kind.TEXT,
    ),
    **dict.fromkeys(WORDS, Kind.WORD),
    **dict.fromkeys(("attempts", "priority", "progress", "crashes", "size"), Kind.NUMBER),
    **dict.fromkeys(("wait", "duration"), Kind.SPAN),
    **dict.fromkeys(("created", "started", "finished", "run_at"), Kind.MOMENT),
}
#: Other words for fields: those of BullMQ and of other dashboards.
ALIASES = {
    "processed": "started", "took": "duration", "reason": "error", "due": "run_at", "fp": "fingerprint", "tags": "tag",
    "trace_id": "trace",
}  # fmt: skip
#: What stands before a path into a document.
DOCUMENTS = ("data", "result")


class Text(Struct, frozen=True):
    """A text to be equal to, to begin with, or to contain. Case counts, except in `part`."""

    value: str
    how: str = "is"  #: is | starts | part


class Range(Struct, frozen=True):
    """Numbers between two ends; None: no end."""

    low: float | None = None
    high: float | None = None
    above: bool = False  #: `low` itself is out
    below: bool = False  #: `high` itself is out

    def has(self, value: float | None) -> bool:
        """Whether a number is in it."""
        if value is None:
            return False
        if self.low is not None and (value < self.low or (self.above and value == self.low)):
            return False
        return self.high is None or value < self.high or (value == self.high and not self.below)


Test: TypeAlias = Text | Range


class Term(Struct, frozen=True):
    """One condition: any of the tests holds, or none of them if it is negated. An empty field is a bare word."""

    field: str
    tests: tuple[Test, ...]
    negated: bool = False
    path: tuple[str, ...] = ()  #: inside of data or result
    start: int = 0  #: where it stands in the text
    end: int = 0


class Query(Struct, frozen=True):
    """A search that has been read."""

    terms: tuple[Term, ...] = ()
    text: str = ""

    def of(self, field: str) -> Iterator[Term]:
        """The terms about a field."""
        return (term for term in self.terms if term.field == field)


def parse(text: str, *, now: Millis) -> Query:
    """Read a search; ages count back from `now`.

    Raises:
        QueryError: what cannot be read, with its position.
    """
    if len(text) > MAX_TEXT:
        raise QueryError(f"a search may have {MAX_TEXT:,} characters, not {len(text):,}", position=MAX_TEXT)
    reader = _Reader(text, now)
    terms = tuple(reader.terms())
    return Query(terms, text)


class _Reader:
    def __init__(self, text: str, now: Millis) -> None:
        self.text = text
        self.now = now
        self.at = 0

    def terms(self) -> Iterator[Term]:
        count = 0
        while self._skip():
            if count == MAX_TERMS:
                raise QueryError(f"a search may have {MAX_TERMS} conditions", position=self.at)
            count += 1
            yield self._term()

    def _skip(self) -> bool:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def _term(self) -> Term:
        start = self.at
        negated = self.text[self.at] == "-"
        self.at += negated
        named = _FIELD.match(self.text, self.at)
        if named is None:
            word, _ = self._value()
            return Term("", (Text(word, "part"),), negated, (), start, self.at)
        field, path = self._field(named[1])
        self.at = named.end()
        tests = [self._test(field)]
        while self.at < len(self.text) and self.text[self.at] == ",":
            self.at += 1
            tests.append(self._test(field))
        return Term(field, tuple(tests), negated, path, start, self.at)

    def _field(self, said: str) -> tuple[str, tuple[str, ...]]:
        head, *path = said.split(".")
        if head in DOCUMENTS:
            if not path or not all(path):
                raise QueryError(f"{head} needs a path, as in {head}.user.id:42", position=self.at)
            return head, tuple(path)
        field = ALIASES.get(said, said)
        if field not in FIELDS:
            near = closest(said, [*FIELDS, *ALIASES, *DOCUMENTS])
            hint = f"; did you mean {near!r}?" if near else '; put "quotes" around text with a colon'
            raise QueryError(f"there is no field {said!r}{hint}", position=self.at, suggestion=near)
        return field, ()

    def _value(self) -> tuple[str, bool]:
        """A value, and whether it was quoted."""
        if self.at < len(self.text) and self.text[self.at] == '"':
            quoted = _QUOTED.match(self.text, self.at)
            if quoted is None:
                raise QueryError("the quotation mark is not closed", position=self.at)
            self.at = quoted.end()
            if self.at < len(self.text) and self.text[self.at] != "," and not self.text[self.at].isspace():
                raise QueryError("a space is missing after the quotation mark", position=self.at)
            return _ESCAPED.sub(r"\1", quoted[1]), True
        plain = _PLAIN.match(self.text, self.at)
        if plain is None:
            raise QueryError("a value is missing", position=self.at)
        self.at = plain.end()
        return plain[0], False

    def _test(self, field: str) -> Test:
        kind = Kind.JSON if field in DOCUMENTS else FIELDS[field]
        start = self.at
        sign = _SIGN.match(self.text, self.at)
        self.at = start if sign is None else sign.end()
        began = self.at
        value, quoted = self._value()
        try:
            return self._judge(field, kind, "" if sign is None else sign[0], value, quoted=quoted)
        except ValueError as error:
            raise QueryError(str(error), position=began) from None

    def _judge(self, field: str, kind: Kind, sign: str, value: str, *, quoted: bool) -> Test:
        if kind is Kind.WORD:
            if sign or value not in WORDS[field]:
                raise ValueError(f"{field} is one of {', '.join(WORDS[field])}, not {sign}{value!r}")
            return Text(value)
        if field == "flow" and (sign or (not quoted and value.endswith("*"))):
            raise ValueError("flow names a job, by flow:id or flow:queue/id: it and all below it are meant")
        if field == "trace" and not sign:  # nobody types 32 digits
            return Text((value if quoted else value.removesuffix("*")).lower(), "starts")
        if sign == "~":
            if kind not in (Kind.TEXT, Kind.JSON):
                raise ValueError(f"{field} has no parts: compare it, as in {field}:>5")
            return Text(value, "part")
        if kind is Kind.TEXT and sign:
            raise ValueError(f"{field} is text, which is neither more nor less")
        compared = sign or (kind is Kind.JSON and not quoted and _is_range(value))
        if kind is Kind.TEXT or (kind is Kind.JSON and not compared):
            starts = not quoted and len(value) > 1 and value.endswith("*")
            return Text(value[:-1], "starts") if starts else Text(value)
        return self._range(kind, sign, value)

    def _range(self, kind: Kind, sign: str, value: str) -> Range:
        if kind is Kind.MOMENT:
            by_age = ages(sign, value, self.now)
            return Range(*(by_age if by_age is not None else instants(sign, value)))
        read = length if kind is Kind.SPAN else number
        low, dots, high = value.partition("..")
        if dots:
            if sign:
                raise ValueError(f"a range has no sign: {value}")
            return Range(read(low) if low else None, read(high) if high else None)
        limit = read(value)
        match sign:
            case ">" | ">=":
                return Range(limit, None, sign == ">")
            case "<" | "<=":
                return Range(None, limit, False, sign == "<")
        return Range(limit, limit)


def _is_range(value: str) -> bool:
    low, dots, high = value.partition("..")
    if not dots or not (low or high):
        return False
    try:
        return all(number(end) is not None for end in (low, high) if end)
    except ValueError:
        return False


_FIELD = re.compile(r"([A-Za-z_][^\s:\",]*):")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = re.compile(r'[^\s,"]+')
_SIGN = re.compile(r"~|>=|<=|>|<")


def written(terms: Sequence[Term]) -> str:
    """Terms as they could have been typed: what links and saved searches hold. Ages have become instants."""
    return " ".join(_written(term) for term in terms)


def _written(term: Term) -> str:
    unit = "ms" if FIELDS.get(term.field) is Kind.SPAN else ""
    said = ",".join(_said(one, unit, whole=term.field == "trace") for one in term.tests)
    field = ".".join((term.field, *term.path))
    return ("-" if term.negated else "") + (f"{field}:{said}" if field else said.removeprefix("~"))


def _said(test: Test, unit: str, *, whole: bool) -> str:
    """One test; `whole`: of a field whose texts are beginnings anyway."""
    if isinstance(test, Text):
        safe = test.value.replace("\\", "\\\\").replace('"', '\\"')
        match test.how:
            case "starts" if not whole:
                return f"{test.value}*"
            case "part":
                return f'~"{safe}"'
        return f'"{safe}"'
    low = "" if test.low is None else _digits(test.low) + unit
    high = "" if test.high is None else _digits(test.high) + unit
    if test.above and high == "":
        return f">{low}"
    if test.below and low == "":
        return f"<{high}"
    return f"{low}..{high}"


def _digits(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
