"""What an application says about its alerts in code, and what a deployment's `corral.toml` says before it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from corral import Alert, AlertOptions, Corral
from corral.alerts.settings import _NAMES, alert_settings, read_alerts
from corral.alerts.watch import watching
from corral.cli.backend.direct import Direct
from corral.errors import UnknownOptionError
from corral.http.app import create_app
from corral.monitor.thresholds import DEFAULTS
from corral.storage.port import Storage

DECLARED: AlertOptions = {
    "waiting": 2, "no_worker": False, "oldest": timedelta(minutes=2), "after": 0,
    "queues": {"bulk*": {"waiting": 100_000, "oldest": False}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def bare_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a corral.toml, but for what a test puts there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shop(url: str, alerts: AlertOptions | None = None) -> Corral:
    """Three jobs' worth of queue."""
    app = Corral(url, alerts=DECLARED if alerts is None else alerts)

    @app.queue("mail").job("welcome")
    async def welcome(name: str) -> str:
        return name

    return app


async def told(app: Corral) -> Alert:
    """The first alert that a hook hears of."""
    heard: asyncio.Queue[Alert] = asyncio.Queue()
    app.on_alert(heard.put)
    async with app:
        await app.definition("mail", "welcome").add_bulk(["Ann", "Bob", "Cleo"])
        async with watching(app), asyncio.timeout(60):
            return await heard.get()


async def test_the_application_says_what_is_worth_an_alert(storage_url: str) -> None:
    alert = await told(shop(storage_url))
    assert (alert.rule, alert.message) == ("waiting", "mail: 3 jobs waiting, more than 2")


async def test_what_corral_toml_says_goes_before_it_name_by_name(storage_url: str, bare_folder: Path) -> None:
    (bare_folder / "corral.toml").write_text('[alerts]\nwaiting = 1\nseverity = "warning"\n', encoding="utf-8")
    alert = await told(shop(storage_url))
    assert alert.message == "mail: 3 jobs waiting, more than 1"  # and `after` is still 0, or nothing would be told yet


def test_queues_are_joined_name_by_name_too(bare_folder: Path) -> None:
    (bare_folder / "corral.toml").write_text(
        '[alerts.queues."bulk*"]\nwaiting = 5\n[alerts.queues.slow]\noldest = "1h"\n', encoding="utf-8"
    )
    found = read_alerts(declared=DECLARED)
    assert found is not None
    bulk, slow, mail = (found.thresholds.of(name) for name in ("bulk-mail", "slow", "mail"))
    assert (bulk.waiting, bulk.oldest_ms) == (5, None)
    assert (slow.waiting, slow.oldest_ms) == (2, 3_600_000)
    assert (mail.waiting, mail.oldest_ms, mail.failed) == (2, 120_000, DEFAULTS.failed)


def test_where_neither_says_anything_nobody_looks() -> None:
    assert read_alerts(declared=None) is None
    assert read_alerts(declared={}) == alert_settings({})


async def test_whoever_looks_at_the_application_goes_by_it(storage: Storage, storage_url: str) -> None:
    app = shop(storage_url)
    assert Direct(storage, storage_url, app=app).monitor.thresholds.waiting == 2
    assert Direct(storage, storage_url).monitor.thresholds == DEFAULTS
    assert create_app(app).state.corral.alerts.thresholds.waiting == 2
    given = alert_settings({"waiting": 7})
    assert create_app(app, alerts=given).state.corral.alerts is given


async def test_a_name_that_nothing_has_is_refused_when_somebody_is_to_look(storage_url: str) -> None:
    app = shop(storage_url, {"wating": 1})  # type: ignore[arg-type]  # a type checker says so at once
    with pytest.raises(UnknownOptionError, match=r"alerts\.wating.*alerts\.waiting"):
        async with watching(app):
            raise AssertionError("unreachable")


def test_every_name_of_the_table_can_be_declared() -> None:
    own = {"severity", "after", "again", "every", "queue", "job", "queues"}
    assert set(AlertOptions.__annotations__) == own | set(_NAMES)
