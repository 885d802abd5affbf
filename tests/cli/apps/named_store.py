"""An application that names its own store."""

from corral import Corral

app = Corral("sqlite:///own.db", name="own")
jobs = app.queue("jobs")


@jobs.job("nothing")
async def nothing() -> None:
    """Do nothing."""
