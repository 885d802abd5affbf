"""`corral dev`: a worker for development, with its own store and a new start at every change."""

import os
from pathlib import Path

import click

from corral.cli.failures import USAGE, fail
from corral.cli.render import Printer
from corral.cli.settings import load_settings
from corral.cli.shared import Globals, command
from corral.cli.worker import start, worker_options

FOLDER = Path(".corral")
URL = f"sqlite:///{FOLDER}/dev.db"


@command("dev")
@click.argument("application", metavar="APP", required=False)
@worker_options
@click.option("--reload/--no-reload", default=True, help="Whether to start again when a Python file changes.")
def dev(application: str | None, reload: bool, **options: object) -> None:
    """Run APP's jobs while you work on it: it starts again when a Python file changes.

    Jobs are kept in .corral/dev.db of this folder unless --url names another store. Code that adds jobs outside of this
    command must use the same store: set CORRAL_URL for it.
    """
    chosen = click.get_current_context().ensure_object(Globals)
    if load_settings().production:
        fail("this is production (CORRAL_ENV or NODE_ENV says so): use corral worker", USAGE)
    if chosen.url is None:
        chosen.url = URL
        make_folder(FOLDER)
        Printer.current().note(f"jobs are kept in {URL}; add some with: corral --url {URL} add QUEUE NAME")
    # The application and whatever it starts see the store that is used.
    os.environ["CORRAL_URL"] = chosen.url
    start(application, processes=1, reload=reload, **options)


def make_folder(folder: Path) -> None:
    """The folder for what is made while developing; git does not look into it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
