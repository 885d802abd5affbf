"""A business whose figures can be told: a rhythm of weeks, a little chance, and what is made to happen in it."""

import random
from collections.abc import Callable
from datetime import date, timedelta

from corral.handlers.insights import Finding, Rules, Series, analyse

#: A Sunday: the last day that is over on Monday, 2026-03-02.
LAST = date(2026, 3, 1)
NOW = 1_772_452_800_000
#: Monday to Sunday.
RHYTHM = (0.8, 0.9, 1.0, 1.0, 1.2, 1.5, 0.6)


def figures(
    happens: Callable[[int, float], float] = lambda ago, value: value, *, days: int = 160, level: float = 1000,
    noise: float = 0.05, seed: int = 7,
) -> dict[date, float]:  # fmt: skip
    """Values by day until LAST. `happens(days_ago, value)` changes one."""
    chance = random.Random(seed)
    made = {}
    for ago in range(days - 1, -1, -1):
        at = LAST - timedelta(days=ago)
        value = level * RHYTHM[at.weekday()] * (1 + chance.uniform(-noise, noise))
        made[at] = round(happens(ago, value), 2)
    return made


def series(
    happens: Callable[[int, float], float] = lambda ago, value: value, *, metric: str = "revenue",
    label: str = "Revenue", unit: str = "EUR", better: str | None = "up", days: int = 160, seed: int = 7,
) -> Series:  # fmt: skip
    """A series of such figures."""
    values = figures(happens, days=days, seed=seed)
    return Series(metric=metric, label=label, unit=unit, better=better, values=values)  # type: ignore[arg-type]


def look(what: Series, days: int = 30) -> list[Finding]:
    """All findings of the last days."""
    return analyse(what, LAST - timedelta(days=days - 1), LAST, Rules())


def kinds(findings: list[Finding]) -> list[str]:
    return [one.kind for one in findings]


def only(findings: list[Finding], kind: str) -> Finding:
    """The one finding of a kind."""
    (one,) = [one for one in findings if one.kind == kind]
    return one
