"""Desk: a connection for whoever looks at an outbox from outside of the application, such as the command line."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from corral.errors import StorageUnavailableError


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """A transaction on the database of this URL, committed at the end.

    Raises:
        StorageUnavailableError: it cannot be reached, has no outbox, or its driver is not installed.
    """
    try:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            yield connection
    except (SQLAlchemyError, ModuleNotFoundError, OSError) as error:
        # The first line alone: what follows quotes statements and their values.
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise StorageUnavailableError(f"the database with the outbox cannot be used: {said}") from None
