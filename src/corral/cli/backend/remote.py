"""The HTTP API as a back end: the same questions and verbs, asked over the network."""

from types import TracebackType
from typing import Self

from corral.cli.backend.client import Client
from corral.cli.backend.remote_acts import RemoteActs
from corral.cli.backend.remote_base import table
from corral.cli.backend.remote_reads import RemoteReads
from corral.cli.backend.remote_runs import RemoteRuns


class Remote(RemoteReads, RemoteActs, RemoteRuns):
    """A back end over one API. Opening it asks nothing: the first question tells whether it is there."""

    def __init__(
        self, address: str, token: str | None = None, *, timeout: float | None = None, reason: str = ""
    ) -> None:
        self.client = Client(address, token, timeout=timeout, reason=reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def about(self) -> str:
        root = table(await self.client.get("/"))
        return f"{root.get('name')} {root.get('version')} at {self.client.base}; engine: {root.get('engine')}"
