"""Services: made by factories, asked for by type, put away again."""

import asyncio
import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from corral import Batch, BatchJob, Corral, JobContext, JobState, Queue, Retry, SyncJobContext, Worker, handles
from corral.errors import ConfigError, RegistrationError
from corral.testing import app_in_memory, drain, run_batch, run_job
from tests.engine import services
from tests.engine.helpers import GUARD, ending, reason, work_off, working


class Settings:
    def __init__(self, place: str = "Oslo") -> None:
        self.place = place


class Database:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Mailer(ABC):
    @abstractmethod
    def send(self, to: str) -> str: ...


class Post(Mailer):
    def __init__(self, database: Database) -> None:
        self.database = database

    def send(self, to: str) -> str:
        return f"{to} from {self.database.settings.place}"


class Clock(Protocol):
    def now(self) -> str: ...


class Noon:
    def now(self) -> str:
        return "12:00"


class Silent(Mailer):
    def send(self, to: str) -> str:
        return f"nothing to {to}"


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


# -- classes of handlers -----------------------------------------------------------------------------------------------


class Completions:
    """Handlers as methods, with injected services."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @handles("generate-completion", timeout=10, attempts=3)
    async def generate(self, ctx: JobContext, data: str) -> list[object]:
        return [data, self.settings.place, id(self), ctx.attempts]

    @handles("count")
    def count(self, data: str, clock: Clock) -> str:
        return f"{len(data)} at {clock.now()}"


async def test_m_ai_12_methods_of_a_class_handle_jobs_on_an_object_with_its_services(app: Corral) -> None:
    class Mine(Completions):
        pass

    app.provide(Settings, Settings("Hamar"))
    app.provide(Clock, Noon)
    app.queue("ai-tasks", attempts=5).handlers(Mine)
    async with working(app):
        first = await (await Mine.generate.add("a")).result(timeout=GUARD)
        second = await (await Mine.generate.add("b")).result(timeout=GUARD)
        assert (first[0], first[1], first[3]) == ("a", "Hamar", 3)
        assert first[2] == second[2]  # one object for the whole worker
        assert await (await Mine.count.add("four")).result(timeout=GUARD) == "4 at 12:00"
    with pytest.raises(RegistrationError):
        await Completions.generate.add("the base class is on no queue")


async def test_m_ai_16_a_class_may_be_included_and_have_an_object_for_each_job(app: Corral) -> None:
    class Mine(Completions):
        pass

    app.provide(Settings, Settings)
    app.provide(Clock, Noon)
    queue = app.queue("ai-tasks")
    queue.handlers(scope="job")(Mine)
    made: list[object] = []

    @app.middleware
    async def keep(ctx: JobContext, call_next: Any) -> object:
        made.append(await call_next())
        return made[-1]

    await Mine.generate.add_bulk(["a", "b"])
    await work_off(app)
    assert len(made) == 2

    class Included(Completions):
        pass

    assert app.include(Included, queue="other").name == "other"
    assert sorted(app.queues["other"].definitions) == ["count", "generate-completion"]
    with pytest.raises(RegistrationError, match="queue="):
        app.include(Included)


async def test_a_method_is_still_a_method_on_an_object() -> None:
    completions = Completions(Settings("Moss"))
    assert completions.count("abc", Noon()) == "3 at 12:00"


def test_a_class_serves_one_queue_only() -> None:
    class Mine(Completions):
        pass

    app = Corral()
    app.queue("one").handlers(Mine)
    with pytest.raises(RegistrationError, match="serves queue 'one' already"):
        app.queue("two").handlers(Mine)


def test_a_class_without_job_methods_is_refused() -> None:
    with pytest.raises(RegistrationError, match="no method decorated"):
        Corral().queue("work").handlers(Settings)


# -- child processes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [services.in_child, services.blocking_in_child], ids=["async", "def"])
async def test_in_a_child_process_services_are_those_that_its_modules_provide(declared: Any) -> None:
    async with app_in_memory(services.app) as app:
        handle = await declared.add("hello")
        async with working(app):
            text, same_job, engine, ink, pid = await handle.result(timeout=GUARD)
    assert (text, same_job, engine, ink) == ("hello", True, "engine of services", "blue")
    assert pid != os.getpid()


async def test_a_class_of_handlers_works_in_a_child_process() -> None:
    async with app_in_memory(services.app) as app:
        handle = await services.Greeter.greet.add("hello")
        async with working(app):
            text, pid = await handle.result(timeout=GUARD)
    assert text == "hello in blue"
    assert pid != os.getpid()


# -- testing -----------------------------------------------------------------------------------------------------------


def mailing(app: Corral) -> Any:
    queue = app.queue("work")
    app.provide(Mailer, Post)
    app.provide(Database, Database)
    app.provide(Settings, Settings)

    @queue.job("welcome")
    async def welcome(data: str, mailer: Mailer) -> str:
        return mailer.send(data)

    return welcome


async def test_a_fake_stands_in_for_a_service_inside_the_block(app: Corral) -> None:
    welcome = mailing(app)
    with app.override(Mailer, Silent()):
        assert await run_job(welcome, "Ann") == "nothing to Ann"
        handle = await welcome.add("Ann")
        await work_off(app)
        assert await handle.result(timeout=GUARD) == "nothing to Ann"
    assert await run_job(welcome, "Ann") == "Ann from Oslo"


async def test_a_drain_uses_the_services_and_their_fakes(app: Corral) -> None:
    welcome = mailing(app)
    async with app_in_memory(app):
        with app.override(Mailer, Silent()):
            handle = await welcome.add("Bo")
            assert (await drain(app)).completed == 1
            job = await handle.get()
    assert (job.state, job.result) == (JobState.COMPLETED, '"nothing to Bo"')


async def test_one_handler_alone_may_be_given_its_services() -> None:
    queue = Corral().queue("work")

    @queue.job("welcome")
    def welcome(data: str, mailer: Mailer) -> str:
        return mailer.send(data)

    assert await run_job(welcome, "Cy", services={Mailer: Silent()}) == "nothing to Cy"


def test_only_what_is_provided_can_be_overridden() -> None:
    with pytest.raises(RegistrationError, match="not provided"), Corral().override(Settings, Settings()):
        raise AssertionError("unreachable")


async def test_one_batch_alone_is_called_with_payloads_and_answers_verdicts() -> None:
    queue = Corral().queue("work")

    @queue.job("index", batch=Batch(3))
    async def index(jobs: list[BatchJob[int]], settings: Settings) -> str:
        for one in jobs:
            if one.data == 2:
                one.fail("even")
        return settings.place

    verdicts = await run_batch(index, [1, 2, 3], services={Settings: Settings("Voss")})
    assert [verdict.result for verdict in verdicts] == ["Voss", None, "Voss"]
    assert [str(verdict.error) for verdict in verdicts if verdict.error] == ["even"]
    with pytest.raises(ConfigError, match="at most 3 jobs"):
        await run_batch(index, [1, 2, 3, 4])
    with pytest.raises(ConfigError, match="run_batch"):
        await run_job(index, 1)


async def test_a_drain_runs_batches(app: Corral) -> None:
    queue = app.queue("work", attempts=2)
    calls: list[list[int]] = []

    @queue.job("index", batch=Batch(3, minimum=3, wait=60))
    async def index(jobs: list[BatchJob[int]]) -> None:
        calls.append([one.data for one in jobs])
        for one in jobs:
            if one.data == 4 and len(calls) < 3:
                one.fail("not yet")

    async with app_in_memory(app):
        handles = await index.add_bulk([1, 2, 3, 4])
        drained = await drain(app)
        jobs = [await ending(handle) for handle in handles]
    assert calls == [[1, 2, 3], [4], [4]]
    assert (drained.completed, drained.retried) == (4, 1)
    assert [one.state for one in jobs] == [JobState.COMPLETED] * 4
