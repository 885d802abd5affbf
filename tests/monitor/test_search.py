"""Lists and searches: what they find, what they look at, and how they go on."""

from collections.abc import Sequence

import pytest

from corral.errors import ConfigError, QueryError, RedactedFieldError
from corral.job import Job, JobId, JobState, ParentRef
from corral.monitor import search
from corral.monitor.monitor import Monitor
from corral.monitor.objects import Jobs
from corral.options import JobOptions
from corral.outcome import Completed, Failed, Failure
from corral.storage.insight import Page
from corral.storage.passing import Passing
from corral.storage.port import JobPatch, Selection, Storage
from corral.timing import Millis
from tests.storage.helpers import MINUTE, QUEUE, SECOND, T0, Clock, add, add_ids, end, new_job, run_through, start_one


def ids(found: Jobs) -> list[str]:
    return [row.id for row in found.items]


async def found(monitor: Monitor, q: str, **options: object) -> list[str]:
    return ids(await monitor.jobs(q, **options))  # type: ignore[arg-type]  # options of any kind


async def fail_all(storage: Storage, clock: Clock, count: int, *, prefix: str = "f") -> None:
    """Jobs f0, f1 … that have failed, each a millisecond after the one before."""
    await add_ids(storage, *(f"{prefix}{n}" for n in range(count)))
    for _ in range(count):
        await run_through(storage, Failed(reason="no"), now=clock.tick())


@pytest.fixture
async def full(storage: Storage, clock: Clock) -> None:
    """A few jobs of all kinds: done, broken (timeout), waiting in a group, delayed, of another queue."""
    await add(storage, new_job("done", data='{"user":{"id":42},"tags":["a","b"]}'))
    run = await start_one(storage)
    await end(storage, run, Completed(result='{"ok":true}'), now=clock.tick(2 * SECOND))
    await add(storage, new_job("broken", "weekly-report", data='{"user":{"id":"42"},"n":7}'), now=clock.now)
    kind = Failure("9f31c2", "TimeoutError", "timed out after «n» s")
    run = await start_one(storage, now=clock.tick(SECOND))
    await storage.update(QUEUE, [JobPatch(job_id="broken", progress="40")], now=clock.now)
    await end(storage, run, Failed(reason="SMTP Timeout after 30 s", failure=kind), now=clock.tick(30 * SECOND))
    await add(
        storage, new_job("urgent", priority=1, group="acme"), new_job("later", delay_ms=MINUTE, schedule="nightly"),
        new_job("other", queue="sync"), now=clock.now,
    )  # fmt: skip
    clock.tick(5 * MINUTE)


@pytest.mark.parametrize(
    ("q", "jobs"),
    [
        ("state:failed", ["broken"]),
        ("state:failed,completed", ["broken", "done"]),
        ("-state:failed,completed queue:mail", ["later", "urgent"]),
        ("queue:sync", ["other"]),
        ("queue:ma*", ["broken", "done", "later", "urgent"]),
        ("-queue:mail", ["other"]),
        ("name:weekly-report", ["broken"]),
        ("name:week*", ["broken"]),
        ("error:~timeout", ["broken"]),
        ("error:~nothing", []),
        ("fingerprint:9f31c2", ["broken"]),
        ("group:acme", ["urgent"]),
        ("schedule:nightly", ["later"]),
        ("priority:1", ["urgent"]),
        ("attempts:>=1", ["broken", "done"]),
        ("progress:>=40", ["broken"]),
        ("duration:>20s", ["broken"]),
        ("duration:<=2s", ["done"]),
        ("wait:1s..2s", ["broken"]),
        ("created:>5m30s", ["broken", "done"]),
        ("finished:<5m1s", ["broken"]),
        ("finished:>5m1s", ["done"]),
        ("run_at:<1h", ["later"]),
        ("worker:w-1", ["broken", "done"]),
        ("has:group", ["urgent"]),
        ("has:error", ["broken"]),
        ("has:schedule,result", ["done", "later"]),
        ("is:finished", ["broken", "done"]),
        ("is:pending queue:mail", ["later", "urgent"]),
        ("is:late", ["other", "urgent"]),
        ("id:done,later", ["done", "later"]),
        ("id:done state:failed", []),
        ("done", ["done"]),
        ("report", ["broken"]),
        ("smtp", ["broken"]),
        ("data.user.id:42", ["broken", "done"]),
        ("data.n:>5", ["broken"]),
        ("data.tags:b", ["done"]),
        ("data.tags.0:a", ["done"]),
        ("data.tags.0:b", []),
        ("result.ok:true", ["done"]),
        ("data.user.id:42 -data.n:7", ["done"]),
        ("size:>20", ["broken", "done"]),
        ("nothing-like-it", []),
    ],
)
async def test_a_search_finds_what_it_asks_for(monitor: Monitor, full: None, q: str, jobs: list[str]) -> None:
    answer = await monitor.jobs(q)
    assert sorted(ids(answer)) == jobs
    assert (answer.scan.complete, answer.scan.cursor) == (True, None)


async def test_a_child_is_found_by_its_parent(monitor: Monitor, storage: Storage) -> None:
    await add(storage, new_job("top", children=1), new_job("leaf", parent=ParentRef(QUEUE, "top")))
    assert await found(monitor, "parent:top") == ["leaf"]
    assert await found(monitor, "parent:mail/top") == ["leaf"]
    assert await found(monitor, "has:children") == ["top"]


async def test_a_list_is_newest_first_and_knows_how_long_it_is(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await fail_all(storage, clock, 5)
    answer = await monitor.jobs(states=[JobState.FAILED], limit=3)
    assert (ids(answer), answer.total) == (["f4", "f3", "f2"], 5)
    assert (answer.scan.strategy, answer.scan.complete) == ("list", False)
    rest = await monitor.jobs(states=[JobState.FAILED], limit=3, cursor=answer.scan.cursor)
    assert (ids(rest), rest.scan.complete, rest.scan.examined) == (["f1", "f0"], True, 5)


async def test_a_page_that_ends_with_the_list_has_no_next_one(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await fail_all(storage, clock, 3)
    answer = await monitor.jobs(states=[JobState.FAILED], limit=3)
    assert (answer.scan.complete, answer.scan.cursor) == (True, None)


async def test_new_jobs_in_front_do_not_repeat_what_was_shown(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await fail_all(storage, clock, 6)
    first = await monitor.jobs("state:failed", limit=2)
    await fail_all(storage, clock, 5, prefix="g")
    second = await monitor.jobs("state:failed", limit=2, cursor=first.scan.cursor)
    assert (ids(first), ids(second)) == (["f5", "f4"], ["f3", "f2"])


async def test_jobs_that_went_from_the_front_hide_none_of_the_rest(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await fail_all(storage, clock, 6)
    first = await monitor.jobs("state:failed", limit=3)
    await storage.remove(QUEUE, Selection(ids=("f5", "f4")), now=clock.now)
    second = await monitor.jobs("state:failed", limit=3, cursor=first.scan.cursor)
    assert (ids(first), ids(second)) == (["f5", "f4", "f3"], ["f2", "f1", "f0"])


async def test_the_job_of_the_cursor_itself_may_be_gone(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await fail_all(storage, clock, 6)
    first = await monitor.jobs("state:failed", limit=3)
    await storage.remove(QUEUE, Selection(ids=("f5", "f3")), now=clock.now)
    assert await found(monitor, "state:failed", cursor=first.scan.cursor) == ["f2", "f1", "f0"]


async def test_jobs_that_ended_together_are_all_shown_once(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, *(f"f{n}" for n in range(7)))
    for _ in range(7):
        await run_through(storage, Failed(reason="no"))
    seen: list[str] = []
    answer = await monitor.jobs("state:failed", limit=2)
    while answer.scan.cursor is not None:
        seen += ids(answer)
        answer = await monitor.jobs("state:failed", limit=2, cursor=answer.scan.cursor)
    assert sorted([*seen, *ids(answer)]) == [f"f{n}" for n in range(7)]


async def test_waiting_jobs_go_on_behind_the_last_one_shown_though_others_were_served(
    monitor: Monitor, storage: Storage
) -> None:
    await add_ids(storage, *(f"w{n}" for n in range(8)))
    first = await monitor.jobs("state:waiting", limit=4)
    await run_through(storage, Completed())
    await run_through(storage, Completed())
    assert await found(monitor, "state:waiting", cursor=first.scan.cursor) == ["w4", "w5", "w6", "w7"]


async def test_a_scan_stops_at_its_budget_and_goes_on(
    monitor: Monitor, storage: Storage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "EXAMINED", 10)
    monkeypatch.setattr(search, "SLICE", 4)
    await fail_all(storage, clock, 23)
    first = await monitor.jobs("id:~f1 state:failed", limit=50)
    assert (first.scan.strategy, first.scan.examined, first.scan.candidates) == ("scan", 10, 23)
    assert (first.scan.complete, first.total) == (False, None)
    second = await monitor.jobs("id:~f1 state:failed", limit=50, cursor=first.scan.cursor)
    third = await monitor.jobs("id:~f1 state:failed", limit=50, cursor=second.scan.cursor)
    assert [ids(one) for one in (first, second, third)] == [
        ["f19", "f18", "f17", "f16", "f15", "f14", "f13"], ["f12", "f11", "f10"], ["f1"],
    ]  # fmt: skip
    assert (third.scan.examined, third.scan.complete) == (23, True)


async def test_a_scan_stops_when_its_time_is_up(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add(storage, *(new_job(f"j{n}", queue=f"q{n}") for n in range(5)))
    ticks = iter(range(100))
    monitor.seconds = lambda: next(ticks) * 0.1
    answer = await monitor.jobs("created:<1h")
    assert (answer.scan.complete, 0 < len(answer.items) < 5) == (False, True)
    monitor.seconds = lambda: 0.0
    rest = await monitor.jobs("created:<1h", cursor=answer.scan.cursor)
    assert sorted(ids(answer) + ids(rest)) == [f"j{n}" for n in range(5)]


class Weighing(Passing):
    """A store that notes how many jobs it gave, and how heavy the heaviest payload was."""

    read = heaviest = 0

    async def get(self, queue: str, ids: Sequence[JobId], *, lean: bool = False) -> list[Job | None]:
        jobs = await self.inner.get(queue, ids, lean=lean)
        self.note([job for job in jobs if job is not None])
        return jobs

    async def page(
        self, queue: str, states: Sequence[JobState], *, start: int = 0, limit: int = 50, newest_first: bool = True,
        name: str | None = None, group: str | None = None, lean: bool = False, ended_by: Millis | None = None,
    ) -> Page[Job]:  # fmt: skip
        page = await super().page(
            queue, states, start=start, limit=limit, newest_first=newest_first, name=name, group=group, lean=lean,
            ended_by=ended_by,
        )  # fmt: skip
        self.note(page.items)
        return page

    def note(self, jobs: Sequence[Job]) -> None:
        self.read += len(jobs)
        self.heaviest = max([self.heaviest, *(len(job.data) for job in jobs)])


async def test_times_narrow_a_scan_of_finished_jobs_from_both_ends(storage: Storage, clock: Clock) -> None:
    await fail_all(storage, clock, 300)
    store = Weighing(storage)
    monitor = Monitor(store, clock=lambda: clock.now)
    monitor.seconds = lambda: 0.0
    answer = await monitor.jobs(f"state:failed finished:{T0 + 20}..{T0 + 25}")
    assert ids(answer) == [f"f{n}" for n in range(24, 18, -1)]
    assert (answer.scan.complete, answer.scan.examined) == (True, 6)
    assert store.read < 60


async def test_a_cursor_belongs_to_its_search(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await fail_all(storage, clock, 3)
    cursor = (await monitor.jobs("state:failed", limit=1)).scan.cursor
    with pytest.raises(QueryError, match="another search"):
        await monitor.jobs("state:failed created:<1d", cursor=cursor)
    for nonsense in ("", "x", "W10=", "…"):
        with pytest.raises(QueryError, match="the cursor is none"):
            await monitor.jobs("state:failed", cursor=nonsense)


async def test_a_limit_is_1_to_500(monitor: Monitor) -> None:
    for limit in (0, 501):
        with pytest.raises(ConfigError, match="1 to 500"):
            await monitor.jobs(limit=limit)


async def test_queues_that_the_reader_may_not_see_are_not_there(monitor: Monitor, full: None) -> None:
    assert await found(monitor, "is:late", visible=("sy*",)) == ["other"]
    assert await found(monitor, "id:done", visible=("sync",)) == []
    assert [one.text for one in await monitor.complete("queue:", visible=("sync",))] == ["sync"]


# -- what is hidden ----------------------------------------------------------------------------------------------------


async def test_nobody_searches_by_what_is_hidden_by_its_name(monitor: Monitor, storage: Storage) -> None:
    await add(storage, new_job("a", data='{"user":{"password":"x"},"tokens":5}'))
    with pytest.raises(RedactedFieldError, match=r"data\.user\.password"):
        await monitor.jobs("data.user.password:x")
    assert await found(monitor, "data.user.password:x", reveal=True) == ["a"]
    assert await found(monitor, "data.tokens:>3") == ["a"]


async def test_nobody_searches_by_what_the_application_declares(storage: Storage, clock: Clock) -> None:
    monitor = Monitor(storage, clock=lambda: clock.now, sensitive=("card.holder",))
    with pytest.raises(RedactedFieldError):
        await monitor.jobs("data.card.holder:ada")


async def test_what_a_job_declares_hidden_fits_neither_a_filter_nor_its_opposite(
    monitor: Monitor, storage: Storage
) -> None:
    await add(storage, new_job("a", data='{"salary":5}', options=JobOptions(sensitive=("salary",))))
    for q in ("data.salary:5", "-data.salary:5", "-data.salary:6", "data.salary:>1"):
        assert await found(monitor, q) == []
    assert await found(monitor, "data.salary:5", reveal=True) == ["a"]
    [row] = (await monitor.jobs("id:a")).items
    assert row.preview == '{"salary":"••••"}'


# -- sizes -------------------------------------------------------------------------------------------------------------


async def test_no_list_loads_a_large_payload(storage: Storage, clock: Clock) -> None:
    big = '{"x":"' + "y" * 3_000_000 + '"}'
    for n in range(3):
        await add(storage, new_job(f"b{n}", data=big))
    store = Weighing(storage)
    monitor = Monitor(store, clock=lambda: clock.now)
    monitor.seconds = lambda: 0.0
    listed = await monitor.jobs(states=[JobState.WAITING])
    assert [(row.data_bytes, row.preview) for row in listed.items] == [(3_000_008, "")] * 3
    inside = await monitor.jobs("data.x:y")
    assert (inside.items, inside.scan.unread, inside.scan.complete) == ((), 3, False)
    told = await monitor.job(QUEUE, "b0")
    assert (told.whole, told.data, told.row.data_bytes) == (False, None, 3_000_008)
    await monitor.overview()
    assert store.heaviest <= 200


# -- counting --------------------------------------------------------------------------------------------------------


async def test_what_a_search_finds_is_counted_as_a_whole(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await fail_all(storage, clock, 7)
    await add_ids(storage, "other", queue="sync")
    assert await monitor.count("id:f*") == (7, True)
    assert await monitor.count("error:no", queue=QUEUE, states=[JobState.FAILED]) == (7, True)
    assert await monitor.count("", queue=QUEUE) == (7, True)
    assert await monitor.count("id:f1,f2,nobody") == (2, True)
    assert await monitor.count("id:f*", visible=["sync"]) == (0, True)


async def test_a_count_says_when_it_has_not_looked_at_everything(
    monitor: Monitor, storage: Storage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail_all(storage, clock, 7)
    monkeypatch.setattr(search, "EXAMINED", 5)
    assert await monitor.count("id:f*") == (5, False)
