"""Jobs that corral adds and Node runs: what Node makes of them, and what corral then reads."""

import json
from typing import Any

import pytest

from corral.errors import JobFailedError
from corral.job import JobState, NewJob
from corral.options import Exponential, Fixed, JobOptions, Keep
from corral.queue import Queue

from .node import Bull
from .scenes.adding import ODD_DATA
from .work import GUARD, until

TRACE = '{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'


async def test_a_job_of_corral_runs_in_node_and_its_result_is_awaited_here(bull: Bull, mail: Queue, major: int) -> None:
    handle = await mail.add("welcome", {"to": 7})
    await bull.worker(script={"*": {"echo": True}}, major=major, worker_name="node-1")
    assert await handle.result(timeout=GUARD) == {"to": 7}
    job = await handle.get()
    assert (job.state, job.attempts_made, job.attempts_started, job.worker) == (JobState.COMPLETED, 1, 1, "node-1")
    assert job.created_at <= (job.started_at or 0) <= (job.finished_at or 0)


async def test_data_of_every_kind_arrives_and_comes_back_unchanged(bull: Bull, mail: Queue, major: int) -> None:
    odd = {name: data for name, data in ODD_DATA.items() if name != "data-half-surrogate"}
    handles = await mail.add_bulk(list(odd.items()))
    await bull.worker(script={"*": {"echo": True}}, major=major, concurrency=4)
    for handle, (name, data) in zip(handles, odd.items(), strict=True):
        assert await handle.result(timeout=GUARD) == data, name


async def test_node_reads_the_options_in_its_own_words(bull: Bull, mail: Queue, major: int) -> None:
    handle = await mail.add(
        "welcome", {"n": 1}, attempts=3, backoff=Exponential(2, jitter=0), keep_completed=Keep(age=3600, count=5),
        keep_failed=False, keep_logs=7, priority=4, id="order-17", timeout=30, lifespan=600,
    )  # fmt: skip
    job = await (await bull.queue(major=major)).get("order-17")
    assert job is not None
    told = {
        key: job["opts"].get(key)
        for key in ("attempts", "backoff", "removeOnComplete", "removeOnFail", "keepLogs", "priority")
    }
    assert told["attempts"] == 3
    assert {key: told["backoff"][key] for key in ("type", "delay")} == {"type": "exponential", "delay": 2000}
    assert told["removeOnComplete"] == {"age": 3600, "count": 5}
    assert told["removeOnFail"] in (0, True)
    assert (told["keepLogs"], told["priority"], job["priority"], job["delay"]) == (7, 4, 4, 0)
    assert (job["id"], job["name"], job["data"]) == (handle.id, "welcome", {"n": 1})


async def test_node_serves_corrals_jobs_in_its_own_order(bull: Bull, mail: Queue, major: int) -> None:
    await mail.add("five", priority=5)
    await mail.add("one", priority=1)
    await mail.add("plain")
    await mail.add("ahead", lifo=True)
    worker = await bull.worker(major=major)
    assert [run["name"] for run in await worker.runs(4)] == ["ahead", "plain", "one", "five"]


async def test_a_delayed_job_of_corral_waits_in_node_for_its_time(bull: Bull, mail: Queue, major: int) -> None:
    await bull.worker(major=major)
    handle = await mail.add("later", delay=0.3)
    await handle.result(timeout=GUARD)
    job = await handle.get()
    assert (job.started_at or 0) >= job.created_at + 300


async def test_node_retries_with_corrals_backoff_until_the_job_succeeds(bull: Bull, mail: Queue, major: int) -> None:
    handle = await mail.add("flaky", attempts=4, backoff=Fixed(0.05, jitter=0))
    script = {"*": {"throw": "not yet", "times": 2, "return": "at last"}}
    worker = await bull.worker(script=script, major=major)
    assert await handle.result(timeout=GUARD) == "at last"
    assert [run["attemptsMade"] for run in await worker.runs(3)] == [0, 1, 2]
    job = await handle.get()
    assert (job.attempts_made, job.failed_reason, len(job.traces)) == (3, "not yet", 2)


@pytest.mark.parametrize(
    "step", [{"throw": "550 – nö"}, {"throw": "550 – nö", "unrecoverable": True}], ids=["exhausted", "unrecoverable"]
)
async def test_what_failed_in_node_for_good_raises_here(
    bull: Bull, mail: Queue, major: int, step: dict[str, Any]
) -> None:
    handle = await mail.add("bad", attempts=2)
    await bull.worker(script={"*": step}, major=major)
    with pytest.raises(JobFailedError, match="550 – nö"):
        await handle.result(timeout=GUARD)
    job = await handle.get()
    made = 1 if "unrecoverable" in step else 2
    assert (job.state, job.attempts_made, len(job.traces)) == (JobState.FAILED, made, made)


async def test_progress_and_logs_of_node_are_read_here(bull: Bull, mail: Queue, major: int) -> None:
    handle = await mail.add("welcome", keep_logs=2)
    script = {"*": {"progress": {"done": []}, "log": ["one", "zwei – ü", "three"], "data": {"n": 2}}}
    await bull.worker(script=script, major=major)
    await handle.result(timeout=GUARD)
    job = await handle.get()
    assert (job.progress, job.data) == ('{"done":[]}', '{"n":2}')
    assert list((await mail.logs(handle.id)).items) == ["zwei – ü", "three"]


async def test_node_keeps_of_corrals_jobs_what_corral_said(bull: Bull, mail: Queue, major: int) -> None:
    await mail.add("welcome", keep_completed=False)
    await mail.add("bad", keep_failed=0)
    last = await mail.add("welcome", keep_completed=Keep(count=5))
    await bull.worker(script={"bad": {"throw": "boom"}}, major=major)
    await last.result(timeout=GUARD)
    counts = await mail.counts()
    assert (counts.completed, counts.failed, counts.waiting, counts.active) == (1, 0, 0, 0)


async def test_a_job_that_steps_aside_in_node_is_seen_as_delayed_and_runs_again(
    bull: Bull, mail: Queue, major: int
) -> None:
    handle = await mail.add("welcome")
    worker = await bull.worker(script={"*": {"delay": 60_000, "return": "late"}}, major=major)

    async def is_delayed() -> bool:
        return (await handle.get()).state is JobState.DELAYED

    await worker.runs(1)
    await until(is_delayed)
    assert (await handle.get()).attempts_made == 0
    assert await mail.promote(handle.id) == [handle.id]
    assert await handle.result(timeout=GUARD) == "late"


async def test_node_runs_five_hundred_jobs_of_corral_each_once(bull: Bull, mail: Queue, major: int) -> None:
    await mail.add_bulk([("n", {"n": number}) for number in range(500)])
    worker = await bull.worker(major=major, concurrency=50)
    runs = await worker.runs(500)
    assert sorted(run["data"]["n"] for run in runs) == list(range(500))

    async def all_done() -> bool:
        return (await mail.counts()).completed == 500

    await until(all_done)


async def test_node_sees_the_trace_where_its_own_jobs_have_it(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    theirs = await queue.add("theirs", telemetry={"metadata": TRACE})
    apart = await queue.add("apart", telemetry={"omitContext": True})
    ours = [
        NewJob(queue="mail", name="ours", options=JobOptions(trace=TRACE)),
        NewJob(queue="mail", name="more", options=JobOptions(trace=TRACE, tags=("t",), attempts=2), delay_ms=1),
        NewJob(queue="mail", name="alone", options=JobOptions(omit_trace=True), priority=1),
    ]
    added = await mail.storage.add(ours)
    dump = await bull.keys.dump()
    stored = [json.loads(dump[f"mail:{job_id}"][1]["opts"]) for job_id in (theirs["id"], added[0].id)]
    assert [opts["tm"] for opts in stored] == [TRACE, TRACE]
    assert stored[1].keys() == {"tm"}
    worker = await bull.worker(major=major)
    runs = {run["name"]: run["opts"].get("telemetry") for run in await worker.runs(5)}
    assert runs["ours"] == runs["theirs"] == runs["more"] == {"metadata": TRACE}
    assert runs["alone"] == runs["apart"] == {"omitContext": True}
    assert apart["id"]


async def test_what_node_does_not_know_stays_with_the_job(bull: Bull, mail: Queue, major: int) -> None:
    handle = await mail.add("welcome", tags=["tenant-42"], attempts=2)
    script = {"*": {"throw": "not yet", "times": 1, "return": "done"}}
    await bull.worker(script=script, major=major)
    await handle.result(timeout=GUARD)
    assert (await handle.get()).options == JobOptions(tags=("tenant-42",), attempts=2)
