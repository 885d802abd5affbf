"""The application whose orders the outbox's tests carry."""

from typing import Any

from corral import Corral, JobDefinition, RateLimit


def shop(url: str, **options: Any) -> Corral:
    """Two queues, one of them narrow."""
    app = Corral(url, **options)

    @app.queue("orders").job("confirm")
    async def confirm(data: dict[str, int]) -> int:
        return data["order"]

    @app.queue("narrow", add_limit=RateLimit(2, per=0.2)).job("confirm")
    async def narrow(data: dict[str, int]) -> int:
        return data["order"]

    return app


def confirm(app: Corral, queue: str = "orders") -> JobDefinition[dict[str, int], int]:
    """Its job."""
    return app.definition(queue, "confirm")
