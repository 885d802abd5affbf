"""`python -m examples.demo PLATFORM [--once] [--url URL] [--port N]`: a platform at work, before your eyes."""

import argparse
import asyncio
import os
import secrets
import sys
from pathlib import Path

from .log import log_into
from .play import Wish, play
from .stage import Stage, load, platforms

MOST = 10_000  #: jobs that one step may add


def read_arguments() -> tuple[Wish, Stage]:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="A platform's jobs, live.")
    parser.add_argument("platform", choices=platforms(), metavar="PLATFORM", help=", ".join(platforms()))
    parser.add_argument("--once", action="store_true", help="end when all jobs have ended; exit code 1 if any is lost")
    parser.add_argument("--dir", type=Path, metavar="PATH", help="where files go (.corral/PLATFORM)")
    parser.add_argument("--url", metavar="URL", help="the store (CORRAL_URL, else demo.db in that folder)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="of the platform's API (any that is free)")
    parser.add_argument("--burst", type=int, default=200, metavar="N", help="how many jobs to add at once (200)")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live picture")
    given = parser.parse_args()
    if not 0 <= given.burst <= MOST:
        parser.error(f"--burst must be from 0 to {MOST}")
    folder = (given.dir or Path(".corral") / given.platform).absolute()  # programs that jobs start stand elsewhere
    url = given.url or os.environ.get("CORRAL_URL") or f"sqlite:///{folder / 'demo.db'}"
    stage = Stage(folder, url, given.burst, secret=secrets.token_urlsafe(32))
    return Wish(given.platform, given.once, given.plain, given.port), stage


def make_folder(folder: Path) -> None:
    """Make the folder, which git is to leave alone, and send the log there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    log_into(folder / "demo.log")


def main() -> int:
    """The command."""
    wish, stage = read_arguments()
    act = load(wish.platform)
    make_folder(stage.folder)
    act.prepare(stage.folder)
    return asyncio.run(play(act, stage, wish))


if __name__ == "__main__":
    sys.exit(main())
