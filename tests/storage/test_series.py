"""record and series: figures by minute, hour and day."""

import asyncio

import pytest

from corral.storage.insight import TIERS, Sample, Tier
from corral.storage.port import Storage
from corral.timing import Millis

from .helpers import QUEUE

MINUTE: Millis = 60_000
HOUR: Millis = 3_600_000
DAY: Millis = 86_400_000
#: A midnight.
START: Millis = 19_676 * DAY


def sample(at: Millis = START, name: str = "send", **figures: object) -> Sample:
    return Sample(at=at, name=name, **figures)  # type: ignore[arg-type]  # of the right types


async def all_of(storage: Storage, tier: Tier = Tier.MINUTE, queue: str = QUEUE) -> list[Sample]:
    return await storage.series(queue, tier, since=0, until=START * 2)


async def test_a_new_queue_has_no_figures(storage: Storage) -> None:
    assert await all_of(storage) == []
    await storage.record(QUEUE, [], now=START)
    assert await all_of(storage) == []


@pytest.mark.parametrize(("tier", "at"), [(Tier.MINUTE, 5 * MINUTE), (Tier.HOUR, 0), (Tier.DAY, 0)])
async def test_a_sample_is_told_in_every_tier(storage: Storage, tier: Tier, at: Millis) -> None:
    one = sample(START + 5 * MINUTE + 7, completed=3, failed=1, retried=2, wait={4: 5, -2: 1}, run={9: 6})
    await storage.record(QUEUE, [one], now=START + 6 * MINUTE)
    expected = sample(START + at, completed=3, failed=1, retried=2, wait={4: 5, -2: 1}, run={9: 6})
    assert await all_of(storage, tier) == [expected]


async def test_samples_of_one_stretch_are_added_up(storage: Storage) -> None:
    first = sample(START + 1, completed=1, wait={1: 1, 2: 2}, run={1: 3})
    second = sample(START + 59_999, failed=2, retried=1, wait={2: 3, 3: 1})
    await storage.record(QUEUE, [first, second], now=START)
    await storage.record(QUEUE, [first], now=START)
    assert await all_of(storage) == [
        sample(START, completed=2, failed=2, retried=1, wait={1: 2, 2: 7, 3: 1}, run={1: 6})
    ]


async def test_minutes_add_up_to_hours_and_days(storage: Storage) -> None:
    samples = [sample(START + n * 20 * MINUTE, completed=1) for n in range(100)]
    await storage.record(QUEUE, samples, now=START + 2 * DAY)
    hours = await all_of(storage, Tier.HOUR)
    assert [one.completed for one in hours] == [3] * 33 + [1]
    assert [(one.at, one.completed) for one in await all_of(storage, Tier.DAY)] == [(START, 72), (START + DAY, 28)]


async def test_figures_come_by_time_and_name(storage: Storage) -> None:
    samples = [sample(START + at * MINUTE, name, completed=1) for at in (2, 0, 1) for name in ("b", "é", "a", "B")]
    await storage.record(QUEUE, samples, now=START + HOUR)
    told = [(one.at, one.name) for one in await all_of(storage)]
    assert told == [(START + at * MINUTE, name) for at in (0, 1, 2) for name in ("B", "a", "b", "é")]


async def test_a_stretch_of_time_is_told(storage: Storage) -> None:
    await storage.record(QUEUE, [sample(START + n * MINUTE, completed=1) for n in range(10)], now=START + HOUR)
    found = await storage.series(QUEUE, Tier.MINUTE, since=START + 3 * MINUTE, until=START + 6 * MINUTE)
    assert [one.at for one in found] == [START + n * MINUTE for n in (3, 4, 5)]
    assert await storage.series(QUEUE, Tier.MINUTE, since=START + HOUR, until=START) == []


@pytest.mark.parametrize("tier", list(Tier))
async def test_old_figures_are_forgotten(storage: Storage, tier: Tier) -> None:
    length, kept = TIERS[tier]
    old = sample(START, completed=1)
    await storage.record(QUEUE, [old], now=START)
    await storage.record(QUEUE, [sample(START + kept - length, completed=1)], now=START + kept - length)
    assert len(await all_of(storage, tier)) == 2
    await storage.record(QUEUE, [sample(START + kept + 2 * length, completed=1)], now=START + kept + 2 * length)
    assert START not in [one.at for one in await all_of(storage, tier)]
    assert len(await all_of(storage, tier)) == 2


async def test_a_sample_that_is_too_old_for_a_tier_is_told_in_the_others(storage: Storage) -> None:
    await storage.record(QUEUE, [sample(START, completed=1)], now=START + 10 * DAY)
    assert [len(await all_of(storage, tier)) for tier in Tier] == [0, 1, 1]


async def test_names_beyond_two_hundred_share_one_entry(storage: Storage) -> None:
    names = [f"n{n:03}" for n in range(250)]
    await storage.record(QUEUE, [sample(name=name, completed=1, run={1: 1}) for name in names], now=START)
    await storage.record(QUEUE, [sample(name=name, completed=1, run={1: 1}) for name in names], now=START)
    for tier in Tier:
        told = {one.name: one for one in await all_of(storage, tier)}
        assert told.keys() == {"*", *names[:200]}
        assert (told["n000"].completed, told["*"].completed, told["*"].run) == (2, 100, {1: 100})


async def test_a_new_bucket_has_room_for_new_names(storage: Storage) -> None:
    await storage.record(QUEUE, [sample(name=f"n{n}", completed=1) for n in range(201)], now=START)
    await storage.record(QUEUE, [sample(START + MINUTE, "late", completed=1)], now=START + MINUTE)
    assert [one.name for one in await all_of(storage) if one.at > START] == ["late"]
    assert "late" not in [one.name for one in await all_of(storage, Tier.HOUR)]


async def test_each_queue_has_its_own_figures(storage: Storage) -> None:
    await storage.record("other", [sample(completed=1)], now=START)
    assert await all_of(storage) == []
    assert len(await all_of(storage, queue="other")) == 1


async def test_many_recorders_lose_nothing(storage: Storage) -> None:
    one = sample(completed=1, wait={3: 1})
    await asyncio.gather(*(storage.record(QUEUE, [one, one], now=START) for _ in range(30)))
    assert await all_of(storage) == [sample(completed=60, wait={3: 60})]


async def test_obliterating_forgets_the_figures(storage: Storage) -> None:
    await storage.record(QUEUE, [sample(completed=1)], now=START)
    await storage.obliterate(QUEUE)
    for tier in Tier:
        assert await all_of(storage, tier) == []
