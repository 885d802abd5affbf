"""The clock of a test: time that moves when it is told to."""

from datetime import datetime

from corral.errors import ConfigError
from corral.timing import Millis, Seconds, instant_ms, now_ms, to_datetime, to_ms


class FakeClock:
    """Time that stands still until `advance`. Calling it gives epoch milliseconds, as the store wants them.

    Args:
        start: where it begins, an aware datetime or epoch seconds; the machine's time when it is left out.
        ticking: between the jumps it also runs at the machine's pace.

    Raises:
        ConfigError: a `start` that is no point in time.
    """

    def __init__(self, start: datetime | float | None = None, *, ticking: bool = False) -> None:
        self._at = now_ms() if start is None else instant_ms(start, "start")
        self._since = now_ms() if ticking else None

    def __repr__(self) -> str:
        return f"FakeClock({self.now.isoformat(timespec='milliseconds')})"

    def __call__(self) -> Millis:
        return self._at if self._since is None else self._at + max(0, now_ms() - self._since)

    @property
    def now(self) -> datetime:
        """The present, as an aware UTC datetime."""
        return to_datetime(self())

    def advance(self, seconds: Seconds) -> None:
        """Let so many seconds pass. Raises: ConfigError for a negative number: time does not run backwards."""
        self._at += to_ms(seconds, "seconds")

    def advance_to(self, when: datetime | float) -> None:
        """Let time pass until `when` (an aware datetime or epoch seconds). Raises: ConfigError when that is past."""
        at = instant_ms(when, "when")
        if at < self():
            raise ConfigError(
                f"{to_datetime(at).isoformat()} is past: the clock says {self.now.isoformat()}", key="when"
            )
        self.advance_ms(at - self())

    def advance_ms(self, ms: Millis) -> None:
        """`advance` in the store's unit."""
        self._at += ms
