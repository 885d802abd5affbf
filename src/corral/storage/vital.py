"""What a store says about itself: the findings about the server or the file, for `corral doctor` and its kin."""

from msgspec import Struct

#: A disk or a memory that is fuller than this is worth a word, and then an alarm.
FULL, BRIMFUL = 0.8, 0.95


class Vital(Struct, frozen=True):
    """One fact. `fix` is the way out, empty where all is well; `grave` when jobs are at stake now."""

    name: str
    text: str
    fix: str = ""
    grave: bool = False


def size(count: float) -> str:
    """A number of bytes as people say it: `12.3 MB`."""
    units = ["bytes", "KB", "MB", "GB", "TB"]
    while count >= 1_000 and len(units) > 1:
        count /= 1_000
        del units[0]
    return f"{count:.0f} {units[0]}" if count >= 100 or units[0] == "bytes" else f"{count:.1f} {units[0]}"


def fill(name: str, what: str, used: float, whole: float, fix: str) -> Vital:
    """How full something is that jobs need."""
    part = used / whole if whole else 0.0
    return Vital(name, what, fix if part > FULL else "", part > BRIMFUL)
