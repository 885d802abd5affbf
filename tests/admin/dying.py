"""A process that carries out an operation and hangs after its second page: acted on, not yet written down."""

import asyncio
import sys

from corral.admin.admin import Admin
from corral.job import JobId
from corral.monitor.monitor import Monitor
from corral.storage.connect import connect
from corral.storage.passing import Passing
from corral.storage.port import Selection, Storage
from corral.timing import Millis


class Hanging(Passing):
    """A store that answers every retry but the second, which it has carried out."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.retries = 0

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        reached = await super().retry(queue, which, reset_attempts=reset_attempts, now=now)
        self.retries += 1
        if self.retries == 2:
            print("acted", flush=True)
            await asyncio.Event().wait()
        return reached


async def main(url: str) -> None:
    """Carry out whatever there is, until somebody kills it."""
    async with connect(url) as storage:
        hanging = Hanging(storage)
        monitor = Monitor(hanging)
        monitor.seconds = lambda: 0.0  # full pages, however slow the machine
        admin = Admin(hanging, monitor)
        async with admin.runner.run():
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
