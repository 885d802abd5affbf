"""Histories that nobody thought of: whatever a store has come to, it arrives, and comes back, as it was."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from corral.job import JobState, NewJob, ParentRef
from corral.options import ParentPolicy
from corral.outcome import Outcome, Parked
from corral.storage.movable import movable
from corral.storage.transfer import Movable
from corral.timing import Millis
from tests.conftest import ENGINES
from tests.redis_server import fresh_prefix, with_prefix
from tests.storage.helpers import QUEUE, T0, all_in, end, start
from tests.storage.machine import DELAYS, JOBS, OUTCOMES

from .helpers import carry, content

FAMILIES = st.builds(
    lambda number, policies: [
        NewJob(queue=QUEUE, id=f"p{number}", name="x", children=len(policies)),
        *(
            NewJob(queue=QUEUE, name="y", parent=ParentRef(queue=QUEUE, id=f"p{number}", policy=policy))
            for policy in policies
        ),
    ],
    st.integers(0, 9),
    st.lists(st.sampled_from(ParentPolicy), min_size=1, max_size=3),
)
STATES = st.sampled_from([state for state in JobState if state is not JobState.ACTIVE])
Step = tuple[str, object]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("add"), st.lists(JOBS, min_size=1, max_size=4)),
    st.tuples(st.just("family"), FAMILIES),
    st.tuples(st.just("run"), st.lists(st.one_of(OUTCOMES, st.just(Parked())), min_size=1, max_size=4)),
    st.tuples(st.sampled_from(("retry", "remove", "cancel", "promote", "log")), STATES),
    st.tuples(st.just("wait"), DELAYS),
)


async def play(store: Movable, steps: list[Step]) -> None:
    """Live through a history; no job runs at its end."""
    now: Millis = T0
    for verb, what in steps:
        now += 7
        match verb, what:
            case "wait", int(delay):
                now += delay
            case (("add" | "family"), list(jobs)):
                await store.add([replace(job, queue=QUEUE) for job in jobs], now=now)
            case "run", list(outcomes):
                await _run(store, outcomes, now)
            case "log", state:
                page = await store.page(QUEUE, [JobState(str(state))], limit=1)
                for job in page.items:
                    await store.log(QUEUE, job.id, ["a line", "another"])
            case _, state:
                act = {"retry": store.retry, "remove": store.remove, "cancel": store.cancel, "promote": store.promote}
                await act[verb](QUEUE, all_in(JobState(str(state)), limit=2), now=now)


async def _run(store: Movable, outcomes: list[Outcome], now: Millis) -> None:
    for run, outcome in zip(await start(store, len(outcomes), now=now), outcomes, strict=False):
        await end(store, run, outcome, now=now + 3)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(steps=st.lists(STEPS, min_size=4, max_size=25))
def test_any_history_arrives_in_the_other_engine_and_comes_back(engine: str, redis_url: str, steps: list[Step]) -> None:
    async def there_and_back(folder: Path) -> None:
        def redis() -> str:
            return with_prefix(redis_url, fresh_prefix())

        sqlite = [f"sqlite:///{folder}/{name}.db" for name in "ab"]
        first, second, third = {
            "sqlite": (sqlite[0], redis(), sqlite[1]),
            "redis": (redis(), sqlite[0], redis()),
        }[engine]
        async with movable(first) as a, movable(second) as b, movable(third) as c:
            await play(a, [("add", [NewJob(queue=QUEUE, name="x")]), *steps])
            before = await content(a, QUEUE)
            assert [one.complete for one in await carry(a, b)] == [True]
            assert [one.complete for one in await carry(b, c)] == [True]
            assert await content(c, QUEUE) == before
            assert await content(b, QUEUE) == before
            [back] = await carry(c, b)
            assert (back.new, back.updated, back.newer, back.stale) == (0, 0, 0, 0)

    with TemporaryDirectory() as folder:
        asyncio.run(there_and_back(Path(folder)))
