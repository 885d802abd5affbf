"""Relays in processes of their own, to be killed: `python -m tests.outbox.relaying STORE DATABASE`.

Importing everything takes a second, so this process does it once and opens nothing: each `start` on its standard input
forks a relay, which says "ready", and each `kill` ends it.
"""

import asyncio
import os
import signal
import sys

import sqlalchemy as sa

from corral.outbox import Outbox

from .shop import shop


async def carry(store: str, database: str) -> None:
    """Carry rows until killed."""
    async with shop(store) as app:
        print("ready", flush=True)
        await Outbox(app).relay(sa.create_engine(database), batch=3, every=0.01, lease=0.2).run()


def main(store: str, database: str) -> None:
    """Start and kill relays as told, one at a time, until nobody tells any more."""
    relay = 0
    for order in sys.stdin:
        if order == "start\n":
            relay = os.fork()
            if relay == 0:
                asyncio.run(carry(store, database))
                os._exit(1)
        else:
            os.kill(relay, signal.SIGKILL)
            os.waitpid(relay, 0)
            print("dead", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
