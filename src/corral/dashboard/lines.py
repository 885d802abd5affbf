"""Lines of a log as people read them: without a terminal's colours, and those of JSON with level and message apart."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

#: From the least to the worst.
LEVELS = ("debug", "info", "warning", "error")
#: What a terminal takes for a command (ECMA-48: CSI, OSC, and two-byte ones), and other characters nobody can see.
_COMMANDS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")
#: What loggers call a line's level, message and time.
_LEVEL, _MESSAGE, _TIME = ("level", "severity", "levelname"), ("message", "msg", "event"), ("timestamp", "time", "ts")
_CALLED = {
    "trace": "debug", "debug": "debug", "info": "info", "notice": "info", "warn": "warning", "warning": "warning",
    "err": "error", "error": "error", "critical": "error", "fatal": "error", "alert": "error", "emergency": "error",
}  # fmt: skip
#: Loggers that number their levels (pino, bunyan) begin a level at each of these.
_NUMBERED = ((50, "error"), (40, "warning"), (30, "info"), (0, "debug"))


class Line(Struct, frozen=True):
    """A line."""

    n: int
    text: str
    level: str | None = None
    at: str | None = None  #: RFC 3339
    more: str = ""  #: further fields, as JSON


def plain(text: str) -> str:
    """A text without what only a terminal understands."""
    return _COMMANDS.sub("", text)


def line_of(found: Mapping[str, object]) -> Line:
    """A line of the API's, taken apart when it is an object of JSON that says its level and its message."""
    n, text = int(str(found["n"])), str(found["message"])
    fields = _fields(text)
    level, message = _first(fields, _LEVEL), _first(fields, _MESSAGE)
    said = None if level is None else _level(fields[level])
    if level is None or message is None or said is None:
        return Line(n, plain(text))
    time = _first(fields, _TIME)
    at = None if time is None else _moment(fields[time])
    known = {level, message} | ({time} if at else set())
    rest = {name: value for name, value in fields.items() if name not in known}
    more = json.dumps(rest, ensure_ascii=False) if rest else ""
    return Line(n, plain(str(fields[message])), said, at, plain(more))


def _fields(text: str) -> dict[str, object]:
    try:
        found = json.loads(text) if text.startswith("{") else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in fields), None)


def _level(said: object) -> str | None:
    if isinstance(said, int) and not isinstance(said, bool):
        return next((name for least, name in _NUMBERED if said >= least), None)
    return _CALLED.get(str(said).lower())


def _moment(said: object) -> str | None:
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
