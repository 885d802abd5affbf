"""Who is connected to a store's server and takes jobs from it, by the name of their connection."""

from msgspec import Struct


class Client(Struct, frozen=True, kw_only=True):
    """A connection on which somebody waits for jobs of a queue: BullMQ's worker, on Node or in Python, or corral's."""

    queue: str
    name: str  #: of the worker; "" when it has none
    address: str
    connected_s: int  #: for how long, in seconds
    library: str = ""  #: what it is written with, where it says so
