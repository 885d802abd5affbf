"""`corral dashboard`: serve the dashboard, with the HTTP API it is made of."""

from corral.cli.api import run_server, serving_options
from corral.cli.shared import command


@command("dashboard")
@serving_options
def dashboard(**options: object) -> None:
    """Serve the dashboard and the HTTP API until stopped.

    The store is --url's or --app's. Settings come from these options, CORRAL_API_* and [api] of corral.toml. With none
    that say who may come in, it serves this machine only, and prints an address that is good for one login.
    """
    run_server(True, **options)  # type: ignore[arg-type]  # click gives what the options are
