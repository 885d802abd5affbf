"""Where a process is to be seen, in words: no server is imported for a process that shows nothing."""

from msgspec import Struct

#: Tells a supervised child where its supervisor will ask.
SOCKET = "CORRAL_PROBE_SOCKET"
#: A fetch loop makes a step every 5 s, or 15 s while its store does not answer: twice as long, and it is stuck.
STUCK_AFTER = 30.0


class Outlook(Struct, frozen=True, kw_only=True):
    """Where a process is to be seen. Nothing is opened that is not named."""

    health_port: int | None = None
    metrics_port: int | None = None  #: the same as `health_port`: one port for both
    host: str = "127.0.0.1"
    file: str | None = None  #: touched while the process lives
    socket: str | None = None  #: for the supervisor
    metrics: bool = False  #: whether the socket has metrics too
    stuck_after: float = STUCK_AFTER

    @property
    def counts(self) -> bool:
        """Whether metrics are wanted."""
        return self.metrics or self.metrics_port is not None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to see."""
        return self.counts or any(one is not None for one in (self.health_port, self.file, self.socket))
