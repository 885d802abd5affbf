"""What is wrong inside a store: entries that contradict each other, for `corral doctor` and its `--fix`."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Defect(StrEnum):
    """Kinds of contradictions."""

    ORPHAN = "orphans"  #: a queue lists ids of jobs that are not there
    COUNT = "counts"  #: a counter says something else than a count
    LOCK = "locks"  #: a job is locked that nobody runs
    DAMAGE = "damage"  #: the file itself is damaged
    LOG = "log"  #: a queue's events were not cut
    STRANGER = "stranger"  #: a newer BullMQ than any that is known works on the queue


class Flaw(Struct, frozen=True, kw_only=True):
    """One contradiction of one queue. `where` says how many in which state; `ids` are the first ten."""

    defect: Defect
    queue: str
    count: int
    where: Mapping[str, int] = {}
    ids: tuple[str, ...] = ()
    text: str = ""
