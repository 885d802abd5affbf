"""What `corral top` remembers between two looks, and how it is sorted. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence

from corral.cli.cells import Row

POINTS = 60  #: of a sparkline
_BARS = "▁▂▃▄▅▆▇█"
#: Orders of the queues, in the order in which the key s goes through them.
SORTS = ("attention", "waiting", "failed", "name")


class Courses:
    """The backlog of each queue over the last looks."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = {}

    def look(self, queues: Sequence[Row]) -> None:
        """Remember how many jobs wait in each queue."""
        names = {str(row["queue"]) for row in queues}
        for gone in [name for name in self._seen if name not in names]:
            del self._seen[gone]
        for row in queues:
            self._seen.setdefault(str(row["queue"]), deque(maxlen=POINTS)).append(number(row, "waiting"))

    def of(self, queue: str) -> Sequence[int]:
        """What is remembered of a queue, oldest first."""
        return tuple(self._seen.get(queue, ()))


def spark(values: Sequence[float], width: int) -> str:
    """The values as a row of bars, the newest ones as far as the width goes."""
    shown = values[-width:]
    most = max(shown, default=0)
    if most <= 0:
        return "·" * len(shown)
    return "".join("·" if one <= 0 else _BARS[min(7, int(one / most * 7.999))] for one in shown)


def arranged(queues: Sequence[Row], sort: str) -> list[Row]:
    """The queues in one of the orders of `SORTS`."""
    keys = {
        "attention": lambda row: (-number(row, "attention"), -number(row, "waiting"), str(row["queue"])),
        "waiting": lambda row: (-number(row, "waiting"), str(row["queue"])),
        "failed": lambda row: (-number(row, "failed"), str(row["queue"])),
        "name": lambda row: (str(row["queue"]),),
    }
    return sorted(queues, key=keys[sort])


def number(row: Mapping[str, object], key: str) -> int:
    """A number of a row; 0 when there is none."""
    value = row.get(key)
    return int(value) if isinstance(value, int | float) else 0
