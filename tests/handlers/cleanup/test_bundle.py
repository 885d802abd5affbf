"""The clean-up jobs as an application has them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from corral.app.app import Corral
from corral.app.bundle import Bundle
from corral.errors import ConfigError, PayloadError
from corral.handlers.cleanup import JOBS, Cleaned, CleanupError, CleanupSettings, FileRule, RowRule, Rule, bundle
from corral.handlers.kit.database import Database
from corral.signals import Discard
from corral.testing import Recorded, app_in_memory, drain, run_job

from .old import DAY, NOW_MS, names, old_file

METADATA = sa.MetaData()
TOKENS = sa.Table(
    "tokens", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("expires_ms", sa.BigInteger)
)


def made(**settings: object) -> Bundle:
    return bundle(CleanupSettings.load(**settings), clock=lambda: NOW_MS)


async def clean(
    jobs: Bundle, name: str, data: object = None, *, recorded: Recorded | None = None, attempt: int = 1
) -> Cleaned:
    [job] = [one for one in jobs if one.name == name]
    result: Cleaned = await run_job(job, {} if data is None else data, recorded=recorded, attempt=attempt)
    return result


@pytest.mark.mission("M-GL-27", "M-GL-28", "M-GL-29")
async def test_the_three_kinds_of_files_are_configured_by_settings(tmp_path: Path) -> None:
    for name in ("tmp/a", "logs/b.log", "artifacts/c.tar"):
        old_file(tmp_path / "data" / name, days=40)
    jobs = made(
        cleanup_temp_dir=tmp_path / "data" / "tmp", cleanup_logs_dir=tmp_path / "data" / "logs",
        cleanup_logs_archive=tmp_path / "archive", cleanup_artifacts_dir=tmp_path / "data" / "artifacts",
    )  # fmt: skip
    removed = {name: (await clean(jobs, name))["removed"] for name in ("temp-files", "old-logs", "old-artifacts")}
    assert removed == {"temp-files": 1, "old-logs": 1, "old-artifacts": 1}
    assert names(tmp_path / "data") == ["artifacts", "logs", "tmp"]
    assert [path.name.rpartition("-")[0] for path in (tmp_path / "archive").iterdir()] == ["b.log"]


@pytest.mark.parametrize(
    ("name", "setting", "days"),
    [
        ("temp-files", "cleanup_temp_dir", 1),
        ("old-logs", "cleanup_logs_dir", 30),
        ("old-artifacts", "cleanup_artifacts_dir", 7),
    ],
)
async def test_the_ages_are_a_day_thirty_days_and_a_week(tmp_path: Path, name: str, setting: str, days: float) -> None:
    old_file(tmp_path / "data" / "old", days=days + 0.1)
    old_file(tmp_path / "data" / "young", days=days - 0.1)
    await clean(made(**{setting: tmp_path / "data"}), name)
    assert names(tmp_path / "data") == ["young"]


async def test_archives_go_after_their_own_time(tmp_path: Path) -> None:
    logs, archive = tmp_path / "data" / "logs", tmp_path / "archive"
    old_file(logs / "x.log", days=40)
    old_file(archive / "ancient.log-1.gz", days=400)
    old_file(archive / "readme.txt", days=400)
    result = await clean(
        made(cleanup_logs_dir=logs, cleanup_logs_archive=archive, cleanup_archive_days=365), "old-logs"
    )
    assert (result["removed"], result["archived"]) == (2, 1)
    assert [path.partition("-")[0] for path in names(archive)] == ["readme.txt", "x.log"]


async def test_the_result_says_what_was_done_and_by_which_instant(tmp_path: Path) -> None:
    old_file(tmp_path / "data" / "a", "12345", days=2)
    recorded = Recorded()
    result = await clean(made(cleanup_temp_dir=tmp_path / "data"), "temp-files", recorded=recorded)
    before = datetime.fromtimestamp(NOW_MS / 1000 - DAY, UTC).isoformat()
    expected: Cleaned = {
        "removed": 1, "bytes": 5, "folders": 0, "archived": 0, "failed": 0, "more": False, "before": before,
        "dryRun": False,
    }  # fmt: skip
    assert result == expected
    assert recorded.progress == [100]


async def test_a_payload_may_ask_for_another_age_a_limit_and_a_dry_run(tmp_path: Path) -> None:
    for number in range(5):
        old_file(tmp_path / "data" / f"{number}", days=0.5)
    jobs, recorded = made(cleanup_temp_dir=tmp_path / "data"), Recorded()
    dry = await clean(jobs, "temp-files", {"olderThanHours": 11, "dryRun": True}, recorded=recorded)
    assert (dry["removed"], dry["dryRun"], len(recorded.logs)) == (5, True, 5)
    assert (await clean(jobs, "temp-files", {"older_than_hours": 11, "limit": 2}))["removed"] == 2
    assert (await clean(jobs, "temp-files", {"olderThanHours": 13}))["removed"] == 0
    assert len(names(tmp_path / "data")) == 3


@pytest.mark.parametrize(
    "data",
    [
        {"olderThanHours": 0.5}, {"olderThanHours": float("inf")}, {"limit": 0}, {"root": "/etc"}, {"path": "../.."},
        {"match": "*"}, {"dryRun": "perhaps"},
    ],
)  # fmt: skip
async def test_a_payload_cannot_say_where_to_look_nor_empty_a_folder_in_use(data: dict[str, object]) -> None:
    app = Corral("sqlite:///:memory:")
    app.include(made())
    async with app_in_memory(app):
        with pytest.raises(PayloadError):
            await app.definition("cleanup", "temp-files").add(data)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("temp-files", "set CLEANUP_TEMP_DIR, or give bundle"), ("old-logs", "set CLEANUP_LOGS_DIR"),
        ("old-artifacts", "set CLEANUP_ARTIFACTS_DIR"),
        ("expired-tokens", r"give bundle\(rules=\[RowRule\('expired-tokens', …\)\]\)"),
    ],
)  # fmt: skip
async def test_a_job_without_a_rule_fails_at_once_and_says_what_to_set(name: str, way_out: str) -> None:
    with pytest.raises(Discard, match=way_out):
        await clean(made(), name)


async def test_rows_and_files_of_one_job_are_cleaned_up_together(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'app.db'}")
    old_file(tmp_path / "logs" / "x.log")
    rules: list[Rule] = [
        FileRule("old-logs", tmp_path / "logs", older_than=30 * DAY), RowRule("old-logs", TOKENS.c.expires_ms),
    ]  # fmt: skip
    async with database:
        async with database.begin() as connection:
            await connection.run_sync(METADATA.create_all)
            await connection.execute(sa.insert(TOKENS), [{"id": 1, "expires_ms": 1}, {"id": 2, "expires_ms": 2**60}])
        result = await clean(bundle(rules=rules, database=database, clock=lambda: NOW_MS), "old-logs")
    assert (result["removed"], result["bytes"]) == (2, 5)


def test_rows_without_a_database_are_refused() -> None:
    with pytest.raises(ConfigError, match="<RowRule sessions in tokens> needs a database"):
        bundle(rules=[RowRule("sessions", TOKENS.c.expires_ms)])


async def test_all_attempts_divide_old_from_young_at_the_same_instant(tmp_path: Path) -> None:
    clock = [NOW_MS]
    jobs = bundle(CleanupSettings.load(cleanup_temp_dir=tmp_path / "data"), clock=lambda: clock[0])
    recorded = Recorded()
    first = await clean(jobs, "temp-files", recorded=recorded)
    clock[0] += 40 * DAY * 1000
    old_file(tmp_path / "data" / "now-old", days=0.5)
    second = await clean(jobs, "temp-files", recorded=recorded, attempt=2)
    assert second["before"] == first["before"]
    assert second["removed"] == 0
    assert (await clean(jobs, "temp-files"))["removed"] == 1


async def test_a_job_fails_when_nothing_of_what_is_old_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_file(tmp_path / "data" / "a")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.unlink", refuse)
    with pytest.raises(
        CleanupError, match=r"none of 1 old entries could be removed: cannot remove 'a': Permission denied"
    ):
        await clean(made(cleanup_temp_dir=tmp_path / "data"), "temp-files")


async def test_a_worker_runs_the_jobs(tmp_path: Path) -> None:
    old_file(tmp_path / "data" / "a")
    app = Corral("sqlite:///:memory:")
    queue = app.include(made(cleanup_temp_dir=tmp_path / "data"))
    async with app_in_memory(app):
        job = await queue.definition("temp-files").add({})
        nothing = await queue.definition("expired-tokens").add({})
        drained = await drain(app)
        assert (drained.completed, drained.failed) == (1, 1)
        assert (await job.result())["removed"] == 1
        assert "nothing says what 'expired-tokens' is to remove" in str((await nothing.get()).failed_reason)


def test_settings_that_name_a_folder_not_to_be_emptied_are_refused() -> None:
    with pytest.raises(ConfigError, match="is no folder to be emptied"):
        made(cleanup_temp_dir="/")
    with pytest.raises(ConfigError, match="cleanup settings: cleanup_temp_hours"):
        made(cleanup_temp_hours=0)


def test_the_jobs_are_the_guides_and_three_more() -> None:
    assert tuple(job.name for job in made()) == JOBS
    assert {"expired-tokens", "old-logs", "temp-files", "old-artifacts"} < set(JOBS)
