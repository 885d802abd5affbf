"""Following a log: each line is told once, also when the log is full and its oldest lines give way."""

from corral.http.live.follow import KNOWN, LINES, Follower
from corral.storage.insight import Page


class Log:
    """A log that keeps its newest lines."""

    def __init__(self, keep: int, *lines: str) -> None:
        self.keep = keep
        self.lines = list(lines)[-keep:]
        self.most = 0  #: lines that were read at a time
        self.follower = Follower(self._read)

    async def _read(self, start: int, limit: int) -> Page[str]:
        found = tuple(self.lines[start : start + limit])
        self.most = max(self.most, len(found))
        return Page(items=found, total=len(self.lines))

    async def told(self, *lines: str) -> list[tuple[int, str]]:
        self.lines = [*self.lines, *lines][-self.keep :]
        return await self.follower.look()


def numbered(begin: int, end: int) -> list[str]:
    return [f"line {number}" for number in range(begin, end)]


async def test_lines_are_told_from_the_first_look_on() -> None:
    log = Log(1_000, "old")
    assert await log.told() == []
    assert await log.told("a", "b") == [(1, "a"), (2, "b")]
    assert await log.told() == []
    assert await log.told("c") == [(3, "c")]


async def test_an_empty_log_is_told_from_its_first_line() -> None:
    log = Log(1_000)
    assert await log.told() == []
    assert await log.told("a") == [(0, "a")]


async def test_a_full_log_goes_on() -> None:
    log = Log(10, *numbered(0, 8))
    assert await log.told() == []
    assert await log.told(*numbered(8, 12)) == list(zip(range(8, 12), numbered(8, 12), strict=True))
    assert await log.told() == []
    assert await log.told(*numbered(12, 15)) == list(zip(range(12, 15), numbered(12, 15), strict=True))
    assert await log.told("line 14") == [(15, "line 14")]  # the same once more


async def test_where_all_known_lines_have_given_way_what_is_kept_is_told() -> None:
    log = Log(4, *numbered(0, 4))
    await log.told()
    assert [text for _, text in await log.told(*numbered(4, 50))] == numbered(46, 50)
    assert await log.told("more") == [(8, "more")]


async def test_a_log_that_was_emptied_is_told_anew() -> None:
    log = Log(1_000, *numbered(0, 20))
    await log.told()
    log.lines = []
    assert await log.told() == []
    assert await log.told("a") == [(20, "a")]


async def test_many_lines_are_told_a_part_at_a_time() -> None:
    log = Log(1_000)
    await log.told()
    lines = numbered(0, 2 * LINES + 1)
    parts = [await log.told(*lines), await log.told(), await log.told(), await log.told()]
    assert [len(part) for part in parts] == [LINES, LINES, 1, 0]
    assert [text for part in parts for _, text in part] == lines
    assert log.most <= LINES + KNOWN
