"""Services: made by factories, asked for by type, put away again."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from corral import Batch, BatchJob, Corral, JobContext, Queue, Retry, SyncJobContext, Worker
from corral.errors import ConfigError, RegistrationError
from corral.testing import drain
from tests.engine.helpers import GUARD, reason, work_off, working
from tests.engine.wares import Clock, Database, Mailer, Noon, Post, Settings

# -- asking ------------------------------------------------------------------------------------------------------------


async def test_a_handler_gets_what_it_asks_for_and_factories_get_what_they_ask_for(app: Corral) -> None:
    queue = app.queue("work")
    app.provide(Mailer, Post)
    app.provide(Database, Database)
    app.provide(Settings, Settings("Bergen"))
    app.provide(Clock, Noon)

    @queue.job("welcome")
    async def welcome(ctx: JobContext, data: str, mailer: Mailer, clock: Clock) -> str:
        return f"{mailer.send(data)} at {clock.now()} as {ctx.name}"

    @queue.job("tidy")
    def tidy(*, mailer: Mailer, app: Corral) -> str:
        return f"{mailer.send('all')} in {app.name}"

    async with working(app):
        assert await (await welcome.add("Ann")).result(timeout=GUARD) == "Ann from Bergen at 12:00 as welcome"
        assert await (await tidy.add()).result(timeout=GUARD) == "all from Bergen in app"


async def test_a_parameter_with_a_default_keeps_it_when_nobody_provides_its_type(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work(data: int, settings: Settings | None = None, verbose: bool = True) -> list[object]:
        return [data, settings, verbose]

    async with working(app):
        assert await (await work.add(1)).result(timeout=GUARD) == [1, None, True]


async def test_the_payload_and_its_type_are_those_of_the_first_parameter_after_the_context(app: Corral) -> None:
    queue = app.queue("work")
    app.provide(Settings, Settings)

    @queue.job("work")
    async def work(ctx: JobContext, data: dict[str, int], settings: Settings) -> int:
        return data["x"]

    handle = await (await queue.open()).add("work", [1])
    async with working(app):
        assert await (await work.add({"x": 5})).result(timeout=GUARD) == 5
        assert "PayloadError" in await reason(handle)


async def test_a_type_that_nobody_provides_stops_the_worker_from_starting(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("welcome")
    async def welcome(data: str, mailer: Mailer) -> None: ...

    worker = await app.worker()
    with pytest.raises(
        RegistrationError, match=r"handler 'welcome' of queue 'work' asks for Mailer \(parameter 'mailer'\)"
    ):
        await worker.run()
    with pytest.raises(RegistrationError, match="asks for Mailer"):
        await drain(app)


async def test_a_factorys_own_unmet_wish_is_named_too(app: Corral) -> None:
    queue = app.queue("work")
    app.provide(Database, Database)

    @queue.job("work")
    async def work(data: str, database: Database) -> None: ...

    with pytest.raises(RegistrationError, match="the factory of Database asks for Settings"):
        await (await app.worker()).run()


async def test_services_that_need_each_other_are_told_with_the_circle(app: Corral) -> None:
    class Hen:
        pass

    class Egg:
        pass

    def hatch(egg: Egg) -> Hen:
        return Hen()

    def lay(hen: Hen) -> Egg:
        return Egg()

    hatch.__annotations__.update(egg=Egg)
    lay.__annotations__.update(hen=Hen)
    app.provide(Hen, hatch)
    app.provide(Egg, lay)
    queue = app.queue("work")

    async def work(data: str, hen: Any) -> None: ...

    work.__annotations__.update(hen=Hen)
    queue.job("work")(work)
    with pytest.raises(RegistrationError, match=r"services need each other: .*Hen → .*Egg → .*Hen"):
        await (await app.worker()).run()


async def test_what_lives_with_the_worker_cannot_need_what_lives_with_a_job(app: Corral) -> None:
    queue = app.queue("work")
    app.provide(Settings, Settings, scope="job")
    app.provide(Database, Database)

    @queue.job("work")
    async def work(data: str, database: Database) -> None: ...

    with pytest.raises(RegistrationError, match="Database lives as long as the worker and cannot need Settings"):
        await (await app.worker()).run()


@pytest.mark.parametrize("service", [int, str, dict[str, int], JobContext, Any, None])
def test_types_that_are_everybodys_cannot_be_services(service: Any) -> None:
    with pytest.raises(ConfigError):
        Corral().provide(service, lambda: 1)


def test_a_service_is_provided_once() -> None:
    app = Corral()
    app.provide(Settings, Settings)
    with pytest.raises(RegistrationError, match="Settings is provided already"):
        app.provide(Settings, Settings)


def test_a_scope_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="'worker' or 'job'"):
        Corral().provide(Settings, Settings, scope="request")  # type: ignore[arg-type]  # what a person may write


def test_a_factory_with_a_parameter_that_no_service_can_fill_is_refused() -> None:
    def make(place: str) -> Settings:
        return Settings(place)

    with pytest.raises(RegistrationError, match="parameter 'place'"):
        Corral().provide(Settings, make)


async def test_a_worker_without_an_application_has_no_services(local_url: str) -> None:
    async def work(data: str, settings: Settings) -> None: ...

    async with Corral(local_url) as app:
        queue = Queue("work", await app.open())
        with pytest.raises(RegistrationError, match="asks for Settings"):
            await Worker(queue, work).run()


# -- scopes and endings ------------------------------------------------------------------------------------------------


async def test_a_worker_makes_its_services_once_and_puts_them_away_last_made_first(app: Corral) -> None:
    queue = app.queue("work")
    told: list[str] = []

    async def settings() -> AsyncIterator[Settings]:
        told.append("settings")
        yield Settings()
        told.append("no settings")

    @asynccontextmanager
    async def database(settings: Settings) -> AsyncIterator[Database]:
        told.append("database")
        yield Database(settings)
        told.append("no database")

    @app.on_startup
    def start() -> None:
        told.append("start")

    @app.on_shutdown
    async def shut_down() -> None:
        told.append("shut down")

    app.provide(Settings, settings)
    app.provide(Database, database)

    @queue.job("work")
    async def work(data: int, database: Database) -> int:
        return id(database)

    handles = await work.add_bulk(range(3))
    await work_off(app)
    assert len({await handle.result(timeout=GUARD) for handle in handles}) == 1
    assert told == ["start", "settings", "database", "no database", "no settings", "shut down"]


@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_a_jobs_service_is_made_for_each_job_and_hears_of_its_failure(app: Corral, mode: str) -> None:
    queue = app.queue("work")
    told: list[str] = []

    def session(ctx: JobContext) -> Iterator[Settings]:
        try:
            yield Settings(ctx.name)
        except ValueError as error:
            told.append(f"rolled back: {error}")  # and does not raise it again: the failure stands all the same
        else:
            told.append("committed")

    app.provide(Settings, session, scope="job")

    async def work(data: bool, settings: Settings) -> str:
        if not data:
            raise ValueError("no")
        return settings.place

    def blocking_work(data: bool, settings: Settings) -> str:
        if not data:
            raise ValueError("no")
        return settings.place

    declared: Any = queue.job("work")(work if mode == "async" else blocking_work)
    good, bad = await declared.add(True), await declared.add(False)
    async with working(app):
        assert await good.result(timeout=GUARD) == "work"
        assert await reason(bad) == "ValueError: no"
    assert sorted(told) == ["committed", "rolled back: no"]


async def test_an_error_while_a_service_is_put_away_is_the_jobs_failure(app: Corral) -> None:
    queue = app.queue("work")

    async def session() -> AsyncIterator[Settings]:
        yield Settings()
        raise ConnectionError("the commit failed")

    app.provide(Settings, session, scope="job")

    @queue.job("work")
    async def work(data: int, settings: Settings) -> int:
        return data

    handle = await work.add(1)
    async with working(app):
        assert await reason(handle) == "ConnectionError: the commit failed"


async def test_a_jobs_service_is_put_away_when_its_time_is_up(app: Corral) -> None:
    queue = app.queue("work")
    told: list[str] = []

    async def session() -> AsyncIterator[Settings]:
        try:
            yield Settings()
        finally:
            told.append("away")

    app.provide(Settings, session, scope="job")

    @queue.job("work", timeout=0.05)
    async def work(data: int, settings: Settings) -> None:
        await asyncio.Event().wait()

    handle = await work.add(1)
    async with working(app):
        assert "timed out" in await reason(handle)
    assert told == ["away"]


async def test_steering_signals_pass_through_services(app: Corral) -> None:
    queue = app.queue("work", attempts=2)
    app.provide(Settings, Settings, scope="job")

    @queue.job("work")
    async def work(ctx: JobContext, data: int, settings: Settings) -> int:
        if ctx.attempt == 1:
            raise Retry("again", after=0)
        return ctx.attempt

    handle = await work.add(1)
    async with working(app):
        assert await handle.result(timeout=GUARD) == 2


async def test_in_a_thread_plain_factories_run_in_that_thread_and_asynchronous_ones_on_the_loop(app: Corral) -> None:
    queue = app.queue("work")
    loop = asyncio.get_running_loop()
    threads: dict[str, int] = {}

    def connection() -> Iterator[sqlite3.Connection]:
        made = sqlite3.connect(":memory:")  # it may be used, and closed, in this thread only
        threads["connection"] = threading.get_ident()
        try:
            yield made
        finally:
            made.close()

    async def settings(connection: sqlite3.Connection) -> AsyncIterator[Settings]:
        assert asyncio.get_running_loop() is loop
        yield Settings()

    app.provide(sqlite3.Connection, connection, scope="job")
    app.provide(Settings, settings, scope="job")

    @queue.job("work")
    def work(ctx: SyncJobContext, data: int, connection: sqlite3.Connection, settings: Settings) -> int:
        threads["handler"] = threading.get_ident()
        [[found]] = connection.execute("SELECT ?", (data,)).fetchall()
        assert isinstance(found, int)
        return found

    handle = await work.add(7)
    async with working(app):
        assert await handle.result(timeout=GUARD) == 7
    assert threads["connection"] == threads["handler"] != threading.get_ident()


async def test_a_batch_has_one_set_of_services(app: Corral) -> None:
    queue = app.queue("work")
    made: list[Settings] = []

    def settings() -> Settings:
        made.append(Settings())
        return made[-1]

    app.provide(Settings, settings, scope="job")

    @queue.job("index", batch=Batch(5, minimum=3, wait=60))
    async def index(jobs: list[BatchJob[int]], settings: Settings) -> str:
        return settings.place

    handles = await index.add_bulk([1, 2, 3])
    async with working(app):
        assert [await handle.result(timeout=GUARD) for handle in handles] == ["Oslo"] * 3
    assert len(made) == 1


async def test_a_service_of_a_batch_cannot_ask_for_a_jobs_context(app: Corral) -> None:
    queue = app.queue("work")

    def settings(ctx: JobContext) -> Settings:
        return Settings(ctx.name)

    app.provide(Settings, settings, scope="job")

    @queue.job("index", batch=Batch(5))
    async def index(jobs: list[BatchJob[int]], settings: Settings) -> None: ...

    with pytest.raises(RegistrationError, match="does not have"):
        await (await app.worker()).run()
