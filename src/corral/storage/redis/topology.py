"""Finding the server that is responsible now: the one of the URL, the sentinels' master, or the owner of our slot."""

import ssl

from hiredis import ReplyError
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from corral.errors import ConfigError
from corral.storage.redis.dial import UnreachableError, ask, dial, heeding_cancellation, tls_context
from corral.storage.redis.link import Link, Lost, Reply
from corral.storage.redis.slots import slot_of
from corral.storage.redis.url import Address, Mode, Place, Tls, shown

#: Seconds that one attempt to connect may take, so that a dead address does not eat the whole patience.
ATTEMPT = 3.0


class Finder:
    """Makes connections to whichever server is responsible at that moment."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._limit = min(ATTEMPT, place.patience)
        self._context: ssl.SSLContext | None = None
        self._known: list[Address] = list(place.addresses)
        self._hint: Address | None = None

    def moved(self, text: str) -> None:
        """Take in a `MOVED slot host:port` reply: the next connection goes there."""
        words = text.split()
        if len(words) == 3 and words[0] == "MOVED":
            host, _, port = words[2].rpartition(":")
            if host and port.isdigit():  # without a host it means: the same one
                self._hint = (host, int(port))

    async def connect(self, *, silence: float | None, name: str | None = None) -> Link:
        """A connection to the responsible server.

        Raises:
            UnreachableError: not this time.
            ConfigError, StorageError: not before somebody changes something.
        """
        if self._place.tls is not None and self._context is None:
            self._context = tls_context(self._place.tls)
        address = await self._where()
        link = await dial(address, self._place, self._context, silence=silence, limit=self._limit, name=name)
        try:
            self._check(link, address)
        except (UnreachableError, ConfigError) as error:
            link.cut(str(error))
            raise
        return link

    async def _where(self) -> Address:
        if self._place.mode is Mode.SENTINEL:
            return await self._master()
        if self._place.mode is Mode.CLUSTER:
            hint, self._hint = self._hint, None
            return hint or await self._node()
        return self._place.addresses[0]

    def _check(self, link: Link, address: Address) -> None:
        if self._place.mode is Mode.SENTINEL and link.role not in ("", "master"):
            raise UnreachableError(f"{shown(address)} is a {link.role}: the sentinels have not settled on a master yet")
        if self._place.mode is not Mode.CLUSTER and link.mode == "cluster":
            raise ConfigError(
                f"{shown(address)} is a node of a cluster; use redis+cluster:// and a prefix in braces", key="url"
            )
        if self._place.mode is not Mode.SENTINEL and link.mode == "sentinel":
            raise ConfigError(
                f"{shown(address)} is a sentinel; use redis+sentinel://{shown(address)}/name-of-the-master", key="url"
            )

    async def _master(self) -> Address:
        """What the sentinels say: redis-py asks one by one, and passes over a master that they hold for down."""
        place, tls = self._place, self._place.tls
        sentinels = Sentinel(
            self._known,
            sentinel_kwargs={
                "username": place.sentinel_user or None, "password": place.sentinel_password or None, "protocol": 2,
                "socket_timeout": self._limit, "socket_connect_timeout": self._limit, "retry": Retry(NoBackoff(), 0),
                "ssl": tls is not None, **({} if tls is None else _ssl_settings(tls)),
            },
        )  # fmt: skip
        try:
            with heeding_cancellation():
                host, port = await sentinels.discover_master(place.service)
        except RedisError as error:
            text = str(error)
            if place.sentinel_password:  # redis-py 6 shows it
                text = text.replace(place.sentinel_password, "***")
            raise UnreachableError(f"the sentinels {place} name no master {place.service!r}: {text}") from error
        finally:
            for one in sentinels.sentinels:
                await one.aclose()
        return host, int(port)

    async def _node(self) -> Address:
        """The owner of our slot; the node that could say so is asked first next time."""
        troubles: list[str] = []
        for address in list(self._known):
            try:
                link = await dial(address, self._place, self._context, silence=self._limit, limit=self._limit)
                try:
                    (answer,) = await ask(link, ("CLUSTER", "SLOTS"))
                finally:
                    link.cut("asked")
                if isinstance(answer, Lost | ReplyError):
                    raise UnreachableError(f"{shown(address)}: {answer}")
                found = self._owner(answer, address)
            except UnreachableError as error:
                troubles.append(str(error))
                continue
            self._known.remove(address)
            self._known.insert(0, address)
            return found
        raise UnreachableError("; ".join(troubles))

    def _owner(self, answer: Reply, asked: Address) -> Address:
        """The node that serves our slot, from `CLUSTER SLOTS`: [first, last, [host, port, id, ...], replicas ...]."""
        slot = slot_of(self._place.prefix)
        for entry in answer if isinstance(answer, list) else ():
            match entry:
                case [int() as first, int() as last, [host, int() as port, *_], *_]:
                    address = _reachable(host, port, asked)
                    if address not in self._known:  # the URL's nodes may all be gone one day
                        self._known.append(address)
                    if first <= slot <= last:
                        return address
        raise UnreachableError(f"nobody serves slot {slot}, says {shown(asked)}: the cluster is not whole")


def _ssl_settings(tls: Tls) -> dict[str, str | bool | None]:
    return {
        "ssl_ca_certs": tls.ca, "ssl_certfile": tls.cert, "ssl_keyfile": tls.key,
        "ssl_cert_reqs": "required" if tls.verify else "none", "ssl_check_hostname": tls.verify,
    }  # fmt: skip


def _reachable(host: Reply, port: int, asked: Address) -> Address:
    """A node's address; one that does not know its own name is where we asked."""
    if isinstance(host, bytes) and host not in (b"", b"?"):
        return host.decode(), port
    return (asked[0] if isinstance(asked, tuple) else "localhost"), port
