"""`corral dev`: a worker for development with the dashboard, its own store, and a new start at every change."""

import os
import secrets
import socket
from importlib.util import find_spec
from pathlib import Path

import click

from corral.cli.failures import USAGE, fail
from corral.cli.render import Printer
from corral.cli.settings import load_settings
from corral.cli.shared import Globals, command
from corral.cli.supervise import INSTANCE
from corral.cli.worker import SEAT, SECRET, Extras, start, worker_options

FOLDER = Path(".corral")
URL = f"sqlite:///{FOLDER}/dev.db"
WEB = ("fastapi", "jinja2", "uvicorn", "jwt", "cryptography")


@command("dev")
@click.argument("application", metavar="APP", required=False)
@worker_options
@click.option("--reload/--no-reload", default=True, help="Whether to start again when a Python file changes.")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="N",
              help="Of the dashboard: 8800, or the next one that is free; 0 takes any.")  # fmt: skip
@click.option("--open", "show", is_flag=True, help="Open the dashboard in a browser.")
@click.option("--demo", is_flag=True, help="Bring sample queues and jobs; APP may be left out then.")
def dev(
    application: str | None, reload: bool, port: int | None, show: bool, demo: bool, **options: object
) -> None:  # fmt: skip
    """Run APP's jobs while you work on it, with the dashboard beside: it starts again when a Python file changes.

    Jobs are kept in .corral/dev.db of this folder unless --url names another store. Code that adds jobs outside of this
    command must use the same store: set CORRAL_URL for it. The address that is printed logs you in, once.
    """
    chosen = click.get_current_context().ensure_object(Globals)
    if load_settings().production:
        fail("this is production (CORRAL_ENV or NODE_ENV says so): use corral worker", USAGE)
    if chosen.url is None:
        chosen.url = URL
        make_folder(FOLDER)
        if INSTANCE not in os.environ:
            Printer.current().note(f"jobs are kept in {URL}; add some with: corral --url {URL} add QUEUE NAME")
    # The application and whatever it starts see the store that is used.
    os.environ["CORRAL_URL"] = chosen.url
    sock = take_seat(port, show=show)
    extras = Extras(
        sock=sock, show=show, demo=demo, secret=os.environ.get(SECRET) or secrets.token_urlsafe(48)
    )  # fmt: skip
    start(application, processes=1, reload=reload, extras=extras, **options)


def take_seat(port: int | None, *, show: bool) -> socket.socket | None:
    """Where the dashboard is served: what the parent has handed down, else a new socket; None without `corral[web]`."""
    handed = os.environ.pop(SEAT, None)
    if handed is not None:
        sock = socket.socket(fileno=int(handed))
        sock.set_inheritable(False)  # what a handler starts has no business with it
        return sock
    if any(find_spec(name) is None for name in WEB):
        if port is not None or show:
            fail("the dashboard needs FastAPI, Jinja2, uvicorn and PyJWT: pip install 'corral[web]'", USAGE)
        return None
    from corral.cli.beside import seat  # FastAPI takes half a second

    return seat(port)


def make_folder(folder: Path) -> None:
    """The folder for what is made while developing; git does not look into it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
