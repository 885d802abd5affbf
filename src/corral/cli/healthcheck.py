"""`corral healthcheck`: for containers and probes: exit code 0 when a process is well, 8 when it is not."""

import time
from pathlib import Path

import click

from corral.cli.failures import CHECK_FAILED, UNREACHABLE, Failure
from corral.cli.render import Printer
from corral.cli.shared import command, reads
from corral.cli.values import duration

DEFAULT = "http://127.0.0.1:8081"
PATIENCE = 5.0


@command("healthcheck")
@click.argument("which", type=click.Choice(["live", "ready", "startup"]), default="live")
@click.option("--url", "address", default=DEFAULT, show_default=True, metavar="URL", envvar="CORRAL_HEALTH_URL",
              help="Where the worker's --health-port or the API listens (CORRAL_HEALTH_URL).")  # fmt: skip
@click.option("--file", "path", type=click.Path(path_type=Path), metavar="PATH",
              help="Instead: a file that is touched while all is well.")  # fmt: skip
@click.option("--max-age", default="30s", callback=reads(duration), metavar="DURATION", show_default=True,
              help="Of --file: how long ago it may have been touched.")  # fmt: skip
@click.option("--timeout", "patience", default=f"{PATIENCE:g}s", callback=reads(duration), metavar="DURATION",
              show_default=True, help="How long to wait for an answer.")  # fmt: skip
def healthcheck(which: str, address: str, path: Path | None, max_age: float, patience: float) -> None:
    """Ask a worker or an API whether it is alive or ready. For HEALTHCHECK in a Dockerfile and for exec probes."""
    printer = Printer.current()
    if path is not None:
        printer.note(_file(path, max_age))
        return
    printer.note(_ask(f"{address.rstrip('/')}/{'startupz' if which == 'startup' else which + 'z'}", patience))


def _file(path: Path, max_age: float) -> str:
    try:
        age = time.time() - path.stat().st_mtime
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", CHECK_FAILED) from None
    if age > max_age:
        raise Failure(f"{path} was touched {age:.0f} s ago, more than {max_age:g} s", CHECK_FAILED)
    return f"{path} was touched {age:.0f} s ago"


def _ask(address: str, patience: float) -> str:
    import urllib.error
    import urllib.request

    if not address.startswith(("http://", "https://")):
        raise click.BadParameter(f"{address!r} is not an http:// address", param_hint="--url")
    try:
        with urllib.request.urlopen(address, timeout=patience) as answer:  # noqa: S310  # http or https, checked above
            return f"{address}: {answer.status}"
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(4_096).decode(errors="replace").strip()
        raise Failure(f"{address}: {error.code} {said}", CHECK_FAILED) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Failure(f"{address} does not answer: {reason}", UNREACHABLE) from None
