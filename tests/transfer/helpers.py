"""A store full of everything, and the whole of a store as one value."""

from msgspec import Struct
from msgspec.structs import replace

from corral.job import JobId, NewJob, ParentRef
from corral.move.mover import Mover
from corral.move.verdict import Moved
from corral.options import (
    CustomBackoff,
    Exponential,
    JobOptions,
    Keep,
    ParentPolicy,
    QueueSettings,
    RateLimit,
)
from corral.outcome import Completed, Crashed, Failed, Released, Retried, Snoozed
from corral.schedule import Cron, Every, Schedule
from corral.storage.port import Bucket, JobPatch, QueueInfo, Storage
from corral.storage.transfer import Movable, Note, Packed, Stored, Tie
from corral.timing import Millis
from tests.storage.helpers import T0, add, end, new_job, run_through, start, start_one, these

FAR: Millis = 4_000_000_000_000  #: in a hundred years: no note or job of a test ends by itself
OTHER = "reports"


class Content(Struct):
    """All that is to arrive, without what says where it came from."""

    jobs: list[Stored]
    order: list[tuple[str, str, int | None, str]]  #: waiting and delayed jobs as they stand, by group
    ties: dict[str, frozenset[Tie]]
    logs: dict[str, tuple[str, ...]]
    notes: dict[str, Note]
    schedules: list[Schedule]
    minutes: list[Bucket]
    info: QueueInfo
    totals: tuple[int, int]


async def everything(store: Movable, queue: str) -> list[Packed]:
    """All jobs of a queue but active ones."""
    packed: list[Packed] = []
    after: str | None = ""
    while after is not None:
        parcel = await store.pack(queue, after=after, limit=7)
        assert parcel.unreadable == ()
        packed += parcel.jobs
        after = parcel.next
    return packed


async def content(store: Movable, queue: str) -> Content:
    """What a queue holds."""
    packed = await everything(store, queue)
    ids = [one.stored.job.id for one in packed]
    parents = [one.stored.job.id for one in packed if one.is_parent]
    ties = dict(zip(parents, map(frozenset, await store.pack_ties(queue, parents)), strict=True))
    notes: dict[str, Note] = {}
    after: str | None = ""
    while after is not None:
        some = await store.pack_notes(queue, after=after, limit=7)
        notes |= {note.key: note for note in some.notes}
        after = some.next
    [counts] = await store.counts([queue])
    [info] = [one for one in await store.queues() if one.name == queue]
    waiting = [one.stored.job for one in packed if one.stored.job.state in ("waiting", "delayed")]
    return Content(
        jobs=sorted((one.stored for one in packed), key=lambda one: one.job.id),
        order=sorted(
            (
                (job.state, job.group or "", job.run_at if job.run_at is not None else job.priority, job.id)
                for job in waiting
            ),
            key=lambda one: one[:3],  # jobs of different groups are not in each other's way
        ),
        ties=ties,
        logs={job_id: (await store.logs(queue, job_id, limit=10_000)).items for job_id in ids},
        notes=notes,
        schedules=list((await store.schedules(queue=queue)).items),
        minutes=await store.metrics(queue, since=0, until=FAR),
        info=replace(info, paused=False, pause_reason="", held_until=None, hold_reason=""),  # holds of T0 are over
        totals=(counts.completed_total, counts.failed_total),
    )


async def carry(source: Movable, target: Movable, *queues: str, **how: bool) -> list[Moved]:
    """Move without waiting for running jobs."""
    return await Mover(source, target).run(queues, timeout=0, **how)


async def fill(store: Storage, queue: str = "mail") -> None:
    """Jobs in every state, with everything that a job can have."""

    def job(id: JobId | None = None, name: str = "welcome", **fields: object) -> NewJob:
        return new_job(id, name, queue=queue, **fields)

    options = JobOptions(
        attempts=5, backoff=Exponential(2, maximum=60), timeout_ms=1500, lifespan_ms=None, keep_completed=Keep(5, 6),
        keep_failed=Keep(count=0), keep_logs=7,
    )  # fmt: skip
    await add(store, job(), job("plain"), now=T0)
    await run_through(store, Completed('{"ok": [1.5, "é"]}'), queue=queue, now=T0 + 5)
    run = await start_one(store, queue=queue, now=T0 + 6)
    await store.log(queue, run.job.id, ["one", "two", "drei"])
    await store.update(queue, [JobPatch(job_id=run.job.id, token=run.token, progress='{"done": 40}')], now=T0 + 7)
    await end(store, run, Failed("no: 550", "Traceback é"), now=T0 + 66_000)
    await add(store, job("tries", options=options), job("sleeps"), job("crashes"), job("back"), now=T0 + 70_000)
    for outcome in (Retried(3_000, "busy", "trace 1"), Snoozed(9_000), Crashed("oom", 3), Released()):
        await run_through(store, outcome, queue=queue, now=T0 + 80_000)
    await add(
        store,
        job("low", priority=2_000_000), job("high", priority=10, options=JobOptions(backoff=CustomBackoff())),
        job("first", lifo=True), job("second"), job("third", "other", options=JobOptions(lifespan_ms=5_000)),
        job("also-high", priority=10), job("newest", lifo=True, data='{"text": "\\u2028 ünï"}'), job(),
        now=T0 + 90_000,
    )  # fmt: skip
    await add(
        store,
        job("later", delay_ms=50_000), job("late", run_at=T0 + 500_000),
        job("late-too", run_at=T0 + 500_000, priority=3),
        job("repeat:daily:17", schedule="daily", scheduled_for=17), job(schedule="daily"),
        now=T0 + 90_000,
    )  # fmt: skip
    await store.cancel(queue, these("third"), reason="not wanted", now=T0 + 91_000)
    await store.log(queue, "low", [f"line {number}" for number in range(40)])
    await _family(store, queue)
    await store.remember(queue, "sent:1", "yes", now=T0)
    await store.remember(queue, "charged:2", '{"cents": 5}', ttl_ms=FAR - T0, now=T0)
    await store.configure(
        queue,
        QueueSettings(
            rate_limit=RateLimit(7, per=2.5), add_limit=RateLimit(100, per=60), concurrency=9,
            name_concurrency={"welcome": 3}, keep_completed=Keep(7_200, 90), keep_failed=Keep(count=11),
        ),
        now=T0 + 100_000,
    )  # fmt: skip
    daily = Schedule(
        key="daily", queue=queue, name="digest", timing=Cron("0 1 * * *", tz="Europe/Oslo"), data='{"a": 1}',
        options=options, priority=4, next_at=FAR, last_at=T0, last_job_id="17", fired=3, limit=9,
    )  # fmt: skip
    tick = Schedule(key="tick", queue=queue, name="tick", timing=Every(90), anchor_at=T0, next_at=FAR, paused=True)
    await store.put_schedules([daily, tick], now=T0 + 100_000)


async def _family(store: Storage, queue: str) -> None:
    """A parent with children in two queues, of which some have ended, and one below them."""

    def child(id: str, policy: ParentPolicy = ParentPolicy.WAIT, *, of: str = "parent", where: str = queue) -> NewJob:
        return new_job(id, "child", queue=where, parent=ParentRef(queue=queue, id=of, policy=policy))

    far = f"{OTHER}-of-{queue}"
    await add(
        store,
        new_job("parent", queue=queue, children=5), child("c-done"), child("c-open"),
        child("c-failed", ParentPolicy.IGNORE), child("c-stuck"), child("c-far", where=far),
        new_job("grown", queue=queue, children=1, priority=1), child("g-1", of="grown"),
        now=T0 + 110_000,
    )  # fmt: skip
    runs = {run.job.id: run for run in await start(store, 100, queue=queue, now=T0 + 120_000)}
    await end(store, runs["c-done"], Completed('"fine"', Keep(count=0)), now=T0 + 121_000)
    await end(store, runs["c-failed"], Failed("ignored"), now=T0 + 121_001)
    await end(store, runs["c-stuck"], Failed("stuck"), now=T0 + 121_002)
    await end(store, runs["g-1"], Completed("[]"), now=T0 + 121_003)
    done = {"c-done", "c-failed", "c-stuck", "g-1"}
    for job_id, run in runs.items():
        if job_id not in done:
            await end(store, run, Released(), now=T0 + 122_000)
