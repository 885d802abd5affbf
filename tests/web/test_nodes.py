"""Who is connected to the server is asked now and then, however many look."""

import asyncio

import pytest

from corral.errors import StorageUnavailableError
from corral.http import nodes as module
from corral.http.nodes import FRESH_S, Nodes
from corral.storage.client import Client

ONE = Client(queue="mail", name="node-7", address="10.0.0.1:5", connected_s=9)


async def test_connections_are_asked_for_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], []

    async def clients(url: str) -> list[Client]:
        asked.append(url)
        if len(asked) > 1:
            raise StorageUnavailableError("nobody is there")
        return [ONE]

    monkeypatch.setattr(module, "clients", clients)
    nodes = Nodes(lambda: now[0])
    assert await asyncio.gather(*(nodes.look("redis://somewhere") for _ in range(5))) == [[ONE]] * 5
    now[0] += FRESH_S - 1
    assert await nodes.look("redis://somewhere") == [ONE]
    assert len(asked) == 1
    now[0] += 1
    assert await nodes.look("redis://somewhere") is None
    assert await nodes.look(None) is None
    assert len(asked) == 2
