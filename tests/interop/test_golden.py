"""What BullMQ wrote, read and continued by corral: every scene, from keys that BullMQ itself made."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from corral.event import OLDEST, EventType
from corral.job import Job, JobState
from corral.options import QueueSettings
from corral.schedule import Cron, Every, Schedule
from corral.storage.port import QueueCounts, Storage

from .continuing import LATER, let_leases_end, serve_all
from .dumps import Golden, golden
from .keys import Keys
from .node import Bull
from .scenes import Scene, scenes

ALL = scenes()
every_scene = pytest.mark.parametrize("scene", ALL, ids=str)

#: BullMQ's events that mean the same to corral.
SHARED_EVENTS = {kind.value: kind for kind in EventType} | {"retries-exhausted": None}


def test_there_are_at_least_a_hundred_scenes_and_each_is_recorded() -> None:
    assert len(ALL) >= 100
    assert [str(scene) for scene in ALL if golden(scene).at == 0] == []


# -- reading -----------------------------------------------------------------------------------------------------------


@every_scene
async def test_corral_sees_each_job_as_bullmq_does(scene: Scene, storage: Storage, keys: Keys) -> None:
    recorded = golden(scene, keys.prefix)
    await keys.load(recorded.keys)
    for queue, seen in recorded.queues.items():
        jobs = await storage.get(queue, list(seen["jobs"]))
        for (job_id, facts), job in zip(seen["jobs"].items(), jobs, strict=True):
            assert job is not None, job_id
            assert as_bullmq_tells(job) == told(facts), job_id
        page = await storage.page(queue, tuple(JobState), limit=1000)
        assert {job.id for job in page.items} == set(seen["jobs"])
        assert page.total == len(seen["jobs"])


def state_of(text: str) -> JobState:
    """BullMQ's word for a state as corral's: a prioritized job is a waiting one."""
    return JobState.WAITING if text == "prioritized" else JobState(text)


def told(facts: Mapping[str, Any]) -> dict[str, object]:
    """What BullMQ said about a job, as far as both have a word for it."""
    state = state_of(facts["state"])
    return {
        "state": state,
        "name": facts["name"],
        "data": facts.get("data"),
        "priority": facts.get("priority", 0),
        "attempts": facts.get("opts", {}).get("attempts") or None,
        "attempts_made": facts["attemptsMade"],
        "attempts_started": facts["attemptsStarted"],
        "crashes": facts["stalledCounter"],
        "created_at": int(facts["timestamp"]),
        "started_at": facts.get("processedOn"),
        "finished_at": facts.get("finishedOn"),
        "progress": facts.get("progress", 0),
        "result": facts.get("returnvalue"),
        "failed_reason": facts.get("failedReason") or None,  # BullMQ reads an empty one as none
        "traces": facts.get("stacktrace", []),
        "worker": facts.get("processedBy"),
        "parent": facts["parentKey"].partition(":")[2] if "parentKey" in facts else None,
        "schedule": facts.get("repeatJobKey"),
    }


def as_bullmq_tells(job: Job) -> dict[str, object]:
    """The same about corral's job."""
    return {
        "state": job.state,
        "name": job.name,
        "data": json.loads(job.data),
        "priority": job.priority,
        "attempts": job.options.attempts,
        "attempts_made": job.attempts_made,
        "attempts_started": job.attempts_started,
        "crashes": job.crashes,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "progress": 0 if job.progress is None else json.loads(job.progress),
        "result": None if job.result is None else json.loads(job.result),
        "failed_reason": job.failed_reason or None,
        "traces": list(job.traces),
        "worker": job.worker,
        "parent": f"{job.parent.queue}:{job.parent.id}" if job.parent else None,
        "schedule": job.schedule,
    }


@every_scene
async def test_corral_counts_as_bullmq_does(scene: Scene, storage: Storage, keys: Keys) -> None:
    recorded = golden(scene, keys.prefix)
    await keys.load(recorded.keys)
    for queue, seen in recorded.queues.items():
        (counts,) = await storage.counts([queue])
        states = [state_of(facts["state"]) for facts in seen["jobs"].values()]
        expected = {state: states.count(state) for state in JobState}
        assert by_state(counts) == expected
        assert counts.paused == (expected[JobState.WAITING] if seen["paused"] else 0)
        (info,) = [info for info in await storage.queues() if info.name == queue]
        assert info.paused == seen["paused"]


def by_state(counts: QueueCounts) -> dict[JobState, int]:
    return {state: getattr(counts, state.value.replace("-", "_")) for state in JobState}


@every_scene
async def test_corral_reads_due_times_logs_children_and_events(scene: Scene, storage: Storage, keys: Keys) -> None:
    recorded = golden(scene, keys.prefix)
    await keys.load(recorded.keys)
    for queue, seen in recorded.queues.items():
        for job_id, due in recorded.due(queue).items():
            (job,) = await storage.get(queue, [job_id])
            assert job is not None
            assert job.run_at == due
        for job_id, facts in seen["jobs"].items():
            assert list((await storage.logs(queue, job_id)).items) == facts.get("logs", [])
            await check_children(storage, recorded, queue, job_id)
        events, _ = await storage.events(queue, after=OLDEST, limit=1000)
        heard = [(event.type, event.job_id) for event in events]
        for fields in recorded.events(queue):
            if fields["event"] in (
                "added",
                "completed",
                "progress",
                "removed",
                "paused",
                "resumed",
                "stalled",
                "active",
            ):
                assert (EventType(fields["event"]), fields.get("jobId")) in heard


async def check_children(storage: Storage, recorded: Golden, queue: str, job_id: str) -> None:
    def stored(part: str, empty: list[Any]) -> Any:
        return recorded.keys.get(f"{queue}:{job_id}:{part}", [None, empty])[1]

    children = await storage.children(queue, job_id)
    # To BullMQ a failed child whose parent goes on waiting is still a dependency; corral says that it has failed.
    waited = {(name, child) for _, name, child in (key.split(":", 2) for key in stored("dependencies", []))}
    stuck = {(name, child) for name, child in waited if recorded.queues[name]["jobs"][child]["state"] == "failed"}
    assert set(children.pending) == waited - stuck
    done = {key.rpartition(":")[2]: json.loads(value) for key, value in dict(stored("processed", [])).items()}
    assert {key: json.loads(value) for key, value in children.completed.items()} == done
    failed = {child for _, child in stuck} | {key.rpartition(":")[2] for key in dict(stored("failed", []))}
    failed |= {key.rpartition(":")[2] for key, _ in stored("unsuccessful", [])}
    assert set(children.failed) == failed


SCHEDULED = [scene for scene in ALL if scene.topic == "schedulers"]


@pytest.mark.parametrize("scene", SCHEDULED, ids=str)
async def test_corral_lists_the_schedulers_of_bullmq(scene: Scene, storage: Storage, keys: Keys) -> None:
    recorded = golden(scene, keys.prefix)
    await keys.load(recorded.keys)
    page = await storage.schedules(queue="mail")
    expected = {one["key"]: one for one in recorded.queues["mail"].get("schedulers", [])}
    assert {schedule.key for schedule in page.items} == set(expected)
    for schedule in page.items:
        assert as_scheduler(schedule) == scheduler_told(expected[schedule.key])


def as_scheduler(schedule: Schedule) -> dict[str, object]:
    timing = schedule.timing
    return {
        "name": schedule.name,
        "every": timing.ms if isinstance(timing, Every) else None,
        "pattern": timing.expression if isinstance(timing, Cron) else None,
        "tz": timing.tz if isinstance(timing, Cron) and timing.tz != "UTC" else None,
        "next": schedule.next_at,
        "limit": schedule.limit,
        "end": schedule.end_at,
        "data": json.loads(schedule.data),
        "attempts": schedule.options.attempts,
        "priority": schedule.priority,
    }


def scheduler_told(scheduler: Mapping[str, Any]) -> dict[str, object]:
    template = scheduler.get("template") or {}
    opts = template.get("opts") or {}
    every = scheduler.get("every")
    return {
        "name": scheduler["name"],
        "every": None if every is None else int(every),
        "pattern": scheduler.get("pattern"),
        "tz": scheduler.get("tz"),
        "next": scheduler["next"],
        "limit": scheduler.get("limit"),
        "end": scheduler.get("endDate"),
        "data": template.get("data") or {},
        "attempts": opts.get("attempts"),
        "priority": opts.get("priority", 0),
    }


# -- continuing --------------------------------------------------------------------------------------------------------


async def carry_on(scene: Scene, storage: Storage, keys: Keys) -> None:
    """Resume, recover and serve everything of a scene."""
    recorded = golden(scene, keys.prefix)
    await keys.load(recorded.keys)
    now = recorded.at + LATER
    for queue in recorded.queues:
        await storage.configure(queue, QueueSettings(paused=False), now=now)
        await let_leases_end(storage, keys, queue, now)
    await serve_all(storage, keys, list(recorded.queues), now + 600_000)


def end_of(scene: Scene, queue: str, job_id: str, facts: Mapping[str, Any]) -> str:
    """The state a job should end in once everything is served."""
    planned = scene.then.get(f"{queue}/{job_id}") or scene.then.get(job_id)
    if planned:
        return planned
    if facts["state"] in ("completed", "failed"):
        return str(facts["state"])
    recorded = golden(scene)
    if recorded.due(queue).get(job_id, 0) > recorded.at + LATER:
        return "delayed"
    return "unknown" if facts["opts"].get("removeOnComplete") is True else "completed"


@every_scene
async def test_corral_carries_on_where_bullmq_stopped(scene: Scene, storage: Storage, keys: Keys) -> None:
    await carry_on(scene, storage, keys)
    for queue, seen in golden(scene).queues.items():
        assert await keys.faults(queue, idle=True) == []
        held = await keys.ids(queue)
        for job_id, facts in seen["jobs"].items():
            (place,) = [name for name, ids in held.items() if job_id in ids] or ["unknown"]
            assert place == end_of(scene, queue, job_id, facts), job_id


@pytest.mark.parametrize("scene", ALL[::2], ids=str)
async def test_bullmq_reads_what_corral_left(scene: Scene, storage: Storage, keys: Keys, bull: Bull) -> None:
    await carry_on(scene, storage, keys)
    for name in golden(scene).queues:
        queue = await bull.queue(name)
        held = await keys.ids(name)
        (counts,) = await storage.counts([name])
        jobs = await queue.call("getJobs")
        assert {job["id"] for job in jobs} == {job_id for ids in held.values() for job_id in ids}
        assert all(job["name"] and job["timestamp"] is not None and job["delay"] is not None for job in jobs)
        seen = await queue.counts()
        assert sum(seen.values()) == sum(by_state(counts).values())
        finished = [job for job in jobs if job["id"] in held["completed"]]
        assert all(job["finishedOn"] >= job["processedOn"] for job in finished)
        await queue.call("getJobSchedulers")
        await queue.call("exportPrometheusMetrics")
