"""What every request to a script has."""

from msgspec import Struct

from corral.timing import Millis


class Call(Struct, omit_defaults=True, kw_only=True):
    """What every request to a script has."""

    prefix: str
    queue: str = ""
    now: Millis | None = None
