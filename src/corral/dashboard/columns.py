"""Tables of queues: which columns somebody wants to see, and queues whose names begin alike as one row."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Struct

#: What there is beside the name, and what it is called.
COLUMNS: Mapping[str, str] = {
    "waiting": "Waiting", "active": "Active", "delayed": "Delayed", "children": "Children", "completed": "Completed",
    "failed": "Failed", "oldest": "Oldest", "rate": "Jobs/min", "wait": "Wait p95", "run": "Run p95",
    "trend": "24 h", "workers": "Workers",
}  # fmt: skip
#: What is shown before somebody has chosen.
USUAL = ("waiting", "active", "delayed", "failed", "oldest", "rate", "wait", "trend", "workers")
#: Columns that are counts of jobs, and what the API calls them.
COUNTS = {
    "waiting": "waiting", "active": "active", "delayed": "delayed", "children": "waiting_children",
    "completed": "completed", "failed": "failed",
}  # fmt: skip
COLUMNS_COOKIE, FOLD_COOKIE = "corral-columns", "corral-fold"
#: What stands behind the part of a name that several queues share: `mail:welcome`, `payments.refund`.
_PART = re.compile(r"[:.]")

Queue = Mapping[str, object]


class View(Struct, frozen=True):
    """How somebody wants tables of queues."""

    columns: tuple[str, ...] = USUAL
    folds: bool = False  #: queues whose names begin alike are one row


class Row(Struct, frozen=True):
    """One queue, or several whose names begin alike."""

    queues: tuple[Queue, ...]
    name: str = ""  #: what the names begin with; "" for one queue
    attention: int = 0  #: of the worst
    unfolds: bool = False  #: one of them has a problem: it is not hidden


def chosen(cookies: Mapping[str, str]) -> View:
    """What somebody's cookies say; what cannot be meant counts as nothing."""
    said = cookies.get(COLUMNS_COOKIE, "").split(".")
    columns = tuple(name for name in COLUMNS if name in said)
    return View(columns or USUAL, cookies.get(FOLD_COOKIE) == "prefix")


def rows(queues: Sequence[Queue], view: View) -> list[Row]:
    """The rows of a table: each group stands where the first of its queues would."""
    if not view.folds:
        return [Row((one,)) for one in queues]
    groups: dict[str, list[Queue]] = {}
    for one in queues:
        groups.setdefault(_PART.split(str(one["name"]), 1)[0], []).append(one)
    return [
        _group(prefix, some) if len(some) > 1 and prefix else Row((one,))
        for prefix, some in groups.items()
        for one in (some if not prefix else some[:1])
    ]


def _group(prefix: str, queues: Sequence[Queue]) -> Row:
    worst = max(cast(int, one["attention"]) for one in queues)
    return Row(tuple(queues), prefix, worst, worst >= 2)


def total(queues: Sequence[Queue], column: str) -> float | None:
    """A column of several queues together; None when that means nothing: percentiles, workers of several queues."""
    if column in COUNTS:
        return sum(cast("Mapping[str, int]", one["counts"])[COUNTS[column]] for one in queues)
    if column == "rate":
        return sum(per_minute(one) for one in queues)
    if column == "oldest":
        return max((seconds for one in queues if (seconds := cast("float | None", one["oldest_waiting_seconds"]))),
                   default=None)  # fmt: skip
    return None


def per_minute(queue: Queue) -> float:
    """Jobs that end each minute, well or not."""
    rates = cast("Mapping[str, float]", queue["rates"])
    return rates["done_per_min"] + rates["failed_per_min"]


def together(queues: Sequence[Queue]) -> list[int] | None:
    """What ended hour by hour, of several queues; None when that is known of none."""
    known = [trend for one in queues if (trend := cast("Sequence[int] | None", one.get("trend"))) is not None]
    return [sum(hour) for hour in zip(*known, strict=True)] if known else None
