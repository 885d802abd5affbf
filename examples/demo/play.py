"""The play: the worker runs, the platform adds its jobs, the screen shows it, and the last line is the verdict."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import NamedTuple

from corral import BaseWorker, ConfigError, Corral, WorkerOptions

from .screen import Screen, screen_for
from .stage import Act, Stage, api_of
from .watch import Result, Watch, windows

LOOK = 0.2  #: seconds between two looks at the store
PATIENCE = 120.0  #: with --once: give up when nothing has happened for so long


class Wish(NamedTuple):
    """What the command line says beside the stage."""

    platform: str
    once: bool
    plain: bool
    port: int  #: of the platform's API; 0: a free one


async def play(act: Act, stage: Stage, wish: Wish) -> int:
    """Run the worker, let the platform add its jobs and show what happens. Answers the exit code."""
    async with stage.open:
        app = await act.build(stage)
        async with app:
            watch = Watch(app, stage)
            await watch.begin()
            worker = await app.worker(options=WorkerOptions(name="demo", stats_interval=0))
            with screen_for(app, plain=wish.plain) as screen:
                stage.note = screen.note
                greet(stage, wish, watch)
                async with AsyncExitStack() as beside:
                    if not wish.once:  # who watches sees two workers share the queues
                        second = await app.worker(options=WorkerOptions(name="demo-2", stats_interval=0))
                        await beside.enter_async_context(second)
                    await open_site(act, app, stage, wish, beside)
                    done = await follow(worker, act.life(app, stage), watch, screen, stage, once=wish.once)
                screen.show(watch, await watch.look(), stage.crowd)
            return report(app, stage, wish, watch, await watch.result(), interrupted=not done)


def greet(stage: Stage, wish: Wish, watch: Watch) -> None:
    """Say where everything is."""
    stage.note(f"{wish.platform} on {stage.url}; mails go into {stage.mails}, none leaves this machine")
    if watch.left_over:
        stage.note(f"{watch.left_over} jobs of an earlier run are still here, and run now")


async def open_site(act: Act, app: Corral, stage: Stage, wish: Wish, beside: AsyncExitStack) -> None:
    """Serve the platform's API, where it has one, and the dashboard, until the demo is over."""
    try:
        from .serving import listening, site_of
        from .site import site
    except (ImportError, ConfigError) as missing:
        stage.note(f"neither API nor dashboard: {missing}")
        return
    try:
        sock = listening(wish.port)
    except OSError as error:
        raise SystemExit(f"demo: port {wish.port} cannot be used: {error.strerror}") from None
    api = api_of(act)
    stage.site = site_of(sock)
    login = await beside.enter_async_context(site(app, None if api is None else api(app, stage), sock))
    if api is not None:
        stage.note(f"the platform's API is at {stage.site}")
    stage.note(f"the dashboard, for one login: {login}")


async def follow(
    worker: BaseWorker, life: Coroutine[object, object, None], watch: Watch, screen: Screen, stage: Stage, *, once: bool
) -> bool:
    """Show what happens until the worker stops; with `once`, stop it when all is done. True when all was done."""
    told, done, moved = False, False, time.monotonic()
    working, living = asyncio.create_task(worker.run()), asyncio.create_task(life)
    try:
        while not working.done():
            events = await watch.look()
            screen.show(watch, events, stage.crowd)
            moved = time.monotonic() if events else moved
            over = living.done() and watch.settled
            if living.done():
                living.result()  # what went wrong in it goes wrong here
            if once and (over or time.monotonic() - moved > PATIENCE):
                done = True
                worker.stop()
                break
            if over and not told:
                told = True
                screen.note("every job has ended; the worker stays for more: Ctrl-C stops it")
            await asyncio.wait([working], timeout=LOOK)
        await working
    finally:
        for task in (living, working):
            task.cancel()
        await asyncio.gather(living, working, return_exceptions=True)
    return done


def rates(app: Corral, watch: Watch) -> None:
    """Print how well the limits were kept."""
    for name, queue in app.queues.items():
        if queue.rate_limit is not None and watch.lines[name].starts:
            counts = windows(watch.lines[name].starts, round(queue.rate_limit.per * 1_000))
            print(
                f"{name}: {sum(counts)} starts in {len(counts)} windows of {queue.rate_limit.per:g} s, "
                f"at most {max(counts)} in one; the limit is {queue.rate_limit.count}"
            )


def report(app: Corral, stage: Stage, wish: Wish, watch: Watch, result: Result, *, interrupted: bool) -> int:
    """Print the figures; answers the exit code."""
    rates(app, watch)
    mails = len(list(stage.mails.glob("*.eml")))
    print(f"{mails} mails lie in {stage.mails}; the log is {stage.folder / 'demo.log'}")
    for job in result.failed:
        print(f"failed, and was not meant to: {job}")
    for job in result.spared:
        print(f"was meant to fail, and did not: {job}")
    lost = result.gone if interrupted else [*result.gone, *result.pending]
    for job in lost:
        print(f"lost: {job}")
    if interrupted and result.pending:
        print(f"{len(result.pending)} jobs are still in the store: the next run goes on with them")
    print(
        f"demo: {result.completed} completed, {result.retried} retried, {result.intended} failed as intended, "
        f"{len(lost)} lost"
    )
    if lost or result.failed or result.spared:
        return 1
    return 130 if interrupted and wish.once else 0
