"""`corral token`: who may use the HTTP API."""

import click

from corral.cli.columns import TOKENS
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.session import ask
from corral.cli.shared import command, reads
from corral.cli.values import instant

COMMANDS = {
    "create": ("corral.cli.tokens:create", "Make a token; it is shown once."),
    "list": ("corral.cli.tokens:list_tokens", "The tokens that are there, without what they are."),
    "revoke": ("corral.cli.tokens:revoke", "Make a token worthless."),
}
ROLES = click.Choice(["viewer", "operator", "admin", "producer"])


@click.group("token", cls=LazyGroup, lazy=COMMANDS)
def token() -> None:
    """Tokens for the HTTP API: make, list and revoke them."""


@command("create")
@click.argument("name")
@click.option("--role", type=ROLES, default="viewer", show_default=True, help="What it may do.")
@click.option("--queue", "queues", multiple=True, metavar="PATTERN", help="Only these queues: mail*; may be repeated.")
@click.option("--expires", callback=reads(instant), metavar="TIME", help="Until when it holds: 90d, or a date.")
def create(name: str, role: str, queues: tuple[str, ...], expires: float | None) -> None:
    """Make a token called NAME. It is shown this one time; only a fingerprint of it is kept."""
    printer = Printer.current()
    made = ask(lambda back: back.create_token(name, role, queues or ("*",), expires), create=True)
    printer.record(made)
    printer.note("keep it now: it is not shown again")


@command("list")
def list_tokens() -> None:
    """The tokens that are there: whose, what for, until when, and when they were used last."""
    Printer.current().rows(TOKENS, ask(lambda back: back.tokens()))


@command("revoke")
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Make a token worthless, at once and for good."""
    printer = Printer.current()
    if not printer.chosen.dry_run:
        ask(lambda back: back.revoke_token(token_id))
    printer.note(f"revoked token {token_id}")
