"""What a running handler adds: jobs at once, jobs with its completion, and children."""

import asyncio
from typing import Any

import pytest

from corral import (
    Batch,
    BatchJob,
    Corral,
    Discard,
    Job,
    JobContext,
    JobState,
    NewJob,
    ParentPolicy,
    Retry,
    Snooze,
    WaitForChildren,
)
from corral.errors import ConfigError
from corral.testing import Recorded, app_in_memory, run_job
from corral.worker.adding import child_id
from tests.engine import services
from tests.engine.helpers import GUARD, ending, reason, work_off, working


async def all_jobs(app: Corral, queue: str = "work") -> list[Job]:
    live = await app.queues[queue].open()
    return sorted((await live.page(limit=100)).items, key=lambda job: job.created_at)


# -- at once -----------------------------------------------------------------------------------------------------------


async def test_a_handler_adds_declared_jobs_and_jobs_by_name_with_options(app: Corral) -> None:
    queue = app.queue("work")
    app.queue("mail")

    @queue.job("second")
    async def second(data: dict[str, int]) -> None: ...

    @queue.job("first")
    async def first(ctx: JobContext) -> list[object]:
        declared = await ctx.add(second, {"n": 1}, delay=3600, id="later")
        again = await ctx.add(second, {"n": 2}, id="later")
        named = await ctx.add("mail", "welcome", {"to": "ann"})
        return [declared.id, declared.fresh, again.id, again.fresh, named.fresh]

    handle = await first.add()
    async with working(app, run_schedules=False):
        assert await handle.result(timeout=GUARD) == ["later", True, "later", False, True]
    assert (await handle.queue.get("later")).data == '{"n":1}'
    [mail] = await all_jobs(app, "mail")
    assert (mail.name, mail.data) == ("welcome", '{"to":"ann"}')


async def test_what_handlers_add_passes_the_applications_intake(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("second")
    async def second(data: str) -> None: ...

    @queue.job("first")
    async def first(ctx: JobContext, data: str) -> None:
        if data == "later":
            await ctx.add_on_complete(second, data)
        else:
            await ctx.add(second, data)

    @app.before_add
    def refuse(job: NewJob) -> None:
        if job.name == "second":
            raise PermissionError("no second jobs")

    handles = await first.add_bulk(["now", "later"])
    async with working(app):
        assert [await reason(handle) for handle in handles] == ["PermissionError: no second jobs"] * 2


# -- with the completion -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["complete", "fail", "retry", "snooze"])
async def test_jobs_for_the_completion_are_added_with_it_and_not_otherwise(app: Corral, end: str) -> None:
    queue = app.queue("work", attempts=2)

    @queue.job("next")
    async def following(data: int) -> None: ...

    @queue.job("first")
    async def first(ctx: JobContext) -> None:
        await ctx.add_on_complete(following, 1, delay=3600)
        await ctx.add_on_complete("work", "next", 2, delay=3600)
        match end:
            case "fail":
                raise Discard("no")
            case "retry":
                raise Retry("later", after=3600)
            case "snooze":
                raise Snooze(3600)

    await first.add()
    await work_off(app)
    found = sorted(job.data for job in await all_jobs(app) if job.name == "next")
    assert found == (["1", "2"] if end == "complete" else [])


async def test_a_retry_adds_for_the_completion_once_and_not_for_each_attempt(app: Corral) -> None:
    queue = app.queue("work", attempts=3)

    @queue.job("next")
    async def following(data: int) -> None: ...

    @queue.job("first")
    async def first(ctx: JobContext) -> None:
        await ctx.add_on_complete(following, ctx.attempt, delay=3600)
        if not ctx.is_last_attempt:
            raise ValueError("again")

    await first.add()
    await work_off(app)
    assert [job.data for job in await all_jobs(app) if job.name == "next"] == ["3"]


async def test_each_job_of_a_batch_adds_with_its_own_completion(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("next")
    async def following(data: int) -> None: ...

    @queue.job("index", batch=Batch(2, minimum=2, wait=60))
    async def index(jobs: list[BatchJob[int]]) -> None:
        for job in jobs:
            await job.ctx.add_on_complete(following, job.data, delay=3600)
            if job.data == 2:
                job.fail("not this one")

    handles = await index.add_bulk([1, 2])
    async with working(app):
        for handle in handles:
            await ending(handle)
    assert [job.data for job in await all_jobs(app) if job.name == "next"] == ["1"]


# -- children ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [
    services.parent_on_loop, services.parent_in_thread, services.parent_in_child, services.blocking_parent_in_child,
], ids=["async", "thread", "async-process", "process"])  # fmt: skip
async def test_a_handler_waits_for_its_children_and_reads_their_results(declared: Any) -> None:
    async with app_in_memory(services.app) as app:
        handle = await declared.add([1, 2, 3])
        async with working(app):
            assert await handle.result(timeout=GUARD) == [2, 4, 6]
            assert await handle.queue.result("after", timeout=GUARD) == 24
            assert await handle.queue.result("beside", timeout=GUARD) == 100
        parts = [job for job in await all_jobs(app) if job.parent]
    assert [job.id for job in parts] == [f"{handle.id}.{number}" for number in (1, 2, 3)]


async def test_children_wait_and_fan_in_on_each_engine(app: Corral) -> None:
    queue = app.queue("work", attempts=3)
    runs: list[int] = []

    @queue.job("part")
    async def part(data: int) -> int:
        return data * data

    @queue.job("whole")
    async def whole(ctx: JobContext) -> list[int]:
        runs.append(ctx.fence)
        answers = await ctx.add_children(part, [3, 4, 5])
        found = await ctx.children_of(part)
        if found.pending:
            assert [answer.fresh for answer in answers] == [True] * 3
            raise WaitForChildren
        assert [answer.fresh for answer in answers] == [False] * 3
        return found.results

    handle = await whole.add()
    async with working(app):
        assert await handle.result(timeout=GUARD) == [9, 16, 25]
    assert runs == [1, 2]
    assert len(await all_jobs(app)) == 4


async def test_a_retry_doubles_no_children(app: Corral) -> None:
    queue = app.queue("work", attempts=3)
    ran: list[int] = []

    @queue.job("part")
    async def part(data: int) -> int:
        ran.append(data)
        return data

    @queue.job("whole")
    async def whole(ctx: JobContext) -> list[int]:
        await ctx.add_child(part, 1)
        if ctx.attempt == 1:
            raise ValueError("in the middle")
        await ctx.add_child(part, 2)
        found = await ctx.children_of(part)
        if found.pending:
            raise WaitForChildren
        return found.results

    handle = await whole.add(id="report-7")
    async with working(app):
        assert await handle.result(timeout=GUARD) == [1, 2]
    assert sorted(ran) == [1, 2]


async def test_children_that_are_not_kept_are_neither_run_again_nor_lost(app: Corral) -> None:
    queue = app.queue("work")
    ran: list[int] = []

    @queue.job("part", keep_completed=False)
    async def part(data: int) -> int:
        ran.append(data)
        return data + 1

    @queue.job("whole")
    async def whole(ctx: JobContext) -> list[int]:
        await ctx.add_children(part, [1, 2])
        found = await ctx.children_of(part)
        if found.pending:
            raise WaitForChildren
        return found.results

    handle = await whole.add()
    async with working(app):
        assert await handle.result(timeout=GUARD) == [2, 3]
    assert sorted(ran) == [1, 2]


@pytest.mark.parametrize("policy", ["fail", "ignore"])
async def test_a_childs_failure_means_what_its_policy_says(app: Corral, policy: str) -> None:
    queue = app.queue("work")

    @queue.job("part")
    async def part(data: int) -> int:
        raise ValueError("no luck")

    @queue.job("whole")
    async def whole(ctx: JobContext) -> dict[str, str]:
        if policy == "fail":
            await ctx.add_child(part, 1)
        else:
            await ctx.add_child(part, 1, on_failure=ParentPolicy.IGNORE)
        found = await ctx.children_of(part)
        if found.pending:
            raise WaitForChildren
        return dict(found.failed)

    handle = await whole.add()
    async with working(app):
        if policy == "fail":
            assert "no luck" in await reason(handle)
        else:
            assert await handle.result(timeout=GUARD) == {f"{handle.id}.1": "ValueError: no luck"}


async def test_children_of_one_declaration_are_told_from_others_and_results_have_their_type(app: Corral) -> None:
    queue, other = app.queue("work"), app.queue("other")

    @queue.job("numbers")
    async def numbers(data: int) -> tuple[int, int]:
        return data, data

    @other.job("words")
    async def words(data: str) -> str:
        return data.upper()

    @queue.job("whole")
    async def whole(ctx: JobContext) -> list[object]:
        await ctx.add_child(numbers, 1)
        await ctx.add_child(words, "a")
        await ctx.add_child(numbers, 2, id="chosen")
        pairs, letters = await ctx.children_of(numbers), await ctx.children_of(words)
        if pairs.pending or letters.pending:
            raise WaitForChildren
        assert all(isinstance(pair, tuple) for pair in pairs.completed.values())
        return [sorted(pairs.completed), letters.results]

    handle = await whole.add()
    async with working(app):
        assert await handle.result(timeout=GUARD) == [[f"{handle.id}.1", "chosen"], ["A"]]


async def test_a_child_of_somebody_else_is_added_with_add() -> None:
    queue = Corral().queue("work")

    @queue.job("whole")
    async def whole(ctx: JobContext) -> None:
        await ctx.add_child("work", "part", None, parent=("work", "7"))

    with pytest.raises(ConfigError, match="leave parent out"):
        await run_job(whole)


def test_childrens_ids_tell_parents_apart() -> None:
    parent = Job(id="7", queue="work", name="whole", state=JobState.ACTIVE, data="{}", created_at=255)
    chosen = Job(id="report", queue="work", name="whole", state=JobState.ACTIVE, data="{}", created_at=255)
    odd = Job(id="7", queue="with {space}", name="whole", state=JobState.ACTIVE, data="{}", created_at=255)
    assert child_id(parent, "work", 2) == "7.2"
    assert child_id(parent, "other", 2) == "work.7.2"
    assert child_id(chosen, "work", 1) == "report.ff.1"
    assert len(child_id(odd, "other", 1)) == 26
    deep = Job(id="x" * 200, queue="work", name="whole", state=JobState.ACTIVE, data="{}", created_at=255)
    assert len(child_id(deep, "work", 1)) == 26


async def test_the_testing_kit_records_what_a_handler_adds() -> None:
    queue = Corral().queue("work")

    @queue.job("second")
    async def second(data: int) -> None: ...

    @queue.job("first")
    async def first(ctx: JobContext) -> str:
        await ctx.add_on_complete(second, 2)
        await ctx.add_child(second, 3)
        return (await ctx.add(second, 1)).id

    recorded = Recorded()
    assert await run_job(first, recorded=recorded) == "2"
    assert [(job.data, job.id) for job in recorded.added] == [("3", "1.1"), ("1", None)]
    assert [job.data for job in recorded.added_on_complete] == ["2"]


# -- waiting for nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempts", "expected"), [(1, 2), (3, 6)])
async def test_a_handler_that_waits_for_children_it_does_not_have_fails(
    app: Corral, attempts: int, expected: int
) -> None:
    runs: list[int] = []

    @app.queue("work").job("whole", attempts=attempts, backoff=0)
    async def whole(ctx: JobContext) -> None:
        runs.append(ctx.attempt)
        raise WaitForChildren

    handle = await whole.add()
    async with working(app):
        assert "no child pending" in await reason(handle)
    assert len(runs) == expected


async def test_a_handler_that_waits_on_although_its_children_have_ended_fails(app: Corral) -> None:
    queue = app.queue("work")
    runs: list[int] = []

    @queue.job("part")
    async def part(data: int) -> int:
        return data

    @queue.job("whole")
    async def whole(ctx: JobContext) -> None:
        runs.append(ctx.fence)
        await ctx.add_child(part, 1)
        raise WaitForChildren

    handle = await whole.add()
    async with working(app):
        assert "no child pending" in await reason(handle)
    assert len(runs) <= 3


async def test_a_child_that_ends_before_its_parent_has_stepped_aside_is_no_mistake(app: Corral) -> None:
    queue = app.queue("work")
    runs: list[int] = []

    @queue.job("part")
    async def part(data: int) -> int:
        return data

    @queue.job("whole")
    async def whole(ctx: JobContext) -> int:
        runs.append(ctx.fence)
        if len(runs) <= 3:
            async with asyncio.timeout(GUARD):
                child = await ctx.add_child(part, len(runs), id=f"part-{len(runs)}")
                await (await queue.open()).result(child.id)
            raise WaitForChildren
        return len((await ctx.children()).completed)

    handle = await whole.add()
    async with working(app):
        assert await handle.result(timeout=GUARD) == 3
    assert len(runs) == 4
