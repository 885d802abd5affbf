"""Lengths of time and instants as parameters give them."""

from datetime import UTC, datetime

from corral.http.problems import problem
from corral.monitor.moments import length
from corral.timing import MAX_DURATION_MS, Millis


def span_of(text: str, name: str) -> float:
    """Seconds of `24h`, `90m` or a number of seconds. Raises: Problem (400)."""
    try:
        ms = length(text.strip())
    except ValueError as error:
        problem("invalid-parameter", f"{error}.", parameter=name)
    if not 1 <= ms <= MAX_DURATION_MS:
        problem("invalid-parameter", f"{name} must be above 0 and at most ten years, not {text!r}.", parameter=name)
    return ms / 1000


def instant_of(text: str | None, name: str, now: Millis) -> Millis | None:
    """Epoch milliseconds of an RFC 3339 time, of themselves, or of an age such as `2h`. Raises: Problem (400)."""
    if text is None or not text.strip():
        return None
    said = text.strip()
    if said.isascii() and said.isdigit() and len(said) <= 15:
        return int(said)
    try:
        found = datetime.fromisoformat(said.replace(" ", "+"))  # a plus sign that nobody escaped
        at = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        return round(now - length(said.removeprefix("-")))
    except (ValueError, OverflowError):
        problem("invalid-parameter", f"{name} must be a time such as 2026-11-23T05:13:25Z or an age such as 2h, "
                f"not {text!r}.", parameter=name)  # fmt: skip
