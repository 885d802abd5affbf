"""What an engine's own module reads out of a store, past the engine, so that all stores are checked by one ledger."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

Key = tuple[str, str]  #: queue, job id


@dataclass(frozen=True)
class Row:
    """A job as the store has it."""

    name: str
    state: str  #: a word of `JobState`, or "held"
    started: int  #: claims
    made: int  #: attempts that ended with a verdict
    crashes: int
    bulk: str = ""  #: its data, if it came with a bulk


@dataclass(frozen=True)
class Totals:
    """How many jobs of a queue have ever ended."""

    completed: int
    failed: int


class StoreBooks(Protocol):
    """A store that nobody uses at the moment."""

    def close(self) -> None: ...

    def rows(self) -> dict[Key, Row]:
        """Every job."""
        ...

    def totals(self) -> dict[str, Totals]:
        """Every queue's lifetime counters."""
        ...

    def audit(self, rows: Mapping[Key, Row], *, drained: bool, forgiven: frozenset[Key] = frozenset()) -> Iterator[str]:
        """What only this engine can get wrong; one sentence for each complaint. `forgiven`: as for the ledger."""
        ...
