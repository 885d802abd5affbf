"""What a clean-up answers."""

from typing import TypedDict

from corral.errors import CorralError


class CleanupError(CorralError):
    """Nothing could be removed although there was something to remove, or no table. Trying again later may help."""


class Cleaned(TypedDict):
    """What one clean-up did, or in a dry run would have done."""

    removed: int  #: files, or rows
    bytes: int  #: of files
    folders: int
    archived: int
    failed: int  #: could not be removed; the job's log has the first of them
    more: bool  #: a limit was reached: the next run goes on
    before: str  #: the instant that divides old from young (of the oldest rule)
    dryRun: bool


class Tally:
    """Counts while a clean-up goes on."""

    def __init__(self) -> None:
        self.removed = self.bytes = self.folders = self.archived = self.failed = 0
        self.more = False

    def add(self, other: "Tally") -> None:
        """Add what another rule did."""
        self.removed += other.removed
        self.bytes += other.bytes
        self.folders += other.folders
        self.archived += other.archived
        self.failed += other.failed
        self.more |= other.more

    def result(self, *, before: str, dry_run: bool) -> Cleaned:
        """The counts as a job answers them."""
        return {
            "removed": self.removed, "bytes": self.bytes, "folders": self.folders, "archived": self.archived,
            "failed": self.failed, "more": self.more, "before": before, "dryRun": dry_run,
        }  # fmt: skip
