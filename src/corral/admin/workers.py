"""The write model's verbs about workers: orders, which the worker picks up and answers."""

import msgspec
from msgspec import Struct

from corral.admin.base import DeskBase
from corral.errors import ConfigError, RecordNotFoundError
from corral.naming import sortable_id
from corral.storage.records import EntryChange
from corral.timing import Millis

COMMANDS = ("quiet", "resume", "stop", "concurrency", "dump")
#: An order that nobody has picked up by then is void: the worker is gone.
ORDER_MS: Millis = 300_000
#: Workers that were seen lately enough to be given orders.
SEEN_MS: Millis = 300_000
MOST_SLOTS = 10_000


class Order(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order to a worker, as it is stored."""

    command: str
    value: int | None = None
    queue: str | None = None
    by: str = ""


class Answer(Struct, frozen=True, kw_only=True):
    """What a worker says to an order, as it is stored."""

    ok: bool = True
    text: str = ""
    at: Millis = 0


_decode = msgspec.json.Decoder(Answer).decode


class WorkerVerbs(DeskBase):
    """What people tell workers."""

    async def order(self, worker_id: str, command: str, value: int | None = None, *, queue: str | None = None) -> str:
        """Tell a worker to be quiet, to resume, to stop, to change its slots, or to dump its stacks.

        It looks for orders every few seconds; `answer` has what it says to this one.

        Args:
            value: of `concurrency` its slots, of `stop` the seconds that its jobs get.
            queue: of `concurrency`, whose slots.

        Raises:
            RecordNotFoundError: no such worker. ConfigError: another command, or a value that does not belong to it.
        """
        async with self._noting(f"worker.{command}", worker=worker_id, queue=queue) as note:
            _check(command, value)
            now = self.ground.store_now()
            if worker_id not in {one.id for one in await self.storage.workers(stale_ms=SEEN_MS, now=now)}:
                raise RecordNotFoundError("worker", worker_id)
            order = Order(command=command, value=value, queue=queue, by=self.actor.sub)
            command_id = sortable_id(self.ground.at())
            text = msgspec.json.encode(order).decode()
            change = EntryChange(id=command_id, text=text, version=0, ttl_ms=ORDER_MS)
            await self.storage.write_entries(f"orders:{worker_id}", [change], now=now)
            note.after = {"value": value} if value is not None else None
            return command_id

    async def answer(self, worker_id: str, command_id: str) -> str | None:
        """What the worker said to an order; None while it has said nothing (or has for over an hour)."""
        now = self.ground.store_now()
        found = await self.storage.entries(f"answers:{worker_id}", ids=[command_id], now=now)
        return _decode(found[0].text).text if found else None


def _check(command: str, value: object) -> None:
    if command not in COMMANDS:
        raise ConfigError(f"a worker is told to {', '.join(COMMANDS)}, not {command!r}", key="command")
    number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_SLOTS
    if command == "concurrency" and not (number and value):
        raise ConfigError(f"concurrency must be 1 to {MOST_SLOTS:,}, not {value!r}", key="value")
    if value is not None and (command not in ("concurrency", "stop") or not number):
        raise ConfigError(f"{command} does not take {value!r}", key="value")
