"""`connect(url)`: from a URL to a store. The one place where adapters are named."""

import re
from urllib.parse import urlsplit

from corral.errors import ConfigError
from corral.storage.port import Storage

_SHAPES = "sqlite:///relative/file.db, sqlite:////absolute/file.db, sqlite:///:memory: or redis://host:6379/0"
_REDIS = ("redis", "rediss", "valkey", "valkeys")


def check_url(url: str) -> None:
    """Raise ConfigError unless the URL names a store this version can open."""
    if not isinstance(url, str) or "://" not in url:
        raise ConfigError(f"store URL {url!r} is not a URL; use {_SHAPES}", key="url")
    scheme = urlsplit(url).scheme
    # The parsers are cheap; the drivers are imported by connect().
    if scheme.partition("+")[0] in _REDIS:
        from corral.storage.redis import url as redis_url

        redis_url.parse(url)
        return
    if scheme != "sqlite":
        raise ConfigError(f"store URL {safe_url(url)!r} has the unknown scheme {scheme!r}; use {_SHAPES}", key="url")
    from corral.storage.sqlite import url as sqlite_url

    sqlite_url.parse(url)


def connect(url: str) -> Storage:
    """A store that is opened by `async with`. Making it does no I/O.

    Raises:
        ConfigError: a URL that cannot be meant, or one whose driver is not installed.
    """
    check_url(url)
    if urlsplit(url).scheme != "sqlite":
        return _redis(url)
    from corral.storage.sqlite.store import SqliteStorage  # apsw takes 10 ms to import: only for who opens a store

    return SqliteStorage(url)


def _redis(url: str) -> Storage:
    try:
        from corral.storage.redis.store import RedisStorage  # redis-py takes 80 ms to import
    except ModuleNotFoundError as error:
        raise driver_missing(url, error) from None
    return RedisStorage(url)


def driver_missing(url: str, error: ModuleNotFoundError) -> Exception:
    """What to raise when an adapter cannot be imported; the error itself when it is about something else."""
    if (error.name or "").partition(".")[0] not in ("redis", "hiredis"):
        return error
    text = f"{safe_url(url)} needs redis-py and hiredis, which are not installed: pip install 'corral[redis]'"
    return ConfigError(text, key="url")


def safe_url(url: str) -> str:
    """The URL as it may be shown: without a password."""
    scheme, mark, rest = url.partition("://")  # by hand: urlunsplit makes sqlite:/file of sqlite:///file
    place, ask, query = rest.partition("?")
    if scheme != "sqlite":  # a password that should have been quoted may hold a slash; a file's name may hold an @
        credentials, at, hosts = place.rpartition("@")
        user, colon, _ = credentials.partition(":")
        place = f"{user}{colon}***{at}{hosts}" if colon else place
    query = re.sub(r"(password=)[^&]*", r"\1***", query)
    return f"{scheme}{mark}{place}{ask}{query}"
