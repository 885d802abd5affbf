"""Opening one connection: redis-py makes it and logs in, then its transport is handed over to a `Link`.

redis-py repeats nothing here: it makes one attempt, and whoever called decides about the next.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypedDict

from hiredis import ReplyError
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from corral.errors import ConfigError, CorralError, StorageVersionError
from corral.storage.redis.faults import error_of, retriable
from corral.storage.redis.link import Answer, Command, Link, Lost, pack
from corral.storage.redis.url import Address, Place, Tls, shown

OLDEST = (6, 2)


class UnreachableError(Exception):
    """This attempt did not lead to a usable connection; another may. The text says why."""


def tls_context(tls: Tls) -> ssl.SSLContext:
    """The TLS settings of a `rediss://` URL.

    Raises:
        ConfigError: a file that is missing or is no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"the TLS files of the Redis URL cannot be used: {error}", key="url") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def dial(
    address: Address, place: Place, context: ssl.SSLContext | None, *, silence: float | None, limit: float,
    name: str | None = None,
) -> Link:  # fmt: skip
    """Connect, log in and learn who answers, within `limit` seconds.

    Raises:
        UnreachableError: it did not work this time.
        ConfigError, StorageError, StorageVersionError: it will not work until somebody changes something.
    """
    link = Link(silence)
    try:
        async with asyncio.timeout(limit):
            await _connect(link, _connection(address, place, context, limit), place)
            await _meet(link, place, name)
    except TimeoutError as error:
        raise UnreachableError(f"{shown(address)} did not answer within {limit:.3g} s") from error
    finally:
        if not link.version:  # we did not get that far: also when the caller is cancelled
            link.cut("given up")
    return link


@contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Cancel the task if that was asked for inside.

    redis-py waits with asyncio.wait_for, which before Python 3.12 loses a cancellation that meets the end of its wait.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


async def ask(link: Link, *commands: Command) -> list[Answer]:
    """Send commands together and wait for all of their answers."""
    return [await future for future in [link.call(pack(command)) for command in commands]]


class _Login(TypedDict):
    db: int
    username: str | None
    password: str | None
    protocol: int
    socket_timeout: float
    socket_connect_timeout: float


def _connection(address: Address, place: Place, context: ssl.SSLContext | None, limit: float) -> AbstractConnection:
    login = _Login(
        db=place.db,
        username=place.user or None,
        password=place.password or None,
        protocol=2,
        socket_timeout=limit,
        socket_connect_timeout=limit,
    )
    if isinstance(address, str):
        return UnixDomainSocketConnection(path=address, **login)
    host, port = address
    if context is None:
        return Connection(host=host, port=port, socket_keepalive=True, **login)
    connection = SSLConnection(host=host, port=port, socket_keepalive=True, **login)
    connection.ssl_context.context = context  # made and checked once: loading the system's authorities takes 10 ms
    return connection


async def _connect(link: Link, connection: AbstractConnection, place: Place) -> None:
    try:
        with heeding_cancellation():
            await connection.connect()
        link.take_over(connection)
    except RedisError as error:
        raise _meaning(error, place) from error
    finally:  # after a hand-over there is nothing left to disconnect
        with suppress(RedisError):
            await connection.disconnect(nowait=True)


def _meaning(error: RedisError, place: Place) -> CorralError | UnreachableError:
    """What redis-py's complaint means for us. Over a unix socket it wraps one in another."""
    if isinstance(error.__cause__, RedisError):
        return _meaning(error.__cause__, place)
    if isinstance(error, AuthenticationError):
        return error_of(f"WRONGPASS {error}", doing="login", queue="", place=place)
    if isinstance(error, NoPermissionError):
        return error_of(f"NOPERM {error}", doing="login", queue="", place=place)
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        reason = error.__context__.verify_message
        return ConfigError(
            f"the TLS certificate of {place} is refused: {reason}; name its authority with ca=/path", key="ca"
        )
    if isinstance(error, ResponseError):
        return ConfigError(f"database {place.db} of {place} cannot be used: {error}", key="db")
    return UnreachableError(str(error))


async def _meet(link: Link, place: Place, name: str | None) -> None:
    """Learn what the server says of itself. HELLO needs no right but that of connecting."""
    (hello,) = await ask(link, ("HELLO", 2))
    if isinstance(hello, list):
        facts = {_text(key): _text(value) for key, value in zip(hello[::2], hello[1::2], strict=False)}
        link.role, link.mode, version = facts.get("role", ""), facts.get("mode", ""), facts.get("version", "")
    else:
        _check(hello, place, unless=("NOPERM", "ERR unknown command"))
        (info,) = await ask(link, ("INFO", "server"))
        _check(info, place, unless=("NOPERM",))
        facts = dict(line.split(":", 1) for line in _text(info).splitlines() if ":" in line)
        link.mode, version = facts.get("redis_mode", ""), facts.get("redis_version", "")
    known = version_of(version) or OLDEST  # of a server that tells nothing we expect the least
    if known < OLDEST and link.mode != "sentinel":
        raise StorageVersionError(f"the Redis server at {place} is version {version}; corral needs 6.2 or newer")
    if name is not None:  # for people who look at the list of clients: a refusal does not matter
        await ask(link, ("CLIENT", "SETNAME", name))
    link.version = known


def _check(answer: Answer, place: Place, *, unless: tuple[str, ...]) -> None:
    if isinstance(answer, Lost):
        raise UnreachableError(f"{place}: {answer}")
    if isinstance(answer, ReplyError) and not str(answer).startswith(unless):
        if retriable(str(answer)):
            raise UnreachableError(f"{place}: {answer}")
        raise error_of(str(answer), doing="connecting", queue="", place=place)


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a version: `7.0.15` -> (7, 0, 15), `8.0-rc1` -> (8, 0)."""
    numbers = []
    for word in text.strip().split("."):
        digits = word[: len(word) - len(word.lstrip("0123456789"))]
        if digits:
            numbers.append(int(digits))
        if digits != word:
            break
    return tuple(numbers)


def _text(answer: Answer) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else ""
