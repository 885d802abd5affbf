"""What is told to Prometheus: the names, the labels, and that their number stays."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from corral import Corral, Dedup, JobContext, QueueFullError, RateLimit, Snooze
from corral.admin.admin import Admin
from corral.admin.objects import Actor
from corral.errors import StorageUnavailableError
from corral.job import Job, JobState, NewJob
from corral.monitor.monitor import Monitor
from corral.observe.names import ATTEMPTS, SECONDS
from corral.observe.prometheus import ApiMetrics, WorkerMetrics, count_adds, page
from corral.options import QueueSettings
from corral.outcome import Completed
from corral.storage.insight import Engine
from corral.storage.passing import Passing
from corral.storage.port import Claim, Storage, Token
from corral.timing import now_ms
from corral.worker.run import Run
from corral.worker.worker import BaseWorker, WorkerOptions

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """The samples of a page."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    """One of them."""
    return found.get((name, frozenset(labels.items())))


async def worked(app: Corral) -> tuple[BaseWorker, WorkerMetrics]:
    """Run what can run, watched."""
    worker = await app.worker(options=WorkerOptions(burst=True, stats_interval=0))
    metrics = WorkerMetrics(worker, engine="sqlite")
    worker.watch(metrics)
    async with asyncio.timeout(30), worker:
        await worker.wait()
    return worker, metrics


def of(metrics: WorkerMetrics) -> Samples:
    return samples(page(metrics.collect())[0])


@pytest.fixture
def app(storage_url: str) -> Corral:
    return Corral(storage_url)


async def test_every_end_of_a_run_has_its_word(app: Corral) -> None:
    queue = app.queue("mail", attempts=1)

    @queue.job("fine")
    async def fine(ctx: JobContext, data: None) -> None: ...

    @queue.job("broken")
    async def broken(ctx: JobContext, data: None) -> None:
        raise RuntimeError

    @queue.job("flaky", attempts=2)
    async def flaky(ctx: JobContext, data: None) -> None:
        if ctx.attempt == 1:
            raise ConnectionError

    @queue.job("slow", timeout=0.05)
    async def slow(ctx: JobContext, data: None) -> None:
        await asyncio.Event().wait()

    @queue.job("later")
    async def later(ctx: JobContext, data: None) -> None:
        if not await ctx.recall("been"):
            await ctx.note("been", "here")
            raise Snooze(0.01)

    @queue.job("unwanted")
    async def unwanted(ctx: JobContext, data: None) -> None:
        await (await app.open_queue("mail")).cancel(ctx.id)
        await asyncio.Event().wait()

    async with app:
        for job in (fine, broken, flaky, slow, later, unwanted):
            await job.add(None)
        _, metrics = await worked(app)
    found = of(metrics)
    ends = {
        (dict(labels)["job"], dict(labels)["outcome"]): count
        for (name, labels), count in found.items()
        if name == "corral_jobs_finished_total"
    }
    assert ends == {
        ("fine", "completed"): 1, ("broken", "failed"): 1, ("flaky", "retried"): 1, ("flaky", "completed"): 1,
        ("slow", "timeout"): 1, ("later", "released"): 1, ("later", "completed"): 1, ("unwanted", "cancelled"): 1,
    }  # fmt: skip
    assert value(found, "corral_jobs_started_total", queue="mail", job="flaky") == 2
    assert value(found, "corral_job_wait_seconds_count", queue="mail", job="flaky") == 1  # the first attempt's
    assert value(found, "corral_job_attempts_sum", queue="mail", job="flaky") == 2
    assert value(found, "corral_job_attempts_count", queue="mail", job="flaky") == 1
    assert value(found, "corral_job_duration_seconds_count", queue="mail", job="slow", outcome="timeout") == 1
    assert value(found, "corral_jobs_active", queue="mail", job="slow") == 0


async def test_a_delayed_job_waits_from_when_it_was_due(app: Corral) -> None:
    @app.queue("mail").job("later")
    async def later(ctx: JobContext, data: None) -> None: ...

    async with app:
        storage = await app.open()
        at = now_ms()
        await storage.add([NewJob(queue="mail", name="later", data="null", delay_ms=590_000)], now=at - 600_000)
        _, metrics = await worked(app)
    waited = value(of(metrics), "corral_job_wait_seconds_sum", queue="mail", job="later") or 0
    assert 10 <= waited < 300


async def test_ten_thousand_names_make_no_series(app: Corral) -> None:
    @app.queue("mail").job("known")
    async def known(ctx: JobContext, data: None) -> None: ...

    async with app:
        metrics = WorkerMetrics(await app.worker(), engine="sqlite")
        for number in range(10_000):
            job = Job(id=str(number), queue="mail", name=f"made-up-{number % 5_000}", state=JobState.ACTIVE, data="{}")
            run = Run("mail", job, Token("t"), 0.0, lambda _: None)
            metrics.started(run)
            metrics.ended(run, Completed(), None)
            metrics.fired("mail", f"schedule-{number}", 1, 0)
    found = of(metrics)
    assert {dict(labels)["job"] for _, labels in found if "job" in dict(labels)} == {"__other__"}
    assert value(found, "corral_jobs_started_total", queue="mail", job="__other__") == 10_000
    assert len({dict(labels)["schedule"] for _, labels in found if "schedule" in dict(labels)}) == 501


async def test_a_worker_says_what_it_is(app: Corral) -> None:
    @app.queue("mail", concurrency=3).job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        worker = await app.worker(options=WorkerOptions(stats_interval=0))
        metrics = WorkerMetrics(worker, engine="sqlite")
        worker.watch(metrics)
        assert value(of(metrics), "corral_worker_state", state="starting") == 1
        async with worker:
            found = of(metrics)
            assert value(found, "corral_worker_slots", queue="mail") == 3
            assert value(found, "corral_worker_slots_busy", queue="mail") == 0
            assert value(found, "corral_worker_state", state="running") == 1
            assert (value(found, "corral_worker_rss_bytes") or 0) > 10_000_000
            assert (value(found, "corral_worker_last_fetch_timestamp_seconds") or 0) > now_ms() / 1000 - 60
            worker.quiet()
            assert value(of(metrics), "corral_worker_state", state="quiet") == 1
        assert value(of(metrics), "corral_worker_state", state="stopping") == 1
    [info] = [dict(labels) for (name, labels) in found if name == "corral_worker_info"]
    assert info.keys() == {"version", "python", "engine", "executor"}
    assert info["executor"] == "async"


async def test_the_buckets_are_the_documented_ones(app: Corral) -> None:
    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        await welcome.add(None)
        _, metrics = await worked(app)
    bounds: dict[str, set[float]] = {}
    for name, labels in of(metrics):
        if name.endswith("_bucket"):
            bounds.setdefault(name, set()).add(float(dict(labels)["le"]))
    assert bounds["corral_job_duration_seconds_bucket"] == {*SECONDS, float("inf")}
    assert bounds["corral_job_wait_seconds_bucket"] == {*SECONDS, float("inf")}
    assert bounds["corral_job_attempts_bucket"] == {*ATTEMPTS, float("inf")}


async def test_dead_workers_jobs_that_are_taken_back_are_counted(app: Corral) -> None:
    @app.queue("mail").job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        storage = await app.open()
        await welcome.add(None)
        await storage.claim("mail", Claim(count=1, token=Token("dead"), lease_ms=1), now=now_ms() - 60_000)
        worker = await app.worker(options=WorkerOptions(stats_interval=0, recovery_interval=0.05))
        metrics = WorkerMetrics(worker, engine="sqlite")
        worker.watch(metrics)
        name = "corral_jobs_stalled_total"
        async with asyncio.timeout(30), worker:
            while value(of(metrics), name, queue="mail", result="requeued") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert value(of(metrics), name, queue="mail", result="requeued") == 1


async def test_a_worker_that_has_begun_cannot_be_watched_any_more(app: Corral) -> None:
    app.queue("mail")
    async with app, await app.worker(options=WorkerOptions(stats_interval=0)) as worker:
        with pytest.raises(ValueError, match="watched from its start on"):
            worker.watch(WorkerMetrics(worker, engine="sqlite"))


# -- the process that adds ---------------------------------------------------------------------------------------------


async def test_what_a_process_adds_is_counted_by_what_became_of_it(app: Corral) -> None:
    @app.queue("mail", add_limit=RateLimit(3, per=60)).job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    metrics = count_adds(app)
    async with app:
        worker = await app.worker(options=WorkerOptions(burst=True, stats_interval=0))
        async with asyncio.timeout(30), worker:  # it stores the limit
            await worker.wait()
        await welcome.add(None, dedup=Dedup("one"))
        await welcome.add(None, dedup=Dedup("one"))
        await welcome.add(None)
        with pytest.raises(QueueFullError):
            await welcome.add_bulk([None, None])
    found = samples(page(metrics.collect())[0])
    results = {
        result: value(found, "corral_jobs_added_total", queue="mail", job="welcome", result=result)
        for result in ("added", "deduplicated", "error")
    }
    assert results == {"added": 2, "deduplicated": 1, "error": 2}
    assert value(found, "corral_add_duration_seconds_count", queue="mail") == 4


# -- the process of the API --------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-70")
async def test_the_store_is_told_by_the_monitors_numbers(app: Corral, engine: str) -> None:
    @app.queue("mail", concurrency=4).job("welcome")
    async def welcome(ctx: JobContext, data: None) -> None: ...

    async with app:
        storage = await app.open()
        await welcome.add_bulk([None] * 3)
        await worked(app)
        await welcome.add_bulk([None] * 2)
        await welcome.add(None, delay=600)
        await (await app.open_queue("mail")).pause()
        api = ApiMetrics(Monitor(storage), labels={"site": "oslo"}, community=True)
        api.request("GET", "/queues/{q}", 200, 0.01)
        api.request("BREW", "", 418, 0.01)
        api.streams(2)
        api.limited("enqueue")
        api.denied("jwt")
        api.audited("queue.pause")
        text, content_type = await api.render()
    assert content_type.startswith("text/plain")
    found = samples(text)
    jobs = {state: value(found, "corral_queue_jobs", queue="mail", state=state) for state in JobState}
    assert jobs == {"waiting": 2, "delayed": 1, "active": 0, "waiting-children": 0, "completed": 3, "failed": 0}
    assert value(found, "corral_queue_paused", queue="mail") == 1
    assert value(found, "corral_queue_completed_total", queue="mail") == 3
    assert value(found, "corral_engine_up", engine=engine) == 1
    assert value(found, "bullmq_job_count", queue="mail", state="paused", site="oslo") == 2
    assert value(found, "bullmq_job_count", queue="mail", state="waiting", site="oslo") == 0
    assert value(found, "bullmq_job_completed_total", queue="mail", site="oslo") == 3
    assert value(found, "bull_queue_completed", queue="mail") == 3
    assert value(found, "corral_http_requests_total", method="GET", route="/queues/{q}", status="200") == 1
    assert value(found, "corral_http_requests_total", method="__other__", route="__other__", status="418") == 1
    assert value(found, "corral_sse_clients") == 2
    assert text.count("# TYPE bullmq_job_count ") == 1


async def test_a_rate_limit_that_is_used_up_is_told_in_seconds(storage: Storage) -> None:
    limit = QueueSettings(rate_limit=RateLimit(1, per=3_600))
    await storage.configure("mail", limit)
    await storage.add([NewJob(queue="mail", name="welcome"), NewJob(queue="mail", name="welcome")])
    before = samples((await ApiMetrics(Monitor(storage)).render())[0])
    assert value(before, "corral_queue_rate_limited_seconds", queue="mail") == 0
    await storage.claim("mail", Claim(count=2, token=Token("t"), lease_ms=600_000))
    after = samples((await ApiMetrics(Monitor(storage)).render())[0])
    seconds = value(after, "corral_queue_rate_limited_seconds", queue="mail")
    assert seconds is not None
    assert 0 < seconds <= 3_600


async def test_kinds_of_failures_are_told_by_whether_they_are_set_aside(app: Corral) -> None:
    @app.queue("mail").job("broken")
    async def broken(ctx: JobContext, kind: int) -> None:
        raise (KeyError, OSError, ValueError)[kind]

    async with app:
        storage = await app.open()
        await broken.add_bulk([0, 1, 2])
        await worked(app)
        monitor = Monitor(storage)
        [one, *_] = (await storage.failures("mail")).items
        await Admin(storage, monitor).by(Actor(sub="ann")).mute("failure", one.fingerprint, now_ms() + 60_000)
        found = samples((await ApiMetrics(monitor).render())[0])
    assert value(found, "corral_failure_groups", queue="mail", state="open") == 2
    assert value(found, "corral_failure_groups", queue="mail", state="muted") == 1


async def test_the_page_is_there_while_the_store_is_not(app: Corral) -> None:
    class Away(Passing):
        async def engine(self) -> Engine:
            raise StorageUnavailableError("no answer")

    app.queue("mail")
    async with app:
        text, _ = await ApiMetrics(Monitor(Away(await app.open()))).render()
    found = samples(text)
    assert value(found, "corral_engine_up", engine="unknown") == 0
    assert value(found, "corral_scrape_errors_total", part="engine") == 1
    assert not any(name == "corral_queue_jobs" for name, _ in found)


async def test_open_metrics_are_given_to_who_asks_for_them(app: Corral) -> None:
    app.queue("mail")
    async with app:
        text, content_type = await ApiMetrics(Monitor(await app.open())).render("application/openmetrics-text")
    assert content_type.startswith("application/openmetrics-text")
    assert "corral_engine_up" in {family.name for family in open_metrics(text)}  # type: ignore[no-untyped-call]  # it has no types


def test_without_the_package_it_says_what_to_install() -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'prometheus_client' else find(name, *a)\n"
        "import corral.observe.prometheus"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigError: metrics need the package prometheus-client: pip install 'corral[metrics]'" in done.stderr
