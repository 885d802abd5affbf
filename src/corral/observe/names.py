"""Names of the metrics' labels and buckets, and what keeps their number small. Pure."""

from collections.abc import Iterable

#: Of durations and waits, in seconds.
SECONDS = (
    .005, .01, .025, .05, .1, .25, .5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0
)  # fmt: skip
#: Of attempts.
ATTEMPTS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0)
#: What a label says in place of a value that is not told apart.
OTHER = "__other__"
#: Job names and schedules told apart in one process, and queues in an API's answer.
NAMES, SCHEDULES, QUEUES = 200, 500, 500


class Names:
    """The values a label may have: the known ones, up to a limit. Whatever comes, the number of series stays."""

    def __init__(self, most: int, known: Iterable[str] | None = None) -> None:
        self._most = most
        self._known = None if known is None else frozenset(list(dict.fromkeys(known))[:most])
        self._seen: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The label's value for a name. Without known names it is the first ones that come."""
        if self._known is not None:
            return name if name in self._known else OTHER
        if name in self._seen:
            return name
        if len(self._seen) >= self._most:
            return OTHER
        self._seen[name] = name
        return name
