"""Where a torture takes place: its store, and the ledgers that its processes write beside it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: Every queue of the application under torture.
QUEUES = ("main", "lean", "crates")
LEASE = 0.3


@dataclass(frozen=True)
class Scene:
    """Where everything lies."""

    folder: Path  #: of the ledgers
    disk: Path | None = None  #: where the file of the store is, if elsewhere
    synchronous: str = "full"
    lease: float = LEASE
    server: str = ""  #: URL of a store on a server; without one, the store is a file
    crafts: bool = False  #: whether there are groups, flows, steps and all that, beside plain jobs

    @property
    def database(self) -> Path:
        return (self.disk or self.folder) / "corral.db"

    @property
    def url(self) -> str:
        return self.server or f"sqlite:///{self.database}?synchronous={self.synchronous}"

    @property
    def engine(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def acks(self) -> Path:
        """Jobs whose `add` returned: `queue id`."""
        return self.folder / "acks"

    @property
    def effects(self) -> Path:
        """Every call of a handler: `queue id fence pid`."""
        return self.folder / "effects"

    @property
    def verdicts(self) -> Path:
        """Every completion that the store accepted and the worker heard of: `queue id fence pid`."""
        return self.folder / "verdicts"

    @property
    def refusals(self) -> Path:
        """Every verdict that came too late and was refused: `pid`."""
        return self.folder / "refusals"

    @property
    def begun(self) -> Path:
        """Every call of a step's function: `queue id step fence`."""
        return self.folder / "begun"

    @property
    def done(self) -> Path:
        """What a step answered to its handler: `queue id step fence value`."""
        return self.folder / "done"

    @property
    def merges(self) -> Path:
        """What a job saw of those it waited for: `queue id expected completed failed pending`."""
        return self.folder / "merges"

    @property
    def kept(self) -> Path:
        """Bulks of one that were kept back while another job ran, the newest of each kind: `bulk`."""
        return self.folder / "kept"

    @property
    def troubles(self) -> Path:
        """What producers met that must have a reason: `what who`."""
        return self.folder / "troubles"

    @property
    def errors(self) -> Path:
        """What the processes wrote to standard error."""
        return self.folder / "errors"
