"""`add_inside(url, …)`: jobs in the application's own transaction. Beside `connect` it may name an adapter."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from corral.errors import ConfigError
from corral.job import NewJob
from corral.storage.connect import check_url, safe_url
from corral.storage.port import Added


def add_inside(url: str, connection: object, jobs: Sequence[NewJob]) -> list[Added]:
    """Add jobs with the application's own connection: they are there if and only if its transaction commits.

    Args:
        connection: of sqlite3, apsw or SQLAlchemy (also a session), in a transaction, on the file that `url` names.

    Raises:
        ConfigError: a store that is no file, another file, a connection that commits each statement by itself, or
            something that is no such connection. StorageVersionError: the file has no store of this version.
            What the connection raises itself, such as that the database is locked.
    """
    check_url(url)
    if urlsplit(url).scheme != "sqlite":
        raise ConfigError(
            f"{safe_url(url)} is a server, which takes no part in a transaction of a database: use corral.outbox",
            key="connection",
        )
    from corral.storage.sqlite.foreign import add_with  # as in connect(): only for who asks

    return add_with(url, connection, jobs)
