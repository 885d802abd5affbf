"""Adding: what is stored, what is refused, and that a refusal writes nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from corral import Bundle, Corral, Cron, EventType, Every, Exponential, Fixed, JobState, Keep, RateLimit, WorkerOptions
from corral.errors import (
    ConfigError,
    CorralError,
    PayloadError,
    QueueNotFoundError,
    RegistrationError,
    UnknownJobError,
    UnknownOptionError,
)
from corral.storage.port import Claim, Token
from corral.testing import FakeClock, drain
from tests.engine.helpers import ids, on_clock, past, working

# -- what add answers --------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-20")
async def test_m_ts_20_adding_a_job_returns_its_id(app: Corral) -> None:
    queue = await app.queue("send-email").open()
    handle = await queue.add("welcome-email", {"to": "ann@example.com"})
    job = await queue.get(handle.id)
    assert (job.id, job.queue, job.name, job.data) == (
        handle.id, "send-email", "welcome-email", '{"to":"ann@example.com"}',
    )  # fmt: skip
    assert job.state is JobState.WAITING


@pytest.mark.mission("M-TS-35")
async def test_m_ts_35_ids_count_up_from_one_in_each_queue(app: Corral) -> None:
    one, two = await app.queue("one").open(), await app.queue("two").open()
    assert [(await one.add("work")).id for _ in range(3)] == ["1", "2", "3"]
    assert (await two.add("work")).id == "1"


@pytest.mark.mission("M-TS-32")
async def test_m_ts_32_adding_is_logged_with_queue_and_id(app: Corral, caplog: pytest.LogCaptureFixture) -> None:
    queue = await app.queue("send-email").open()
    with caplog.at_level(logging.INFO, "corral.queue"):
        handle = await queue.add("welcome-email")
    [record] = [record for record in caplog.records if record.name == "corral.queue"]
    facts = vars(record)
    assert record.message == "Job added to queue"
    assert (facts["queue"], facts["jobId"], facts["job"]) == ("send-email", handle.id, "welcome-email")


@pytest.mark.mission("M-TS-21", "M-GL-36", "M-AI-18")
async def test_m_ts_21_a_delayed_job_runs_not_before_its_time(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("send-email")

    @queue.job("reminder")
    async def reminder() -> None: ...

    clock = FakeClock()
    async with on_clock(app, clock=clock):
        handle = await reminder.add(delay=60)
        clock.advance(59.999)
        [event] = await past(await queue.open(), EventType.DELAYED)
        looking = Claim(count=1, token=Token("looking"), lease_ms=1000)
        assert (await (await app.open()).claim("send-email", looking)).jobs == ()
        clock.advance(0.001)
        done = await drain(app)
        job = await handle.get()
    assert done.seconds == 0
    assert (job.started_at or 0) - job.created_at == 60_000
    assert event.detail == str(job.created_at + 60_000)


@pytest.mark.parametrize(("delay", "ms"), [(0.0001, 1), (1, 1000), (timedelta(minutes=2), 120_000)])
async def test_a_delay_is_seconds_or_a_timedelta_and_never_rounded_down(app: Corral, delay: Any, ms: int) -> None:
    job = await (await (await app.queue("work").open()).add("work", None, delay=delay)).get()
    assert (job.state, job.run_at) == (JobState.DELAYED, job.created_at + ms)


@pytest.mark.parametrize("at", [datetime(2040, 1, 1, tzinfo=UTC), 2_208_988_800, 2_208_988_800.0])
@pytest.mark.mission("M-GL-37")
async def test_a_point_in_time_is_a_datetime_or_epoch_seconds(app: Corral, at: Any) -> None:
    job = await (await (await app.queue("work").open()).add("work", None, at=at)).get()
    assert (job.state, job.run_at) == (JobState.DELAYED, 2_208_988_800_000)


@pytest.mark.parametrize("options", [{"delay": 0}, {"at": datetime(2020, 1, 1, tzinfo=UTC)}, {"at": 0}])
@pytest.mark.mission("M-GL-37")
async def test_what_is_due_already_does_not_wait(app: Corral, options: Any) -> None:
    job = await (await (await app.queue("work").open()).add("work", None, **options)).get()
    assert (job.state, job.run_at) == (JobState.WAITING, None)


async def test_a_worker_starts_a_delayed_job_when_it_falls_due(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> None: ...

    async with working(app):
        handle = await work.add(delay=0.15)
        await handle.result(timeout=10)
    job = await handle.get()
    assert (job.started_at or 0) - job.created_at >= 150


async def test_an_id_of_ones_own_is_added_once_and_the_first_stays(app: Corral) -> None:
    queue = await app.queue("work").open()
    first = await queue.add("work", {"n": 1}, id="order-7")
    second = await queue.add("work", {"n": 2}, id="order-7")
    assert (first.fresh, second.fresh, second.id) == (True, False, "order-7")
    assert (await second.get()).data == '{"n":1}'
    assert (await queue.counts()).waiting == 1


async def test_the_same_id_may_be_used_in_every_queue(app: Corral) -> None:
    one, two = await app.queue("one").open(), await app.queue("two").open()
    assert (await one.add("work", id="x")).fresh
    assert (await two.add("work", id="x")).fresh


# -- many at once ------------------------------------------------------------------------------------------------------


async def test_a_bulk_is_added_in_order_with_options_for_each(app: Corral) -> None:
    queue = await app.queue("work").open()
    handles = await queue.add_bulk([("a", 1), ("b", 2, {"priority": 1}), ("c", 3, {"delay": 60}), ("d", None)])
    jobs = [await handle.get() for handle in handles]
    assert [(job.name, job.data, job.priority, job.state) for job in jobs] == [
        ("a", "1", 0, JobState.WAITING), ("b", "2", 1, JobState.WAITING), ("c", "3", 0, JobState.DELAYED),
        ("d", "{}", 0, JobState.WAITING),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad", [("c", b"no json"), ("c", {}, {"priority": -1}), ("", {}), ("c", {}, {"colour": "red"})]
)
async def test_one_bad_job_in_a_bulk_stops_all_of_it(app: Corral, bad: Any) -> None:
    queue = await app.queue("work").open()
    with pytest.raises(CorralError):
        await queue.add_bulk([("a", 1), ("b", 2), bad, ("d", 4)])
    assert (await queue.counts()).waiting == 0
    assert await past(queue) == []


async def test_one_bad_payload_in_a_typed_bulk_stops_all_of_it(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work(data: int) -> None: ...

    with pytest.raises(PayloadError):
        await work.add_bulk([1, 2, cast(int, "three"), 4])
    assert (await (await queue.open()).counts()).waiting == 0


async def test_a_bulk_that_is_too_long_is_refused_and_an_empty_one_is_nothing(app: Corral) -> None:
    queue = await app.queue("work").open()
    with pytest.raises(ConfigError, match="at most 10,000 jobs"):
        await queue.add_bulk([("work", None)] * 10_001)
    assert await queue.add_bulk([]) == []
    assert (await queue.counts()).waiting == 0


async def test_adds_of_many_tasks_at_once_all_arrive(app: Corral) -> None:
    queue = await app.queue("work").open()
    handles = await asyncio.gather(*(queue.add("work", number) for number in range(300)))
    assert len({handle.id for handle in handles}) == 300
    assert (await queue.counts()).waiting == 300


# -- what is refused ---------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], type[CorralError], str]] = {
    "unknown option": ({"prioriti": 1}, UnknownOptionError, "did you mean 'priority'"),
    "Bull's spelling": ({"removeOnComplete": True}, UnknownOptionError, "removeOnComplete"),
    "attempts 0": ({"attempts": 0}, ConfigError, "attempts must be"),
    "attempts 1001": ({"attempts": 1001}, ConfigError, "attempts must be"),
    "attempts True": ({"attempts": True}, ConfigError, "attempts must be"),
    "attempts as text": ({"attempts": "3"}, ConfigError, "attempts must be"),
    "priority -1": ({"priority": -1}, ConfigError, "priority must be"),
    "priority too large": ({"priority": 2_097_152}, ConfigError, "priority must be"),
    "priority 1.5": ({"priority": 1.5}, ConfigError, "priority must be"),
    "delay -1": ({"delay": -1}, ConfigError, "delay must be at least 0 s"),
    "delay in milliseconds": ({"delay": 3.2e8 * 1000}, ConfigError, "durations are in seconds"),
    "delay NaN": ({"delay": float("nan")}, ConfigError, "delay must be finite"),
    "delay as text": ({"delay": "60"}, ConfigError, "delay must be seconds"),
    "naive time": ({"at": datetime(2030, 1, 1)}, ConfigError, "aware datetime"),  # noqa: DTZ001  # what is refused
    "time in milliseconds": ({"at": 1_893_456_000_000}, ConfigError, "epoch seconds"),
    "delay and time": ({"delay": 1, "at": 1_893_456_000}, ConfigError, "not both"),
    "reserved id": ({"id": "completed"}, ConfigError, "reserved"),
    "numeric id": ({"id": "17"}, ConfigError, "looks like a number"),
    "id with a colon": ({"id": "a:b"}, ConfigError, "character"),
    "empty id": ({"id": ""}, ConfigError, "1 to 256 characters"),
    "id of 257": ({"id": "x" * 257}, ConfigError, "1 to 256 characters"),
    "id of no text": ({"id": 7}, ConfigError, "must be a text"),
    "timeout 0": ({"timeout": 0}, ConfigError, "timeout must be"),
    "lifespan -5": ({"lifespan": -5}, ConfigError, "lifespan must be"),
    "backoff as text": ({"backoff": "exponential"}, ConfigError, "backoff must be"),
    "keep -1": ({"keep_completed": -1}, ConfigError, "keep"),
    "keep as text": ({"keep_failed": "24h"}, ConfigError, "keep_failed must be"),
    "logs": ({"keep_logs": 100_001}, ConfigError, "keep_logs must be"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_bad_option_is_refused_by_name_and_nothing_is_written(app: Corral, what: str) -> None:
    options, error, message = REFUSED[what]
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> None: ...

    live = await queue.open()
    for add in (lambda: work.add(None, **options), lambda: live.add("work", None, **options)):
        with pytest.raises(error, match=message):
            await cast(Callable[[], Awaitable[object]], add)()
    counts = await live.counts()
    assert (counts.waiting, counts.delayed, counts.completed, counts.failed) == (0, 0, 0, 0)
    assert await past(live) == []


@pytest.mark.parametrize("name", ["", "  ", "a:b", "x" * 129, "a\nb", "a*", None, 7])
async def test_a_bad_name_is_refused_for_jobs_queues_handlers_and_schedules(app: Corral, name: Any) -> None:
    queue = app.queue("work")

    async def work() -> None: ...

    job = queue.job("work")(work)
    with pytest.raises(ConfigError):
        await (await queue.open()).add(name)
    with pytest.raises(ConfigError):
        app.queue(name)
    with pytest.raises(ConfigError):
        queue.job(name)(work)
    with pytest.raises(ConfigError):
        app.schedule(name, Every(60), job)
    assert (list(app.queues), list(queue.definitions), len(app.schedules)) == (["work"], ["work"], 0)
    assert (await (await queue.open()).counts()).waiting == 0


async def test_what_is_not_declared_is_not_found_and_the_nearest_name_is_offered(local_url: str, app: Corral) -> None:
    queue = app.queue("send-email")

    @queue.job("welcome-email")
    async def welcome() -> None: ...

    with pytest.raises(QueueNotFoundError, match="did you mean 'send-email'"):
        await app.open_queue("send-mail")
    with pytest.raises(QueueNotFoundError, match="send-mail"):
        app.definition("send-mail", "welcome-email")
    with pytest.raises(UnknownJobError, match="did you mean 'welcome-email'"):
        app.definition("send-email", "welcome-mail")
    with pytest.raises(QueueNotFoundError, match="send-mail"):
        await app.worker(queues={"send-mail": None})
    with pytest.raises(ConfigError, match="nothing to work on"):
        await Corral(local_url).worker()


def test_a_second_registration_is_refused_and_the_first_stays() -> None:
    app = Corral()
    queue = app.queue("work", concurrency=3)

    async def first() -> None: ...
    async def second() -> None: ...

    job = queue.job("work")(first)
    app.schedule("nightly", Cron("0 1 * * *"), job)
    bundle = Bundle("extra", queue="work")
    bundle.job("work")(second)
    with pytest.raises(RegistrationError, match="'work' already"):
        queue.job("work")(second)
    with pytest.raises(RegistrationError, match="declared already"):
        app.queue("work", concurrency=9)
    with pytest.raises(RegistrationError, match="declared already"):
        app.schedule("nightly", Cron("0 2 * * *"), job)
    with pytest.raises(RegistrationError, match="already"):
        app.include(bundle)
    with pytest.raises(RegistrationError, match="already"):
        bundle.job("work")(second)
    assert queue.concurrency == 3
    assert queue.definition("work") is job
    assert [one.timing for one in app.schedules.declared()] == [Cron("0 1 * * *")]


@pytest.mark.parametrize("url", [
    "", "corral.db", "mysql://x/y", "sqlite:corral.db", "sqlite://", "sqlite:///", "://", b"sqlite:///x.db", 7,
    "sqlite:///x.db?sync=off", "sqlite:///x.db?busy=soon", "redis://x/a", "redis://x?prefx=y",
])  # fmt: skip
def test_a_bad_url_is_refused_before_anything_is_opened(url: Any) -> None:
    with pytest.raises(ConfigError):
        Corral(url)


@pytest.mark.parametrize(
    "line", ["", "* * *", "61 * * * *", "0 0 31 2 *", "0 9 * * mon-xyz", "@fortnightly", "* * * * * * *"]
)
def test_a_bad_cron_line_is_refused_where_it_is_written(line: str) -> None:
    with pytest.raises(ConfigError):
        Cron(line)


DECLARED_BADLY: dict[str, Callable[[Corral], object]] = {
    "unknown zone": lambda app: Cron("0 9 * * 1", tz="Europe/Olso"),
    "every 0 s": lambda app: Every(0),
    "rate of 0": lambda app: RateLimit(0),
    "rate per 0 s": lambda app: RateLimit(1, per=0),
    "negative back-off": lambda app: Fixed(-1),
    "endless back-off": lambda app: Exponential(float("inf")),
    "negative jitter": lambda app: Fixed(1, jitter=-0.5),
    "negative keep": lambda app: Keep(age=-1),
    "concurrency 0": lambda app: app.queue("q", concurrency=0),
    "concurrency as text": lambda app: app.queue("q", concurrency=cast(int, "5")),
    "max_active 0": lambda app: app.queue("q", max_active=0),
    "rate as a dict": lambda app: app.queue("q", rate_limit=cast(RateLimit, {"max": 10})),
    "unknown queue option": lambda app: app.queue("q", limiter={"max": 10}),  # type: ignore[call-arg]
    "attempts 0 on a queue": lambda app: app.queue("q", attempts=0),
    "unknown handler option": lambda app: app.queue("q").job("j", retries=3)(print),  # type: ignore[call-arg]
    "retry_on of no class": lambda app: app.queue("q").job("j", retry_on=cast(Any, "ValueError"))(lambda: None),
    "name cap 0": lambda app: app.queue("q").job("j", concurrency=0)(lambda: None),
    "application name": lambda app: Corral(name="a:b"),
    "lease too short": lambda app: WorkerOptions(lease=0.01),
    "negative shutdown": lambda app: WorkerOptions(shutdown_timeout=-1),
}


@pytest.mark.parametrize("what", DECLARED_BADLY)
def test_what_cannot_be_meant_is_refused_where_it_is_declared(what: str) -> None:
    app = Corral()
    with pytest.raises(ConfigError):
        DECLARED_BADLY[what](app)
    assert [queue for queue in app.queues.values() if queue.definitions] == []


# -- bundles -----------------------------------------------------------------------------------------------------------


async def test_a_bundles_jobs_are_added_through_the_application_that_includes_it(app: Corral) -> None:
    bundle = Bundle("email", queue="send-email", attempts=4)

    @bundle.job("welcome", priority=2)
    async def welcome(data: str) -> str:
        return data

    with pytest.raises(RegistrationError, match="no application includes"):
        await welcome.add("ann")
    queue = app.include(bundle, queue="mail", attempts=9, timeout=5)
    handle = await app.definition("mail", "welcome").add("ann")
    job = await handle.get()
    assert (queue.name, job.queue, job.priority, job.options.attempts, job.options.timeout_ms) == (
        "mail",
        "mail",
        2,
        4,
        5000,
    )
    async with working(app):
        assert await handle.result(timeout=10) == "ann"


async def test_a_bundles_jobs_have_the_priority_of_their_queue_unless_they_say_another(app: Corral) -> None:
    bundle = Bundle("email", queue="send-email")
    bundle.job("welcome")(_nothing)
    bundle.job("urgent", priority=1)(_nothing)
    bundle.job("ordinary", priority=0)(_nothing)

    queue = app.include(bundle, priority=10)

    added = [await queue.definition(name).add() for name in ("welcome", "urgent", "ordinary")]
    assert [(await handle.get()).priority for handle in added] == [10, 1, 0]


async def _nothing() -> None: ...


async def test_pages_list_jobs_by_state(app: Corral) -> None:
    queue = await app.queue("work").open()
    await queue.add_bulk([("a", 1), ("b", 2, {"delay": 60}), ("a", 3)])
    page = await queue.page(JobState.WAITING)
    assert (ids(page.items), page.total) == (["1", "3"], 2)
    assert ids((await queue.page(name="b")).items) == ["2"]
