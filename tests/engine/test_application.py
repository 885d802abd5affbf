"""The application itself: where its store is when nobody says, how often it opens, and what it shows of itself."""

import asyncio
import os
from pathlib import Path

import pytest

from corral import Corral
from corral.errors import ConfigError
from corral.storage.connect import safe_url
from tests.engine.helpers import GUARD


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, with nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("CORRAL_URL", "REDIS_"))]:
        monkeypatch.delenv(name)
    return tmp_path


def test_the_url_is_what_the_code_says_then_the_environment_then_the_file_then_a_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Corral().url == "sqlite:///corral.db"
    (folder / "corral.toml").write_text('url = "sqlite:///file.db"\n')
    assert Corral().url == "sqlite:///file.db"
    monkeypatch.setenv("REDIS_HOST", "cache")
    assert Corral().url == "redis://cache:6379/0"
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere/3")
    assert Corral().url == "redis://elsewhere/3"
    monkeypatch.setenv("CORRAL_URL", "sqlite:///environment.db")
    assert Corral().url == "sqlite:///environment.db"
    assert Corral("sqlite:///code.db").url == "sqlite:///code.db"


def test_what_the_environment_says_may_stand_in_a_file_and_an_empty_variable_says_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("REDIS_HOST=cache\nREDIS_PORT=7000\nREDIS_PASSWORD='p@ss'\nREDIS_DB=2\n")
    assert Corral().url == "redis://:p%40ss@cache:7000/2"
    monkeypatch.setenv("REDIS_HOST", "other")
    monkeypatch.setenv("REDIS_PORT", "")
    assert Corral().url == "redis://:p%40ss@other:7000/2"
    monkeypatch.setenv("CORRAL_URL", "")
    assert Corral().url == "redis://:p%40ss@other:7000/2"
    (folder / ".env").write_text("CORRAL_URL=sqlite:///written.db\n")
    assert Corral().url == "sqlite:///written.db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///corral.db", "sqlite:///corral.db"),
        ("sqlite:////var/a@b/corral.db", "sqlite:////var/a@b/corral.db"),
        ("redis://ann:s3cret@cache:6379/0", "redis://ann:***@cache:6379/0"),
        ("redis://:s3/cret@cache", "redis://:***@cache"),
        ("redis+unix:///run/redis.sock?db=1", "redis+unix:///run/redis.sock?db=1"),
        (
            "redis+sentinel://:s3cret@a:1,b:2/main?sentinel_password=s3cret&db=1",
            "redis+sentinel://:***@a:1,b:2/main?sentinel_password=***&db=1",
        ),
    ],
)
def test_a_url_is_shown_as_it_is_but_for_its_passwords(url: str, shown: str) -> None:
    assert safe_url(url) == shown


@pytest.mark.parametrize("text", ["url = ", "url = 7", 'url = "nowhere"'])
def test_a_settings_file_that_makes_no_sense_is_refused(folder: Path, text: str) -> None:
    (folder / "corral.toml").write_text(text)
    with pytest.raises(ConfigError):
        Corral()


def test_declaring_opens_nothing(folder: Path) -> None:
    app = Corral("sqlite:///corral.db")

    @app.queue("work").job("work")
    async def work() -> None: ...

    assert list(folder.iterdir()) == []


async def test_tasks_that_add_at_once_open_the_store_once(url: str) -> None:
    app = Corral(url)

    @app.queue("work").job("work")
    async def work() -> None: ...

    handles = await asyncio.gather(*(work.add() for _ in range(20)))
    stores = await asyncio.gather(*(app.open() for _ in range(5)))
    assert len({id(store) for store in stores}) == 1
    assert len({handle.id for handle in handles}) == 20
    await app.close()
    await app.close()


async def test_work_runs_jobs_until_it_is_cancelled_and_leaves_nothing_behind(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> str:
        return "done"

    async with app:
        store = await app.open()
        before = asyncio.all_tasks()
        working = asyncio.create_task(app.work())
        assert await (await work.add()).result(timeout=GUARD) == "done"
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert asyncio.all_tasks() == before
        assert await store.workers() == []


def test_what_is_declared_can_be_shown() -> None:
    app = Corral("sqlite:///corral.db", name="shop")
    queue = app.queue("mail")

    @queue.job("receipt")
    async def receipt(order: dict[str, object]) -> None:
        """Sends one."""

    assert repr(app) == "<Corral shop on sqlite:///corral.db: 1 queue>"
    assert repr(queue) == "<queue mail: receipt>"
    assert repr(receipt) == "<job mail/receipt>"
    assert receipt.__doc__ == "Sends one."


async def test_a_declared_job_can_be_called_like_the_function_it_is() -> None:
    @Corral("sqlite:///:memory:").queue("work").job("double")
    def double(data: int) -> int:
        return data * 2

    assert double(21) == 42
