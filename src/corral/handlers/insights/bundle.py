"""The bundle: the insights as an application takes them in."""

from corral.app.bundle import Bundle
from corral.handlers.insights.generator import Generator, Insights, OnAlarm
from corral.handlers.insights.payload import GenerateInsights
from corral.handlers.insights.series import DailyTable, Source
from corral.handlers.insights.settings import InsightsSettings
from corral.handlers.insights.summary import Summarizer
from corral.handlers.insights.tables import SCHEMA
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web
from corral.options import Exponential
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext


def bundle(
    settings: InsightsSettings | None = None, *, database: Database, source: Source | None = None,
    web: Web | None = None, on_alarm: OnAlarm | None = None, clock: Clock = now_ms, queue: str = "insights-generation",
    job: str = "insights-generation",
) -> Bundle:  # fmt: skip
    """The insights, for `app.include(bundle(database=…))`. Connects to nothing.

    Args:
        settings: by default what the environment, `.env` and `corral.toml` say.
        source: where figures come from; by default the table `sync_daily` of the data sync, in the same database.
        web: the way to the model; by default one that trusts the address in the settings, and nothing else.
        on_alarm: told about a bad day, once for each.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    settings = InsightsSettings.load() if settings is None else settings
    database.needs(SCHEMA)
    generator = Generator(
        settings, database, source or DailyTable(database), Summarizer(settings, web), clock=clock, on_alarm=on_alarm
    )

    async def generate(ctx: JobContext, data: GenerateInsights) -> Insights:
        """Look at an organization's figures and say what stands out. The same figures, the same answer."""
        return await generator.run(ctx, data)

    made = Bundle("insights", queue=queue, attempts=3, backoff=Exponential(2), timeout=180)
    made.job(job)(generate)
    return made
