"""Connections that go to the addresses that were checked, and to no others.

A name is looked up once, its addresses are checked, and the socket is opened to one of them by number: what the name
means a moment later makes no difference. TLS still asks for the name.
"""

from collections.abc import Iterable

import httpcore2

from corral.handlers.kit.addresses import Resolve, public_addresses


class PublicOnly(httpcore2.AsyncNetworkBackend):
    """Opens sockets to public addresses alone. The guard sits here, below everything that reads a URL."""

    def __init__(self, resolve: Resolve, inner: httpcore2.AsyncNetworkBackend) -> None:
        self._resolve = resolve
        self._inner = inner

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:  # fmt: skip
        """Look the name up, check what it means, and connect to the first address that answers.

        Raises:
            BlockedAddressError: not public. WebError: no such name.
        """
        addresses = await public_addresses(host, port, self._resolve)
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue  # a host with an IPv6 address may still be reachable only by its IPv4 one
        return await self._inner.connect_tcp(addresses[-1], port, share, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:  # fmt: skip
        """Never: a file is not on the web. Raises: httpcore2.ConnectError."""
        raise httpcore2.ConnectError(f"{path} is a file")

    async def sleep(self, seconds: float) -> None:
        """As the backend below."""
        await self._inner.sleep(seconds)
