"""`python -m teamspark.demo [--once] [--dir PATH] [--url URL]`: the platform at work, before your eyes."""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import NamedTuple

from corral import BaseWorker, Corral, WorkerOptions
from corral.handlers.email import DryRunTransport, EmailSettings

from ..build import make_app
from ..payloads import JobType
from ..settings import Settings
from .log import log_into
from .scenario import add_mails, add_others, run_schedules
from .screen import Screen, screen_for
from .transport import Unreliable, note_attempt
from .watch import Result, Watch, windows

LOOK = 0.2  #: seconds between two looks at the store
PATIENCE = 30.0  #: with --once: give up when no job has ended for so long
MOST = 10_000  #: mails that one step may add


class Wish(NamedTuple):
    """What the command line says."""

    once: bool
    folder: Path
    url: str
    burst: int
    plain: bool


def read_arguments() -> Wish:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="TeamSpark's jobs, live.")
    parser.add_argument("--once", action="store_true", help="end when all jobs have ended; exit code 1 if any is lost")
    parser.add_argument("--dir", type=Path, default=Path(".corral"), metavar="PATH", help="where files go (.corral)")
    parser.add_argument("--url", metavar="URL", help="another store than demo.db in that folder")
    parser.add_argument(
        "--burst", type=int, default=200, metavar="N", help="how many team updates to add at once (200)"
    )
    parser.add_argument("--plain", action="store_true", help="lines instead of a live picture")
    given = parser.parse_args()
    if not 0 <= given.burst <= MOST:
        parser.error(f"--burst must be from 0 to {MOST}")
    return Wish(given.once, given.dir, given.url or f"sqlite:///{given.dir / 'demo.db'}", given.burst, given.plain)


def prepare(folder: Path) -> None:
    """Make the folder, which git is to leave alone, and send the log there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    (folder / "team.db").unlink(missing_ok=True)  # the samples are of the last days: begin with fresh ones
    log_into(folder / "demo.log")


def build(wish: Wish) -> Corral:
    """The platform, with mails that stay on this machine whatever the environment says."""
    settings = Settings(url=wish.url, teamspark_home=wish.folder)
    email = EmailSettings(email_transport="dry-run", email_from="TeamSpark <team@example.com>")
    app = make_app(settings, email=email, transport=Unreliable(DryRunTransport(wish.folder / "mail")))
    app.middleware(note_attempt)
    return app


async def play(wish: Wish) -> int:
    """Run the worker, add the jobs and show what happens. Answers the exit code."""
    app = build(wish)
    async with app:
        watch = Watch(app)
        await watch.begin()
        worker = await app.worker(options=WorkerOptions(name="demo", stats_interval=0))
        with screen_for(app, plain=wish.plain) as screen:
            screen.note(f"TeamSpark on {wish.url}; mails go into {wish.folder / 'mail'}, none leaves this machine")
            if watch.left_over:
                screen.note(f"{watch.left_over} jobs of an earlier run are still here, and run now")
            working = asyncio.create_task(worker.run())
            crowd = await add_mails(app, wish.burst, screen.note)
            await add_others(app, wish.folder, screen.note)
            await run_schedules(app, screen.note)
            ended = await follow(worker, working, watch, screen, crowd, once=wish.once)
            await working
            screen.show(watch, await watch.look(), crowd)
        return report(wish, watch, await watch.result(), interrupted=not ended)


async def follow(
    worker: BaseWorker, working: asyncio.Task[int], watch: Watch, screen: Screen, crowd: set[str], *, once: bool
) -> bool:
    """Show what happens until the worker stops; with `once`, stop it when all is done. True when all was done."""
    told, moved = False, time.monotonic()
    while not working.done():
        events = await watch.look()
        screen.show(watch, events, crowd)
        moved = time.monotonic() if events else moved
        if once and (watch.settled or time.monotonic() - moved > PATIENCE):
            worker.stop()
            return True
        if watch.settled and not told:
            told = True
            screen.note("every job has ended; the worker stays for more: Ctrl-C stops it")
        await asyncio.wait([working], timeout=LOOK)
    return False


def report(wish: Wish, watch: Watch, result: Result, *, interrupted: bool) -> int:
    """Print the figures; answers the exit code."""
    line = watch.lines[JobType.SEND_EMAIL]
    mails = len(list((wish.folder / "mail").glob("*.eml")))
    counts = windows(line.starts)
    most = max(counts, default=0)
    print(f"{sum(counts)} mails were started in {len(counts)} windows of a second, at most {most} in one")
    print(f"{mails} mails lie in {wish.folder / 'mail'}; the log is {wish.folder / 'demo.log'}")
    for job in result.failed:
        print(f"failed, and was not meant to: {job}")
    lost = result.gone if interrupted else [*result.gone, *result.pending]
    for job in lost:
        print(f"lost: {job}")
    if interrupted and result.pending:
        print(f"{len(result.pending)} jobs are still in the store: the next run goes on with them")
    print(
        f"demo: {result.completed} completed, {result.retried} retried, {result.intended} failed as intended, "
        f"{len(lost)} lost"
    )
    if lost or result.failed:
        return 1
    return 130 if interrupted and wish.once else 0


def main() -> int:
    """The command."""
    wish = read_arguments()
    prepare(wish.folder)
    return asyncio.run(play(wish))


if __name__ == "__main__":
    sys.exit(main())
