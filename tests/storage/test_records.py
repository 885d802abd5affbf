"""Entries: texts with a version, by kind and id, that belong to no queue."""

import asyncio

import pytest

from corral.errors import ConfigError
from corral.naming import id_bound, sortable_id
from corral.storage.connect import connect
from corral.storage.port import Storage
from corral.storage.records import MAX_CHANGES, MAX_ID, MAX_TEXT, Entry, EntryChange
from corral.testing.clock import FakeClock
from corral.testing.store import ClockedStorage
from corral.timing import Millis

from .helpers import T0

KIND = "audit"


def put(id: str, text: str = "x", *, version: int | None = None, ttl_ms: Millis | None = None) -> EntryChange:
    return EntryChange(id=id, text=text, version=version, ttl_ms=ttl_ms)


def drop(id: str, *, version: int | None = None) -> EntryChange:
    return EntryChange(id=id, text=None, version=version)


async def write(storage: Storage, *changes: EntryChange, kind: str = KIND, now: Millis = T0) -> list[int | None]:
    return await storage.write_entries(kind, changes, now=now)


async def ids(storage: Storage, kind: str = KIND, *, now: Millis = T0) -> list[str]:
    return [entry.id for entry in await storage.entries(kind, newest_first=False, now=now)]


async def the(storage: Storage, id: str, *, now: Millis = T0) -> Entry:
    [entry] = await storage.entries(KIND, ids=[id], now=now)
    return entry


# -- versions ----------------------------------------------------------------------------------------------------------


async def test_an_entry_is_there_as_it_was_written(storage: Storage) -> None:
    assert await write(storage, put("a", '{"text": "søk: 💡 x"}')) == [1]
    assert await the(storage, "a") == Entry(id="a", text='{"text": "søk: 💡 x"}', version=1, at=T0)


async def test_each_change_is_the_next_version(storage: Storage) -> None:
    await write(storage, put("a", "one"))
    assert await write(storage, put("a", "two"), now=T0 + 5) == [2]
    assert await write(storage, put("a", "three"), now=T0 + 9) == [3]
    assert await the(storage, "a") == Entry(id="a", text="three", version=3, at=T0 + 9)


async def test_a_change_over_another_version_is_refused(storage: Storage) -> None:
    await write(storage, put("a", "one"), put("a", "two"))
    assert await write(storage, put("a", "late", version=1)) == [None]
    assert await write(storage, put("a", "early", version=3)) == [None]
    assert (await the(storage, "a")).text == "two"
    assert await write(storage, put("a", "three", version=2)) == [3]


async def test_version_zero_writes_only_where_nothing_is(storage: Storage) -> None:
    assert await write(storage, put("a", "first", version=0)) == [1]
    assert await write(storage, put("a", "second", version=0)) == [None]
    assert await write(storage, put("b", version=2)) == [None]
    assert (await the(storage, "a")).text == "first"
    assert await ids(storage) == ["a"]


async def test_what_is_deleted_is_gone_and_begins_again(storage: Storage) -> None:
    await write(storage, put("a"), put("a"))
    assert await write(storage, drop("a")) == [0]
    assert await ids(storage) == []
    assert await write(storage, put("a", version=0)) == [1]


async def test_deleting_obeys_the_version_too(storage: Storage) -> None:
    await write(storage, put("a"), put("a"))
    assert await write(storage, drop("a", version=1)) == [None]
    assert await write(storage, drop("a", version=0)) == [None]
    assert await write(storage, drop("a", version=2)) == [0]


async def test_deleting_what_is_not_there_changes_nothing(storage: Storage) -> None:
    assert await write(storage, drop("a"), drop("b", version=4), drop("c", version=0)) == [0, 0, 0]
    assert await ids(storage) == []


async def test_each_change_decides_for_itself_in_order(storage: Storage) -> None:
    changes = (put("a"), put("b", version=7), put("a", version=1), put("a", "3"), drop("a", version=9), put("c"))
    assert await write(storage, *changes) == [1, None, 2, 3, None, 1]
    assert await ids(storage) == ["a", "c"]
    assert await write(storage) == []


async def test_of_many_writers_over_one_version_one_succeeds(storage: Storage) -> None:
    await write(storage, put("a", "start"))
    async with storage.sibling() as other:
        writers = [(storage, other)[n % 2].write_entries(KIND, [put("a", str(n), version=1)]) for n in range(20)]
        answers = [answer for [answer] in await asyncio.gather(*writers)]
    assert sorted(answers, key=str) == [2, *([None] * 19)]
    assert (await the(storage, "a")).text == str(answers.index(2))


async def test_of_many_that_want_to_be_the_first_one_is(storage_url: str) -> None:
    async with connect(storage_url) as one, connect(storage_url) as other:
        writers = [(one, other)[n % 2].write_entries(KIND, [put("a", str(n), version=0)]) for n in range(20)]
        answers = [answer for [answer] in await asyncio.gather(*writers)]
        assert sorted(answers, key=str) == [1, *([None] * 19)]


async def test_nothing_is_lost_when_many_count_up(storage: Storage) -> None:
    async def count_up() -> None:
        for _ in range(10):
            done: int | None = None
            while done is None:
                [entry] = await storage.entries(KIND, ids=["n"])
                [done] = await storage.write_entries(KIND, [put("n", str(int(entry.text) + 1), version=entry.version)])

    await storage.write_entries(KIND, [put("n", "0")])
    await asyncio.gather(*(count_up() for _ in range(4)))
    [entry] = await storage.entries(KIND, ids=["n"])
    assert (entry.text, entry.version) == ("40", 41)


# -- time --------------------------------------------------------------------------------------------------------------


async def test_an_entry_is_gone_after_its_time(storage: Storage) -> None:
    await write(storage, put("a", ttl_ms=1_000), put("b"))
    assert await ids(storage, now=T0 + 999) == ["a", "b"]
    assert await ids(storage, now=T0 + 1_000) == ["b"]
    assert await storage.entries(KIND, ids=["a", "b"], now=T0 + 1_000) == [
        Entry(id="b", text="x", version=1, at=T0)
    ]  # fmt: skip


async def test_where_an_entry_was_over_the_next_one_is_new(storage: Storage) -> None:
    await write(storage, put("a", ttl_ms=1_000), put("a", ttl_ms=1_000))
    assert await write(storage, put("a", "new", version=2), now=T0 + 1_000) == [None]
    assert await write(storage, drop("a", version=2), now=T0 + 1_000) == [0]
    assert await write(storage, put("a", "new", version=0), now=T0 + 1_000) == [1]
    assert await the(storage, "a", now=T0 + 10**12) == Entry(id="a", text="new", version=1, at=T0 + 1_000)


async def test_each_change_gives_an_entry_its_time_anew(storage: Storage) -> None:
    await write(storage, put("a", ttl_ms=1_000), put("b", ttl_ms=1_000))
    await write(storage, put("a", ttl_ms=5_000), put("b"), now=T0 + 500)
    assert await ids(storage, now=T0 + 5_499) == ["a", "b"]
    assert await ids(storage, now=T0 + 5_500) == ["b"]


async def test_a_thousand_that_are_over_hide_none_that_is_not(storage: Storage) -> None:
    for start in range(0, 1_280, MAX_CHANGES):
        many = [put(f"k{start + n:05}", ttl_ms=10) for n in range(MAX_CHANGES)]
        assert await write(storage, *many) == [1] * MAX_CHANGES
    await write(storage, put("k00005", "kept"), put("zz"))
    later = T0 + 10
    assert await ids(storage, now=later) == ["k00005", "zz"]
    assert [one.id for one in await storage.entries(KIND, limit=2, now=later)] == ["zz", "k00005"]
    assert await write(storage, put("k00001", "again", version=0), now=later) == [1]
    await write(storage, put("other"), kind="other", now=later)
    assert await ids(storage, now=later) == ["k00001", "k00005", "zz"]


async def test_without_now_the_stores_clock_decides(storage: Storage) -> None:
    await storage.write_entries(KIND, [put("a", ttl_ms=3_600_000), put("b", ttl_ms=1)], now=T0)
    assert await storage.entries(KIND) == []
    await storage.write_entries(KIND, [put("c", ttl_ms=3_600_000)])
    [entry] = await storage.entries(KIND)
    assert entry.id == "c"
    assert entry.at > T0


async def test_the_testing_store_writes_at_its_clocks_time(storage: Storage) -> None:
    clock = FakeClock()
    clocked = ClockedStorage(storage, clock)
    await clocked.write_entries(KIND, [put("a", ttl_ms=2_000)])
    [entry] = await clocked.entries(KIND)
    assert entry.at == clock()
    assert [one.id for one in await storage.entries(KIND, now=clock() + 1_999)] == ["a"]
    assert await storage.entries(KIND, now=clock() + 2_000) == []


# -- how many are kept -------------------------------------------------------------------------------------------------


async def test_of_a_kind_the_last_so_many_stay(storage: Storage) -> None:
    for n in range(6):
        await storage.write_entries(KIND, [put(f"k{n}")], keep=3, now=T0)
    assert await ids(storage) == ["k3", "k4", "k5"]
    await storage.write_entries(KIND, [put("k0")], keep=3, now=T0)  # one that would be the first is not among the last
    assert await ids(storage) == ["k3", "k4", "k5"]
    await storage.write_entries(KIND, [drop("k4"), put("k6"), put("k6")], keep=3, now=T0)
    assert await ids(storage) == ["k3", "k5", "k6"]
    await storage.write_entries(KIND, [], keep=1, now=T0)
    assert await ids(storage) == ["k6"]


async def test_keeping_counts_each_kind_for_itself(storage: Storage) -> None:
    await write(storage, put("a"), put("b"), kind="token")
    await storage.write_entries(KIND, [put("c"), put("d")], keep=1, now=T0)
    assert await ids(storage, "token") == ["a", "b"]
    assert await ids(storage) == ["d"]


async def test_what_is_over_does_not_count_among_those_to_be_kept(storage: Storage) -> None:
    await write(storage, put("a"), put("b", ttl_ms=5), put("c", ttl_ms=5))
    await storage.write_entries(KIND, [put("d")], keep=2, now=T0 + 5)
    assert await ids(storage, now=T0 + 5) == ["a", "d"]


async def test_thousands_beyond_those_to_be_kept_go_with_one_call(storage: Storage) -> None:
    for start in range(0, 2_560, MAX_CHANGES):
        await write(storage, *(put(f"k{start + n:05}") for n in range(MAX_CHANGES)))
    assert await storage.write_entries(KIND, [put("k99999")], keep=2, now=T0) == [1]
    assert await ids(storage) == ["k02559", "k99999"]


async def test_none_is_kept_when_none_is_to_be(storage: Storage) -> None:
    assert await storage.write_entries(KIND, [put("a")], keep=0, now=T0) == [1]
    assert await ids(storage) == []


# -- reading -----------------------------------------------------------------------------------------------------------


async def test_entries_come_by_id_the_last_first(storage: Storage) -> None:
    await write(storage, put("b"), put("c"), put("a"))
    assert [one.id for one in await storage.entries(KIND, now=T0)] == ["c", "b", "a"]
    assert await ids(storage) == ["a", "b", "c"]


async def test_the_order_is_that_of_code_points(storage: Storage) -> None:
    names = ["0", "A", "Z", "a", "aa", "b", "ÿ", "中", "\uffee", "\U0001f600"]
    await write(storage, *(put(name) for name in reversed(names)))
    assert await ids(storage) == names


async def test_a_stretch_has_neither_of_its_bounds(storage: Storage) -> None:
    await write(storage, *(put(f"k{n}") for n in range(9)))

    async def stretch(after: str | None, before: str | None, limit: int, newest_first: bool) -> list[str]:
        found = await storage.entries(
            KIND, after=after, before=before, limit=limit, newest_first=newest_first, now=T0
        )  # fmt: skip
        return [one.id for one in found]

    assert await stretch("k2", "k6", 9, False) == ["k3", "k4", "k5"]
    assert await stretch("k2", "k6", 2, False) == ["k3", "k4"]
    assert await stretch("k2", "k6", 2, True) == ["k5", "k4"]
    assert await stretch("k6", None, 9, True) == ["k8", "k7"]
    assert await stretch(None, "k2", 9, True) == ["k1", "k0"]
    assert await stretch("k25", "k35", 9, True) == ["k3"]  # bounds need not be there
    assert await stretch("k5", "k5", 9, True) == await stretch("k6", "k2", 9, False) == []


async def test_pages_of_a_long_list_have_each_entry_once(storage: Storage) -> None:
    for start in range(0, 768, MAX_CHANGES):
        await write(storage, *(put(f"k{start + n:05}") for n in range(MAX_CHANGES)))
    assert len(await storage.entries(KIND, limit=700, now=T0)) == 700
    assert [len(await storage.entries(KIND, limit=limit, now=T0)) for limit in (0, -1, 1)] == [0, 0, 1]
    found: list[str] = []
    before: str | None = None
    while page := await storage.entries(KIND, before=before, limit=300, now=T0):
        found += [one.id for one in page]
        before = page[-1].id
    assert found == [f"k{n:05}" for n in range(767, -1, -1)]


async def test_these_come_in_the_order_asked_for(storage: Storage) -> None:
    await write(storage, put("a"), put("b"), put("c"))
    found = await storage.entries(KIND, ids=["c", "nowhere", "a", "c"], now=T0)
    assert [one.id for one in found] == ["c", "a", "c"]
    assert await storage.entries(KIND, ids=[], now=T0) == []


async def test_hundreds_can_be_asked_for_at_once(storage: Storage) -> None:
    await write(storage, *(put(f"k{n}") for n in range(200)))
    asked = [f"k{n}" for n in range(199, -1, -1)] * 3
    assert [one.id for one in await storage.entries(KIND, ids=asked, now=T0)] == asked


async def test_megabytes_are_read_whole(storage: Storage) -> None:
    texts = [str(n) * MAX_TEXT for n in range(4)]
    await write(storage, *(put(f"k{n}", text) for n, text in enumerate(texts)))
    assert [one.text for one in await storage.entries(KIND, newest_first=False, now=T0)] == texts
    found = await storage.entries(KIND, ids=[f"k{n}" for n in range(4)], now=T0)
    assert [one.text for one in found] == texts


async def test_kinds_do_not_see_each_other(storage: Storage) -> None:
    await write(storage, put("a"), kind="orders:w-1")
    await write(storage, put("b"), kind="orders:w-1:2/x é")
    await write(storage, put("c"), kind="orders")
    assert await ids(storage, "orders:w-1") == ["a"]
    assert await ids(storage, "orders:w-1:2/x é") == ["b"]
    assert await ids(storage, "orders") == ["c"]
    assert await ids(storage, "nothing") == []


async def test_entries_make_no_queue(storage: Storage) -> None:
    await write(storage, put("a"), kind="pause")
    assert await storage.queues() == []


async def test_entries_outlive_their_writer(storage_url: str) -> None:
    async with connect(storage_url) as storage:
        await write(storage, put("a", "there"))
    async with connect(storage_url) as storage:
        assert (await the(storage, "a")).text == "there"


# -- what no store takes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["", "Audit", "1a", ":x", "a b", "audit:", "a" * 65, "orders:" + "w" * 201, "orders:\0", "orders:\ud800"]
)
async def test_a_kind_is_a_word_with_a_free_part_behind_a_colon(storage: Storage, kind: str) -> None:
    with pytest.raises(ConfigError, match="kind of entries"):
        await write(storage, put("a"), kind=kind)
    with pytest.raises(ConfigError, match="kind of entries"):
        await storage.entries(kind)


@pytest.mark.parametrize("id", ["", "x" * (MAX_ID + 1), "a\0b", "a\nb", "\ud800"])
async def test_an_id_is_short_and_has_no_controls(storage: Storage, id: str) -> None:
    with pytest.raises(ConfigError, match="1 to 200 characters"):
        await write(storage, put("good"), put(id))
    assert await ids(storage) == []


async def test_an_id_may_be_as_long_as_that(storage: Storage) -> None:
    await write(storage, put("é" * MAX_ID))
    assert await ids(storage) == ["é" * MAX_ID]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("a", "x" * (MAX_TEXT + 1)), "1,000,001 bytes, more than the limit of 1,000,000"),
        (put("a", "é" * (MAX_TEXT // 2 + 1)), "1,000,002 bytes"),
        (put("a", "\ud800"), "lone surrogate"),
        (put("a", ttl_ms=0), "longer than 0 ms"),
    ],
)
async def test_what_no_store_takes_is_refused(storage: Storage, change: EntryChange, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        await write(storage, put("good"), change)
    assert await ids(storage) == []


async def test_too_many_changes_are_refused(storage: Storage) -> None:
    with pytest.raises(ConfigError, match="at most 256"):
        await write(storage, *(put(f"k{n}") for n in range(MAX_CHANGES + 1)))
    assert await ids(storage) == []


def test_an_entry_does_not_show_its_text() -> None:
    assert "hush" not in repr(Entry(id="a", text="hush", version=1, at=T0))


# -- ids that sort -----------------------------------------------------------------------------------------------------


def test_ids_sort_by_time_and_come_once() -> None:
    made = [sortable_id(T0 + n) for n in range(500)]
    assert made == sorted(made)
    assert len({sortable_id(T0) for _ in range(1_000)}) == 1_000


def test_an_id_has_26_lower_case_characters_with_the_time_first() -> None:
    first, other = sortable_id(T0), sortable_id(T0)
    assert len(first) == 26
    assert set(first) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    assert first[:10] == other[:10] != sortable_id(T0 + 1)[:10]
    assert sortable_id(2**48 - 1)[:10] == "7zzzzzzzzz"


def test_ids_of_a_time_lie_behind_its_bound() -> None:
    assert id_bound(T0) < sortable_id(T0) < id_bound(T0 + 1) < sortable_id(T0 + 1)
    assert id_bound(-5) == id_bound(0) == "0000000000"
    assert id_bound(2**60) == id_bound(2**48 - 1)
