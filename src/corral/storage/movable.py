"""`movable(url)`: a store that can be moved. Beside `connect` and `checkup` the one place where adapters are named."""

from urllib.parse import urlsplit

from corral.storage.connect import check_url, driver_missing
from corral.storage.transfer import Movable


def movable(url: str) -> Movable:
    """The store at this URL, to be opened by `async with`. It is the port and `Transfer` in one.

    Raises:
        ConfigError: a URL that cannot be meant, or one whose driver is not installed.
    """
    check_url(url)
    if urlsplit(url).scheme == "sqlite":
        from corral.storage.sqlite.transfer import SqliteTransfer  # as in connect(): only for who opens a store

        return SqliteTransfer(url)
    try:
        from corral.storage.redis.transfer import RedisTransfer
    except ModuleNotFoundError as error:
        raise driver_missing(url, error) from None
    return RedisTransfer(url)
