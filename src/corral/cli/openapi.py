"""`corral openapi`: the description of the HTTP API."""

import json

import click

from corral.cli.failures import USAGE, fail
from corral.cli.shared import command


@command("openapi")
def openapi() -> None:
    """Print the OpenAPI document of the HTTP API: of the one at --api, or of this version."""
    from corral.cli.target import target

    chosen = target()
    if chosen.api is not None:
        from corral.cli.backend.client import Client
        from corral.cli.store import run

        client = Client(chosen.api, chosen.token)
        click.echo(json.dumps(run(client.get("/openapi.json")), indent=2, ensure_ascii=False))
        return
    try:
        from corral.http.app import create_app
    except ModuleNotFoundError as missing:
        fail(f"{missing.name} is not installed: pip install 'corral[web]'", USAGE)
    app = create_app("sqlite:///:memory:")
    click.echo(json.dumps(app.openapi(), indent=2, ensure_ascii=False))
