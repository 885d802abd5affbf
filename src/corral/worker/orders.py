"""Orders: what people tell one worker from elsewhere, by a record in its store.

They are looked for on the thread that renews leases. A worker whose event loop is blocked thus still says where.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Protocol

import msgspec
from msgspec import Struct

from corral.errors import CorralError, StorageError
from corral.storage.port import Storage
from corral.storage.records import EntryChange
from corral.timing import Millis, now_ms
from corral.worker.stacks import task_stacks, thread_stacks

logger = logging.getLogger("corral.worker")

#: How often orders are looked for (seconds): they are obeyed within 5.
LOOK = 2.0
#: How long the worker's loop may take to do what it is told, before the answer says that it has not yet (seconds).
OBEY = 2.0
#: How long an answer is kept, and how long one may be.
KEEP_MS: Millis = 3_600_000
LONGEST = 200_000
#: The kinds of the records: each with the worker's id behind it.
ORDERS, ANSWERS = "orders:", "answers:"


class Order(Struct, frozen=True, omit_defaults=True):
    """What is wanted: quiet | resume | stop | concurrency | dump."""

    command: str
    value: int | None = None  #: of `stop`: seconds that running jobs have; of `concurrency`: handlers at once …
    queue: str | None = None  #: … for this queue; None: for each
    by: str = ""


class Reply(Struct, frozen=True):
    """What became of an order."""

    ok: bool
    text: str
    at: Millis


class Ordered(Protocol):
    """What can be told to a worker."""

    id: str
    name: str

    def stop(self) -> None: ...
    def quiet(self) -> None: ...
    def resume(self) -> None: ...
    def resize(self, concurrency: int, *, queue: str | None = None) -> None: ...


class Orders:
    """Looks for the orders to one worker. Made on the worker's event loop, served on another one."""

    def __init__(self, worker: Ordered) -> None:
        self._worker = worker
        self._home = asyncio.get_running_loop()
        self._done: set[str] = set()

    async def serve(self, storage: Storage) -> None:
        """Look every other second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.look(storage)
            except StorageError as error:  # the beats speak of it
                logger.debug("orders could not be looked for: %s", error)

    async def look(self, storage: Storage) -> None:
        """Obey what is there, the oldest first, and answer."""
        kind = ORDERS + self._worker.id
        for entry in await storage.entries(kind, newest_first=False):
            if entry.id in self._done:
                continue
            self._done.add(entry.id)
            # Once, and rather not at all than twice: it is taken away before it is obeyed.
            await storage.write_entries(kind, [EntryChange(id=entry.id, text=None)])
            try:
                order = msgspec.json.decode(entry.text, type=Order)
            except msgspec.DecodeError as error:
                await self._answer(storage, entry.id, ok=False, text=f"the order cannot be read: {error}")
                continue
            logger.info("ordered to %s", order.command, extra={"event": "worker.ordered", "actor": order.by or None})
            if order.command == "stop":  # the answer first: afterwards nobody may be left to give it
                await self._answer(storage, entry.id, ok=True, text="stopping")
            ok, text = await self._obey(order)
            if order.command != "stop":
                await self._answer(storage, entry.id, ok=ok, text=text)

    async def _answer(self, storage: Storage, order_id: str, *, ok: bool, text: str) -> None:
        answer = msgspec.json.encode(Reply(ok, text[:LONGEST], now_ms())).decode()
        change = EntryChange(id=order_id, text=answer, ttl_ms=KEEP_MS)
        await storage.write_entries(ANSWERS + self._worker.id, [change])

    async def _obey(self, order: Order) -> tuple[bool, str]:
        worker = self._worker
        match order:
            case Order("quiet"):
                return await self._told(worker.quiet, "takes no more jobs")
            case Order("resume"):
                return await self._told(worker.resume, "takes jobs")
            case Order("stop", value):
                return await self._told(partial(self._stop, value), "stopping")
            case Order("concurrency", int(value)):
                where = f"in queue {order.queue}" if order.queue else "in each queue"
                return await self._told(
                    lambda: worker.resize(value, queue=order.queue), f"runs {value} at once {where}"
                )
            case Order("dump"):
                return True, await self._dump()
        return False, f"no worker knows the order {order.command!r} with the value {order.value!r}"

    def _stop(self, seconds: int | None) -> None:
        self._worker.stop()
        if seconds is not None:  # the second time hands back what still runs
            asyncio.get_running_loop().call_later(seconds, self._worker.stop)

    async def _told(self, what: Callable[[], None], done: str) -> tuple[bool, str]:
        try:
            await self._at_home(what)
        except TimeoutError:
            return True, f"{done}, as soon as the event loop answers: a handler blocks it"
        except CorralError as error:
            return False, str(error)
        return True, done

    async def _dump(self) -> str:
        try:
            tasks = await self._at_home(task_stacks)
        except TimeoutError:
            tasks = "the event loop does not answer: the thread that runs it shows what blocks it"
        return f"{thread_stacks()}\n\n{tasks}"

    async def _at_home(self, what: Callable[[], object]) -> str:
        """Do something on the worker's loop; answers with it when it is done. Raises: TimeoutError, and its errors."""
        future: Future[str] = Future()

        def run() -> None:
            try:
                future.set_result(str(what() or ""))
            except CorralError as error:
                future.set_exception(error)

        if not self._home.is_closed():
            self._home.call_soon_threadsafe(run)
        async with asyncio.timeout(OBEY):
            return await asyncio.shield(asyncio.wrap_future(future))
