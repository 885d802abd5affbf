import asyncio
import os

from corral import Corral, SyncJobContext

app = Corral("sqlite:///corral.db")
work = app.queue("work", concurrency=4, timeout=60)


@work.job("block")
def block(ctx: SyncJobContext) -> int:  # in a thread: for libraries that block
    ctx.check()  # a thread cannot be stopped from outside: in long loops, look whether it should
    return os.getpid()


@work.job("compute", process=True)
def compute() -> int:  # in a process of its own: for work that computes, or that may crash
    return os.getpid()


async def main() -> None:
    async with app, await app.worker():
        jobs = [await block.add(), await compute.add()]
        print([await job.result(timeout=30) == os.getpid() for job in jobs])


if __name__ == "__main__":
    asyncio.run(main())
# -> [True, False]
