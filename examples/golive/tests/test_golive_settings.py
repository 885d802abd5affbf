"""Settings, the application as the environment wants it, and the sample data."""

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corral import Corral
from examples.golive.build import beside, make_app
from examples.golive.payloads import CleanupJobType, EmailJobType, ReportJobType
from examples.golive.queues import JobPriority, QueueName
from examples.golive.seed import PEOPLE, PROJECTS, seed
from examples.golive.settings import Settings
from examples.golive.tables import METADATA, SCHEMA, daily_figures, pipeline_runs, refresh_tokens
from tests.handlers.databases import differences

from .conftest import make


@pytest.mark.mission("M-GL-79")
@pytest.mark.parametrize(
    ("variables", "url"),
    [
        (
            {"REDIS_HOST": "localhost", "REDIS_PORT": "6379", "REDIS_PASSWORD": "", "REDIS_DB": "0"},
            "redis://localhost:6379/0",
        ),
        ({"REDIS_HOST": "cache.internal"}, "redis://cache.internal:6379/0"),
        ({"REDIS_HOST": "cache", "REDIS_PORT": "6380", "REDIS_DB": "3"}, "redis://cache:6380/3"),
        ({"REDIS_HOST": "cache", "REDIS_PASSWORD": "p@ss"}, "redis://:p%40ss@cache:6379/0"),
        ({"CORRAL_URL": "sqlite:///jobs.db", "REDIS_HOST": "cache"}, "sqlite:///jobs.db"),
        ({}, "sqlite:///corral.db"),
    ],
)
def test_the_redis_variables_say_where_the_store_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], url: str
) -> None:
    monkeypatch.setenv("GOLIVE_HOME", str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    app = make_app(Settings())

    assert app.url == url
    assert "p@ss" not in repr(app)


def test_the_platforms_files_are_beside_its_store() -> None:
    assert beside("sqlite:////srv/jobs/corral.db") == Path("/srv/jobs/golive-data")
    assert beside("redis://localhost:6379/0") == Path("golive-data")


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "hunter2-hunter2-hunter2-hunter2-hunter2")
    monkeypatch.setenv("DATABASE_URL", "postgresql://golive:hunter2@localhost/golive")

    assert "hunter2" not in repr(Settings())


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[object]:
    """`examples.golive.app`, imported afresh: it makes the application that the environment wants."""
    monkeypatch.setenv("CORRAL_URL", f"sqlite:///{tmp_path / 'corral.db'}")
    sys.modules.pop("examples.golive.app", None)
    yield importlib.import_module("examples.golive.app")
    sys.modules.pop("examples.golive.app", None)


@pytest.mark.mission("M-GL-31", "M-GL-32", "M-GL-33", "M-GL-45", "M-GL-46")
async def test_the_names_that_the_rest_of_the_platform_imports(module: object) -> None:
    from examples.golive.app import (
        add_cleanup_job,
        add_email_job,
        add_report_job,
        app,
        initialize_email_processor,
        initialize_report_processor,
        job_queue_manager,
        schedule_daily_cleanup,
    )

    assert isinstance(app, Corral)
    initialize_email_processor()
    initialize_report_processor()
    async with app:
        welcome = {"to": "user@example.com", "context": {"username": "John Doe"}}
        await add_email_job(EmailJobType.WELCOME, welcome, JobPriority.NORMAL)
        await add_report_job(
            ReportJobType.TEST_COVERAGE,
            {"projectId": "project-id", "startDate": "2025-10-01", "endDate": "2025-10-23", "userId": "user-id"},
        )
        await add_cleanup_job(CleanupJobType.OLD_LOGS, {}, JobPriority.LOW)
        assert len(await schedule_daily_cleanup()) == 4
        stats = await job_queue_manager.get_all_queue_stats()

    assert {name for name, one in stats.items() if one["waiting"]} == {
        QueueName.EMAIL, QueueName.REPORT, QueueName.CLEANUP,
    }  # fmt: skip


async def test_the_migrations_make_the_tables_that_the_code_has(tmp_path: Path) -> None:
    assert await differences(f"sqlite:///{tmp_path / 'golive.db'}", SCHEMA) == []
    assert len(METADATA.tables) == 8


async def test_the_sample_data_are_the_same_each_time_and_put_there_twice_are_there_once(tmp_path: Path) -> None:
    today = date(2025, 10, 23)
    first, second = (make(f"sqlite:///{tmp_path / name}.db", tmp_path / name) for name in ("one", "two"))
    found = []
    for platform in (first, second):
        platform.make_home()
        async with platform.golive.database as database:
            sizes = {await seed(platform.golive, platform.home, today=today, days=20) for _ in range(2)}
            assert len(sizes) == 1
            async with database.connect() as connection:
                runs = (await connection.execute(sa.select(pipeline_runs).order_by(pipeline_runs.c.id))).all()
                figures = (await connection.execute(sa.select(sa.func.count()).select_from(daily_figures))).scalar()
                tokens = (await connection.execute(sa.select(sa.func.count()).select_from(refresh_tokens))).scalar()
            found.append(([tuple(row) for row in runs], figures, tokens))

    assert found[0] == found[1]
    assert found[0][1:] == (20 * 6, 60)
    assert len(found[0][0]) > 100
    assert (len(PEOPLE), len(PROJECTS)) == (6, 4)


async def test_the_sample_files_are_of_the_days_that_they_say(tmp_path: Path) -> None:
    platform = make(f"sqlite:///{tmp_path / 'one'}.db", tmp_path)
    platform.make_home()
    async with platform.golive.database:
        await seed(platform.golive, platform.home, days=1)

    old = platform.home / "logs" / f"system-{datetime.now(UTC).date() - timedelta(45)}.log"
    age = datetime.now(UTC).timestamp() - old.stat().st_mtime
    assert 44 < age / 86_400 < 46
    assert len(list((platform.home / "inputs" / "coverage").rglob("*.xml"))) == 12
    assert len(list((platform.home / "inputs" / "security").rglob("*.sarif"))) == 4
