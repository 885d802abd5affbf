"""`corral api`: serve the HTTP API."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import click

from corral.cli.failures import USAGE, Failure
from corral.cli.logs import FORMATS, set_up
from corral.cli.render import Printer
from corral.cli.shared import ARGUMENTS, command, reads
from corral.cli.store import current_settings, run
from corral.cli.supervise import INSTANCE, STARTS, Plan, Supervisor
from corral.cli.values import duration
from corral.cli.worker import LEVELS


def _hash_password(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from corral.http.auth.passwords import hash_password

    click.echo(hash_password(ask_password()))
    ctx.exit()


F = TypeVar("F", bound=Callable[..., object])


_OPTIONS = (
    click.option("--host", metavar="ADDRESS", help="Address to serve on (127.0.0.1)."),
    click.option("--port", type=click.IntRange(0, 65_535), metavar="N", help="Port (8800); 0 takes a free one."),
    click.option("--root-path", metavar="PATH", help="Prefix that a proxy in front takes away, such as /queues."),
    click.option("--auth", metavar="WAYS", help="Only these ways to be recognised: jwt, tokens, users, proxy."),
    click.option(
        "--user", "users", multiple=True, metavar="NAME:ROLE", help="Somebody who may log in; asks for a password."
    ),
    click.option("--read-only", is_flag=True, help="Nothing can be changed through it."),
    click.option("--env-label", metavar="TEXT", help="What people see it is: production, staging …"),
    click.option(
        "--trusted-proxy", "proxies", multiple=True, metavar="CIDR", help="Whose X-Forwarded headers are believed."
    ),
    click.option("--workers", type=click.IntRange(1, 64), default=1, metavar="N", help="So many processes (1)."),
    click.option("--insecure-no-auth", is_flag=True, help="Everybody who reaches it may do everything."),
    click.option(
        "--drain-delay", callback=reads(duration), metavar="DURATION", help="Serve on for so long after SIGTERM (5s)."
    ),
    click.option("--log-level", type=click.Choice(LEVELS), help="Least level that is logged (info)."),
    click.option("--log-format", type=click.Choice(FORMATS), help="How lines look (console)."),
    click.option(
        "--hash-password",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_hash_password,
        help="Ask for a password, and print what to put into the settings.",
    ),
)


def serving_options(function: F) -> F:
    """The options of a command that serves."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@command("api")
@serving_options
def api(**options: object) -> None:
    """Serve the HTTP API until stopped.

    The store is --url's or --app's. Settings come from these options, CORRAL_API_* and [api] of corral.toml. With none
    that say who may come in, it serves this machine only, and prints a token that is good for one login.
    """
    run_server(False, **options)  # type: ignore[arg-type]  # click gives what the options are


def run_server(
    pages: bool, users: Sequence[str], proxies: Sequence[str], workers: int, log_level: str | None,
    log_format: str | None, **flags: object,
) -> None:  # fmt: skip
    """Serve the API, and the dashboard's pages beside it if they are wanted, until stopped."""
    from corral.http.server import check_exposed
    from corral.http.settings import ApiSettings

    child = os.environ.pop(INSTANCE, None) is not None
    os.environ.pop(STARTS, None)
    general = current_settings(log_level=log_level, log_format=log_format)
    set_up(general.log_format, general.log_level, env=general.env, colour=Printer.current().colour)
    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    if proxies:
        given["trusted_proxies"] = list(proxies)
    if users and not child:
        given["users"] = [*_known_users(), *(ask_user(entry) for entry in users)]
    settings = ApiSettings(**given)
    check_exposed(settings)
    ctx = click.get_current_context()
    if workers > 1 and not child:
        ctx.exit(_several(settings, workers, general.shutdown_timeout))
    from corral.cli.serving import Serving, serve, source_of  # FastAPI takes half a second: not for a supervisor

    what = Serving(source=source_of(general), settings=settings, shared=workers > 1, child=child)
    if pages:
        from corral.dashboard.app import create_dashboard

        what = replace(what, name="dashboard", make=create_dashboard)
    ctx.exit(serve(what))


def ask_password() -> str:
    """A password from the terminal, typed twice, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\n")


def ask_user(entry: str) -> str:
    """`name:role`, completed with the hash of a password that is asked for."""
    from corral.http.auth.passwords import hash_password

    name, _, role = entry.partition(":")
    if not name or not role or ":" in role:
        raise click.BadParameter(f"{entry!r} must be name:role, such as dan:admin", param_hint="--user")
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"--user {name} needs a terminal to ask for a password on; put the user into CORRAL_API_USERS or "
            "corral.toml instead, with what `corral api --hash-password` prints"
        )
    click.echo(f"User {name}", err=True)
    return f"{name}:{role}:{hash_password(ask_password())}"


def _known_users() -> list[str]:
    from corral.http.settings import ApiSettings

    known = ApiSettings().users.get_secret_value()
    return [known] if known else []


def _several(settings: object, workers: int, patience: float) -> int:
    """Run several processes on one port; they share what sessions are signed with."""
    import secrets

    from corral.http.settings import ApiSettings

    assert isinstance(settings, ApiSettings)
    if not settings.configured and not settings.insecure_no_auth:
        raise Failure("--workers needs configured authentication: the token of one process is unknown to others", USAGE)
    if not settings.port:
        raise Failure("--workers needs a --port: each process would take another one", USAGE)
    secret = settings.session_secret
    env = {
        "CORRAL_API_USERS": settings.users.get_secret_value(),
        "CORRAL_API_SESSION_SECRET": secrets.token_urlsafe(48) if secret is None else secret.get_secret_value(),
    }
    words = click.get_current_context().meta[ARGUMENTS]
    plan = Plan(
        command=[sys.executable, "-m", "corral.cli", *words], processes=workers, env=env,
        shutdown_timeout=max(patience, settings.drain_delay + 15),
    )  # fmt: skip
    return run(Supervisor(plan).run())
