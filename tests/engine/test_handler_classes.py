"""Classes of handlers, services in child processes, and fakes in tests."""

import os
from typing import Any

import pytest

from corral import Batch, BatchJob, Corral, JobContext, JobState, handles
from corral.errors import ConfigError, RegistrationError
from corral.testing import app_in_memory, drain, run_batch, run_job
from tests.engine import services
from tests.engine.helpers import GUARD, ending, work_off, working
from tests.engine.wares import Clock, Database, Mailer, Noon, Post, Settings, Silent

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


@pytest.mark.mission("M-AI-12", "M-AI-04")
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


@pytest.mark.mission("M-AI-16")
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
