"""`connect(url)`: from a URL to a store. The one place where adapters are named."""

from urllib.parse import urlsplit, urlunsplit

from corral.errors import ConfigError
from corral.storage.port import Storage

_SHAPES = "sqlite:///relative/file.db, sqlite:////absolute/file.db or sqlite:///:memory:"


def check_url(url: str) -> None:
    """Raise ConfigError unless the URL names a store this version can open."""
    if not isinstance(url, str) or "://" not in url:
        raise ConfigError(f"store URL {url!r} is not a URL; use {_SHAPES}", key="url")
    scheme = urlsplit(url).scheme
    if scheme in ("redis", "rediss", "valkey"):
        raise ConfigError("this version of corral has no Redis engine yet; use " + _SHAPES, key="url")
    if scheme != "sqlite":
        raise ConfigError(f"store URL {safe_url(url)!r} has the unknown scheme {scheme!r}; use {_SHAPES}", key="url")
    from corral.storage.sqlite.url import parse  # the parser is cheap; the driver is imported by connect()

    parse(url)


def connect(url: str) -> Storage:
    """A store that is opened by `async with`. Making it does no I/O.

    Raises:
        ConfigError: a URL that cannot be meant.
    """
    check_url(url)
    from corral.storage.sqlite.store import SqliteStorage  # apsw takes 10 ms to import: only for who opens a store

    return SqliteStorage(url)


def safe_url(url: str) -> str:
    """The URL as it may be shown: without a password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}{port}"))
