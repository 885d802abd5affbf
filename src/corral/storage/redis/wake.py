"""Sleeping until there is something to claim: BullMQ's `marker`, popped with a blocking read."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence

from corral.storage.redis.connection import Server

#: By so many seconds a server may end a read before its time, as its clock and ours are not the same.
EARLY = 0.05


class Waiter:
    """Waits for markers. The connection that waits for a queue bears the name by which BullMQ finds workers."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self.names: dict[str, str] = {}  #: who claims from a queue here

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        """Whether a marker was there or came. It is taken away: who asked must claim now."""
        if not queues:
            return False
        seconds = max(0.001, timeout)
        command = ("BZPOPMIN", *(f"{self._prefix}:{queue}:marker" for queue in queues), f"{seconds:.3f}")
        clock = asyncio.get_running_loop().time
        began = clock()
        answer = await self._server.block(command, timeout=seconds, name=self._name(queues[0]))
        # Nothing, but too soon: the connection was lost, or the server's clock jumped. What came meanwhile is unknown.
        return answer is not None or clock() - began < seconds - EARLY

    def _name(self, queue: str) -> str:
        base = f"{self._prefix}:{b64encode(queue.encode()).decode()}"
        worker = self.names.get(queue)
        # A connection's name may have no spaces; BullMQ lists whatever begins like this.
        return f"{base}:w:{''.join(worker.split())}" if worker else base
