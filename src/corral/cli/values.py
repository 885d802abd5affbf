"""What people type: durations, points in time, priorities, back-offs and payloads."""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from corral.errors import ConfigError, PayloadError, closest
from corral.options import Backoff, Dedup, Exponential, Fixed, Keep, Priority, check_priority
from corral.payload import MAX_BYTES, from_json
from corral.timing import duration as duration  # one of the things people type

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)?", re.IGNORECASE)
_FACTOR = {"b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}
_PAIR = re.compile(r"([^=:\s{}\[\]\"]+)(:?=)(.*)", re.DOTALL)


def moment(text: str, now: datetime | None = None) -> datetime:
    """A point in time: ISO 8601, or `+30m` / `-1h` from now. A time without a zone is in this machine's.

    Raises:
        ConfigError: anything else.
    """
    if text[:1] in ("+", "-"):
        offset = timedelta(seconds=duration(text[1:]))
        base = now or datetime.now(UTC)
        return base + offset if text[0] == "+" else base - offset
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a time; write 2026-11-22T09:00, 2026-11-22T09:00Z or +30m") from None
    return given.astimezone() if given.tzinfo is None else given


def priority(text: str) -> int:
    """`critical`, `high`, `normal`, `low`, or a number from 0 to 2,097,151 (lower is served first; 0 is normal).

    Raises:
        ConfigError: anything else.
    """
    if text.isdigit():
        return check_priority(int(text))
    names = {one.name.lower(): int(one) for one in Priority}
    if text.lower() not in names:
        near = closest(text.lower(), names)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"{text!r} is not a priority; write {', '.join(names)} or a number{hint}")
    return names[text.lower()]


def backoff(text: str) -> Backoff:
    """`exp:2s` (2, 4, 8 … s), `exp:2s:1m` (at most 1 m), or `fixed:5s`.

    Raises:
        ConfigError: anything else.
    """
    kind, *parts = text.split(":")
    match kind.lower(), parts:
        case (("exp" | "exponential"), [delay]):
            return Exponential(duration(delay))
        case (("exp" | "exponential"), [delay, maximum]):
            return Exponential(duration(delay), maximum=duration(maximum))
        case "fixed", [delay]:
            return Fixed(duration(delay))
    raise ConfigError(f"{text!r} is not a back-off; write exp:2s, exp:2s:1m or fixed:5s")


def dedup(text: str) -> Dedup:
    """`KEY`, or `KEY:TIME` to keep others out for so long.

    Raises:
        ConfigError: a key that cannot be meant.
    """
    key, colon, time = text.rpartition(":")
    return Dedup(key, ttl=duration(time)) if colon and key and _only_spans(time) and time else Dedup(text)


def keep(text: str) -> Keep:
    """`100` jobs, `24h`, or both with a comma.

    Raises:
        ConfigError: anything else.
    """
    parts = text.split(",")
    counts = [int(part) for part in parts if part.strip().isdigit()]
    ages = [duration(part) for part in parts if not part.strip().isdigit()]
    if len(counts) > 1 or len(ages) > 1:
        raise ConfigError(f"{text!r} is not a retention; write 100, 24h or 100,24h")
    return Keep(age=ages[0] if ages else None, count=counts[0] if counts else None)


def size(text: str) -> int:
    """Bytes: `256B`, `4KB`, `512MB`, `1.5GB`, or a number.

    Raises:
        ConfigError: anything else.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is not a size; write 256B, 4KB or 512MB")
    return round(float(found[1]) * _FACTOR[(found[2] or "b").lower()])


def tags(text: str) -> tuple[tuple[str, str], ...]:
    """`zone=eu,rack=7`: names and values.

    Raises:
        ConfigError: a part without a name and a sign of equality.
    """
    found = []
    for part in text.split(","):
        name, sign, value = part.strip().partition("=")
        if not name or not sign:
            raise ConfigError(f"{part.strip()!r} is not a tag; write zone=eu")
        found.append((name, value))
    return tuple(found)


def payload(words: tuple[str, ...]) -> object:
    """The data of a job: JSON text, `@file`, `-` for standard input, or `key=text` and `key:=json` pairs.

    Raises:
        ConfigError: pairs that cannot be read. PayloadError: not JSON.
    """
    if not words:
        return {}
    if all(_PAIR.fullmatch(word) for word in words):
        return _pairs(words)
    if len(words) > 1:
        odd = next(word for word in words if not _PAIR.fullmatch(word))
        raise ConfigError(f"{odd!r} is not a pair; write key=text, key:=json, or one JSON text in quotes")
    [word] = words
    if word == "-":
        return from_json(sys.stdin.read(16 * MAX_BYTES))
    if word.startswith("@"):
        return from_json(read_file(word[1:]))
    try:
        return from_json(word)
    except PayloadError as error:
        raise PayloadError(f"{error} (quote the JSON for the shell, or write key=text key:=json)") from None


def _pairs(words: tuple[str, ...]) -> dict[str, object]:
    data: dict[str, object] = {}
    for word in words:
        found = _PAIR.fullmatch(word)
        assert found is not None, "the caller has checked"
        key, sign, value = found.groups()
        if key in data:
            raise ConfigError(f"key {key!r} is given twice")
        data[key] = from_json(value) if sign == ":=" else value
    return data


def read_file(name: str) -> str:
    """A text file as UTF-8; `-` is standard input.

    Raises:
        ConfigError: it cannot be read.
    """
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"file {name!r} cannot be read: {reason}") from None


def since(text: str) -> str:
    """When something begins, as a search has it: `1h` or `-1h` ago, or a date and time.

    Raises:
        ConfigError: anything else.
    """
    plain = text.removeprefix("-")
    at = datetime.now(UTC) - timedelta(seconds=duration(plain)) if _PART.match(plain) and _only_spans(plain) else None
    found = moment(text) if at is None else at
    return found.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _only_spans(text: str) -> bool:
    return not _PART.sub("", text.lower())


def instant(text: str) -> float:
    """A point in time as epoch seconds: ISO 8601, `+30m`, `-1h`, or `7d` from now on.

    Raises:
        ConfigError: anything else.
    """
    return moment(f"+{text}" if text[:1].isdigit() and _only_spans(text) else text).timestamp()
