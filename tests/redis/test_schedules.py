"""Schedules in BullMQ's keys: what stands where, and what is made of keys that others wrote."""

import json
import logging

import pytest
from msgspec.structs import replace

from corral.job import Job, JobState, NewJob
from corral.options import Exponential, JobOptions
from corral.schedule import Cron, Every, Overlap, Schedule
from corral.slots import slot_id
from corral.storage.connect import connect
from corral.storage.port import Added, Claim, Claimed, Token
from corral.storage.redis.connection import Server
from corral.storage.redis.repeats import UnreadableScheduleError, next_run
from corral.storage.redis.schedules import Schedules
from corral.storage.redis.url import parse

QUEUE = "mail"
T0 = 1_700_000_040_000
MINUTE = 60_000
HOUR = 60 * MINUTE


class Table:
    """The schedules of one place, and the keys they are made of."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.prefix = server.place.prefix
        self.base = f"{self.prefix}:{QUEUE}:"
        self.schedules = Schedules(server, self.prefix)

    async def put(self, *schedules: Schedule, now: int = T0) -> None:
        await self.schedules.put(schedules, now)

    async def all(self) -> list[Schedule]:
        return list((await self.schedules.page(None, None, 0, 1000)).items)

    async def ask(self, *command: str | int) -> object:
        [reply] = await self.server.commands(command)
        return reply

    async def hash(self, key: str) -> dict[str, str]:
        reply = await self.ask("HGETALL", self.base + key)
        assert isinstance(reply, list)
        texts = [item.decode() for item in reply if isinstance(item, bytes)]
        return dict(zip(texts[::2], texts[1::2], strict=True))

    async def scheduler(self, key: str, at: int, **fields: str) -> None:
        """A job scheduler as Node writes it."""
        await self.ask("ZADD", f"{self.base}repeat", at, key)
        await self.ask("HSET", f"{self.base}repeat:{key}", *(text for pair in fields.items() for text in pair))


@pytest.fixture
def table(server: Server) -> Table:
    return Table(server)


def plan(key: str = "tick", **fields: object) -> Schedule:
    base = Schedule(key=key, queue=QUEUE, name="beat", timing=Every(60), anchor_at=T0, next_at=T0 + MINUTE)
    return replace(base, **fields)


async def test_a_schedule_is_a_complete_job_scheduler(table: Table) -> None:
    options = JobOptions(attempts=4, backoff=Exponential(2.0), timeout_ms=9_000)
    timing = Cron("30 2 * * 1-5", tz="Europe/Oslo")
    await table.put(
        plan(timing=timing, data='{"a":[]}', options=options, priority=5, limit=9, start_at=T0, end_at=T0 + 9 * HOUR)
    )
    slot = T0 + MINUTE
    assert await table.ask("ZRANGE", f"{table.base}repeat", 0, -1, "WITHSCORES") == [b"tick", str(slot).encode()]
    told = await table.hash("repeat:tick")
    del told["corral"]
    opts = json.loads(told.pop("opts"))
    assert opts == {
        "attempts": 4, "backoff": {"type": "exponential", "delay": 2000}, "priority": 5, "corral": opts["corral"],
    }  # fmt: skip
    assert told == {
        "name": "beat", "pattern": "30 2 * * 1-5", "tz": "Europe/Oslo", "limit": "9", "startDate": str(T0),
        "endDate": str(T0 + 9 * HOUR), "offset": "0", "data": '{"a":[]}', "ic": "1",
    }  # fmt: skip
    job = await table.hash(slot_id("tick", slot))
    assert json.loads(job.pop("opts")) == {
        **opts,
        "repeat": {
            "pattern": "30 2 * * 1-5", "tz": "Europe/Oslo", "limit": 9, "startDate": T0, "endDate": T0 + 9 * HOUR,
            "count": 1,
        },
        "repeatJobKey": "tick", "jobId": slot_id("tick", slot), "delay": MINUTE, "timestamp": T0, "prevMillis": slot,
    }  # fmt: skip
    assert job == {
        "name": "beat", "data": '{"a":[]}', "timestamp": str(T0), "delay": str(MINUTE), "priority": "5", "rjk": "tick",
    }  # fmt: skip
    assert await table.ask("ZRANGE", f"{table.base}delayed", 0, -1) == [slot_id("tick", slot).encode()]


@pytest.mark.parametrize("still", [{"paused": True}, {"next_at": None}], ids=["paused", "ended"])
async def test_a_schedule_at_rest_is_in_no_key_of_bullmq(table: Table, still: dict[str, object]) -> None:
    await table.put(plan(), plan("other"))
    await table.put(plan("tick", **still))
    assert await table.ask("ZRANGE", f"{table.base}repeat", 0, -1) == [b"other"]
    assert await table.ask("ZCARD", f"{table.base}delayed") == 1
    assert await table.ask("EXISTS", f"{table.base}repeat:tick", table.base + slot_id("tick", T0 + MINUTE)) == 0
    assert {schedule.key for schedule in await table.all()} == {"tick", "other"}


@pytest.mark.parametrize("ours", [{"computed": True}, {"overlap": Overlap.SKIP}], ids=["computed", "no overlap"])
async def test_what_only_corral_can_decide_has_no_job_that_node_could_take(
    table: Table, ours: dict[str, object]
) -> None:
    await table.put(plan("tick", **ours))
    assert await table.ask("ZRANGE", f"{table.base}repeat", 0, -1) == [b"tick"]
    assert (await table.hash("repeat:tick"))["every"] == str(MINUTE)
    assert await table.ask("EXISTS", f"{table.base}delayed") == 0


async def test_a_new_slot_takes_the_place_of_the_old_one(table: Table) -> None:
    await table.put(plan())
    await table.put(plan(next_at=T0 + HOUR))
    assert await table.ask("ZRANGE", f"{table.base}delayed", 0, -1) == [slot_id("tick", T0 + HOUR).encode()]
    assert await table.ask("EXISTS", table.base + slot_id("tick", T0 + MINUTE)) == 0


async def test_a_slot_whose_job_was_lost_is_served_all_the_same(table: Table) -> None:
    await table.put(plan())
    await table.ask("ZREM", f"{table.base}delayed", slot_id("tick", T0 + MINUTE))
    await table.ask("DEL", table.base + slot_id("tick", T0 + MINUTE))
    slot = T0 + MINUTE
    job = NewJob(queue=QUEUE, name="beat", id=slot_id("tick", slot), schedule="tick", scheduled_for=slot)
    fired = await table.schedules.fire(QUEUE, "tick", slot, [job], slot + MINUTE, slot)
    assert fired == [Added(slot_id("tick", slot), True)]
    assert (await table.all())[0].next_at == slot + MINUTE


async def test_a_retried_run_of_a_schedule_is_no_slot(table: Table) -> None:
    # One that a Node worker took: it was claimed, and stands in `delayed` for its next attempt.
    slot = T0 + MINUTE
    await table.put(plan())
    await table.ask("HSET", table.base + slot_id("tick", slot), "ats", 1)
    assert await table.schedules.fire(QUEUE, "tick", slot, [], slot + MINUTE, slot) is None
    assert await table.ask("ZRANGE", f"{table.base}delayed", 0, -1) == [slot_id("tick", slot).encode()]


async def test_schedulers_of_node_are_listed_and_not_due(table: Table) -> None:
    await table.scheduler("theirs", T0, name="n", every="5000", data='{"x":1}', opts='{"attempts":3}', ic="4")
    await table.scheduler("cron", T0 + 1, name="n", pattern="0 3 * * *", offset="0", ic="1", limit="2")
    await table.put(plan(next_at=T0))
    cron, theirs, tick = (await table.schedules.page(QUEUE, None, 0, 1000)).items
    assert (theirs.key, theirs.timing, theirs.data, theirs.options.attempts) == ("theirs", Every(5), '{"x":1}', 3)
    assert (theirs.next_at, theirs.fired, theirs.owner) == (T0, 3, "")
    assert (cron.timing, cron.limit, cron.fired) == (Cron("0 3 * * *", tz="UTC"), 2, 0)
    due = await table.schedules.page(None, T0 + HOUR, 0, 1000)
    assert (due.items, due.total) == ((tick,), 1)


async def test_what_cannot_be_read_is_logged_and_left_out(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    await table.put(plan())
    await table.scheduler("mars", T0, name="n", pattern="0 3 * * *", tz="Mars/Olympus")
    await table.scheduler("fast", T0, name="n", every="1")
    await table.scheduler("neither", T0, name="n")
    await table.ask("ZADD", f"{table.base}repeat", T0, "name::::0 3 * * *")
    await table.ask("HSET", f"corral:{table.base}schedules", "torn", '{"key":"to')
    page = await table.schedules.page(QUEUE, None, 0, 1000)
    assert ([schedule.key for schedule in page.items], page.total) == (["tick"], 6)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 5
    assert all("cannot be read and is left out" in line for line in said)


async def test_a_schedule_that_node_has_removed_is_gone(table: Table) -> None:
    await table.put(plan(), plan("other"))
    for key in (f"{table.base}repeat", f"{table.base}delayed"):
        await table.ask("ZREM", key, "tick", slot_id("tick", T0 + MINUTE))
    await table.ask("DEL", f"{table.base}repeat:tick", table.base + slot_id("tick", T0 + MINUTE))
    page = await table.schedules.page(QUEUE, None, 0, 1000)
    assert ([schedule.key for schedule in page.items], page.total) == (["other"], 1)
    assert await table.schedules.fire(QUEUE, "tick", T0 + MINUTE, [], None, T0 + MINUTE) is None
    assert await table.schedules.drop(QUEUE, ["tick"]) == []


async def test_many_schedules_of_many_queues_are_put_and_listed_in_order(table: Table) -> None:
    names = [(f"q{number % 7}", f"k{number:03}") for number in range(230)]
    await table.put(*(plan(key, queue=queue, next_at=T0 - int(key[1:])) for queue, key in names))
    assert [(one.queue, one.key) for one in await table.all()] == sorted(names)
    due = await table.schedules.page(None, T0, 20, 150)
    assert [one.key for one in due.items] == [f"k{229 - number:03}" for number in range(20, 170)]
    assert due.total == 230
    assert (await table.schedules.page("q3", T0, 0, 1000)).total == len([name for name in names if name[0] == "q3"])


def claimed(*jobs: tuple[str, str | None]) -> Claimed:
    return Claimed(
        jobs=tuple(
            Job(id=id, queue=QUEUE, name="n", state=JobState.ACTIVE, data='{"old":1}', schedule=key, started_at=T0)
            for id, key in jobs
        )
    )


async def test_claims_without_a_scheduled_job_ask_the_server_nothing() -> None:
    schedules = Schedules(Server(parse("redis://nowhere:1")), "bull")  # nobody would answer
    some = claimed(("1", None), ("chosen", "tick"))
    assert await schedules.follow_up(QUEUE, some, None) is some


async def test_a_claimed_run_of_node_gets_its_next_one_once(table: Table) -> None:
    await table.scheduler("theirs", T0, name="n", every="5000", offset="40", ic="1")
    opts = json.dumps({"repeat": {"every": 5000, "count": 1}, "jobId": slot_id("theirs", T0), "attempts": 3})
    await table.ask("HSET", table.base + slot_id("theirs", T0), "opts", opts, "rjk", "theirs", "name", "n")
    for _ in range(2):
        await table.schedules.follow_up(QUEUE, claimed((slot_id("theirs", T0), "theirs")), T0)
    assert (await table.hash("repeat:theirs"))["ic"] == "2"
    made = await table.hash(slot_id("theirs", T0 + 5000))
    assert (made["data"], made["delay"], made["rjk"]) == ("{}", "5000", "theirs")
    assert json.loads(made["opts"])["repeat"] == {"every": 5000, "count": 2}
    assert await table.ask("ZRANGE", f"{table.base}delayed", 0, -1) == [slot_id("theirs", T0 + 5000).encode()]


async def test_a_repeatable_job_of_old_keeps_its_data(table: Table) -> None:
    await table.scheduler("a1b2", T0, name="n", pattern="* * * * *", tz="Europe/Oslo")
    opts = json.dumps({"repeat": {"pattern": "* * * * *", "count": 6, "key": "a1b2"}, "prevMillis": T0})
    await table.ask("HSET", table.base + slot_id("a1b2", T0), "opts", opts, "rjk", "a1b2", "name", "n")
    await table.schedules.follow_up(QUEUE, claimed((slot_id("a1b2", T0), "a1b2")), T0)
    made = await table.hash(slot_id("a1b2", T0 + MINUTE))
    assert made["data"] == '{"old":1}'
    assert json.loads(made["opts"])["prevMillis"] == T0 + MINUTE


async def test_a_next_run_that_exists_already_is_told_and_left(table: Table) -> None:
    await table.scheduler("theirs", T0, name="n", every="5000", ic="1")
    await table.ask("HSET", table.base + slot_id("theirs", T0), "opts", "{}", "rjk", "theirs", "name", "n")
    await table.ask("HSET", table.base + slot_id("theirs", T0 + 5000), "name", "there")
    await table.schedules.follow_up(QUEUE, claimed((slot_id("theirs", T0), "theirs")), T0)
    assert await table.ask("ZSCORE", f"{table.base}repeat", "theirs") == str(T0).encode()
    assert await table.hash(slot_id("theirs", T0 + 5000)) == {"name": "there"}
    events = await table.ask("XRANGE", f"{table.base}events", "-", "+")
    assert b"duplicated" in str(events).encode()


async def test_a_scheduler_of_node_whose_time_cannot_be_computed_holds_up_no_claim(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    await table.scheduler("mars", T0, name="n", pattern="0 3 * * *", tz="Mars/Olympus", ic="1")
    await table.ask("HSET", table.base + slot_id("mars", T0), "opts", "{}", "rjk", "mars", "name", "n")
    some = claimed((slot_id("mars", T0), "mars"))
    assert await table.schedules.follow_up(QUEUE, some, T0) is some
    assert "has no next run here" in caplog.text


EVERY = {"name": "n", "every": "5000", "offset": "40", "ic": "3"}
NOON = {"name": "n", "pattern": "0 12 * * *", "tz": "Europe/Oslo", "ic": "3"}


@pytest.mark.parametrize(
    ("fields", "opts", "now", "expected"),
    [
        (EVERY, {}, T0 + 10, T0 + 5_000),
        (EVERY, {}, T0 + 5_000, T0 + 5_000),
        (EVERY, {}, T0 + 62_000, T0 + 65_000 + 40),  # from the grid of its offset
        (NOON, {"prevMillis": T0 + 48 * HOUR}, T0, 1_700_218_800_000),
        (NOON, {}, T0, 1_700_046_000_000),
    ],
)
def test_the_next_time_is_the_one_that_node_would_choose(
    fields: dict[str, str], opts: dict[str, object], now: int, expected: int
) -> None:
    run = next_run("k", T0, fields, json.dumps({"repeat": {"count": 3}, **opts}), None, now)
    assert run is not None
    assert run.next_at == expected
    assert json.loads(run.opts)["repeat"]["count"] == 4


@pytest.mark.parametrize(
    ("fields", "repeat"),
    [({}, {"count": 3, "limit": 3}), ({"limit": "3"}, {"count": 3}), ({"endDate": str(T0 - 1)}, {"count": 1})],
)
def test_after_the_last_run_there_is_none(fields: dict[str, str], repeat: dict[str, object]) -> None:
    assert next_run("k", T0, EVERY | fields, json.dumps({"repeat": repeat}), None, T0) is None


def test_a_scheduler_without_a_timing_has_no_next_run() -> None:
    with pytest.raises(UnreadableScheduleError, match="neither"):
        next_run("k", T0, {"name": "n"}, "no json", None, T0)


async def test_firing_answers_with_the_jobs_it_made(table: Table) -> None:
    await table.put(plan())
    slot = T0 + MINUTE
    job = NewJob(queue=QUEUE, name="beat", id=slot_id("tick", slot), schedule="tick", scheduled_for=slot)
    assert await table.schedules.fire(QUEUE, "tick", slot, [job], slot + MINUTE, slot) == [Added(job.id or "", True)]
    made = await table.hash(slot_id("tick", slot))
    # With all that a Node worker wants of a job that names its scheduler.
    assert json.loads(made["opts"])["repeat"] == {"every": MINUTE, "count": 1}
    assert (made["rjk"], made["slot"]) == ("tick", str(slot))


async def test_slots_that_nobody_serves_do_not_hold_up_the_jobs_behind_them(url: str) -> None:
    async with connect(url) as storage:
        late = [plan(f"k{number}", next_at=T0 - number) for number in range(1200)]
        await storage.put_schedules(late, now=T0 - HOUR)
        await storage.add([NewJob(queue=QUEUE, name="n", id="behind", run_at=T0)], now=T0 - HOUR)
        found: list[Job] = []
        for turn in range(6):
            claim = Claim(count=9, token=Token(f"t{turn}"), lease_ms=HOUR)
            found += (await storage.claim(QUEUE, claim, now=T0)).jobs
        assert [job.id for job in found] == ["behind"]
        due = (await storage.schedules(due_by=T0, limit=5)).items
        assert await storage.fire_schedule(QUEUE, due[0].key, slot=due[0].next_at or 0, jobs=[], next_at=None) == []
        assert (await storage.counts([QUEUE]))[0].delayed == 0
