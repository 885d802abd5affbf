"""The page about metrics: its examples run, and its tables leave nothing out."""

from corral.app.app import Corral
from corral.handlers.kit.database import Database
from corral.handlers.metrics import METRIC_JOBS, CalculateMetrics, MetricsSettings, RecordActivity
from tests.handlers.pages import Page, variables

PAGE = Page("metrics")


def test_every_example_runs() -> None:
    assert isinstance(PAGE.run()["app"], Corral)


def test_every_setting_is_in_the_table() -> None:
    assert PAGE.cells("Settings") == variables(MetricsSettings)


def test_every_job_is_named() -> None:
    assert PAGE.jobs() == METRIC_JOBS


def test_every_field_is_in_the_tables() -> None:
    fields = [*CalculateMetrics.model_fields.values(), *RecordActivity.model_fields.values()]
    assert PAGE.cells("The payloads") == {str(field.alias) for field in fields}


async def test_the_history_of_the_second_example_can_be_read() -> None:
    names = PAGE.run()
    database, curve = names["database"], names["curve"]
    assert isinstance(database, Database)
    async with database:
        assert await curve() == []  # type: ignore[operator]
