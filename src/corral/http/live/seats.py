"""Seats: how many streams are open, and whose."""

from collections import Counter

from corral.http.problems import problem

#: Streams of one caller, and of this process.
OWN, ALL = 10, 200


class Seats:
    """How many streams are open, and whose."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """Streams that are open."""
        return self._taken.total()

    def take(self, who: str) -> None:
        """Raises: Problem (503), when there are too many."""
        if self._taken[who] >= OWN:
            problem("too-many-streams", f"You have {OWN} streams open; close one.", headers={"Retry-After": "5"})
        if self.taken >= ALL:
            problem("too-many-streams", f"{ALL} streams are open; poll for now.", headers={"Retry-After": "30"})
        self._taken[who] += 1

    def leave(self, who: str) -> None:
        """One stream less."""
        self._taken[who] -= 1
        if self._taken[who] <= 0:
            del self._taken[who]
