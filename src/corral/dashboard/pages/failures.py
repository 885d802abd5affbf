"""Failures: what goes wrong, by kind, since when and how often."""

from starlette.responses import Response

from corral.dashboard.visit import Visit
from corral.http.models.links import part

WINDOWS = ("15m", "1h", "24h", "7d")


async def failures(visit: Visit) -> Response:
    """Kinds of failures, with their trend."""
    window, queue = visit.parameter("window", "24h"), visit.parameter("queue")
    found = await visit.api.get(
        "/failures", window=window if window in WINDOWS else "24h", queue=queue or None, limit=100,
        cursor=visit.parameter("cursor") or None,
    )  # fmt: skip
    return await visit.page(
        "failures.html",
        title="Failures",
        active="failures",
        failures=found,
        window=window,
        windows=WINDOWS,
        queue=queue,
    )


async def failure(visit: Visit) -> Response:
    """One kind of failure with its newest jobs."""
    found = await visit.api.get(f"/failures/{part(visit.part('fp'))}")
    return await visit.page("failure.html", title="Failure", active="failures", failure=found)


async def ask(visit: Visit) -> Response:
    """Run all jobs of one kind again, or delete them: how many, and how fast."""
    found = await visit.api.get(f"/failures/{part(visit.part('fp'))}")
    what = "remove" if visit.part("what") == "remove" else "retry"
    return await visit.page(
        f"ask/failure_{what}.html", title=f"{what.capitalize()} all", active="failures", failure=found
    )


PAGES = (
    ("GET", "/failures", failures),
    ("GET", "/failures/{fp}", failure),
    ("GET", "/failures/{fp}/ask/{what}", ask),
)
