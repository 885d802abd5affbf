"""What the tests of groups, windows and holds say again and again."""

from collections.abc import Sequence

from msgspec.structs import replace

from corral.job import JobId, NewJob
from corral.options import GroupChange, GroupLimits, Hold, QueueSettings, RateLimit
from corral.storage.insight import GroupInfo
from corral.storage.port import QueueInfo, Storage
from corral.timing import Millis

from .helpers import QUEUE, T0, new_job, start, wish


def grouped(id: JobId | None, group: str | None = None, **fields: object) -> NewJob:
    """A job whose group is the first letter of its id unless said otherwise: "a3" is the third of group "a"."""
    return replace(new_job(id, group=group or str(id)[0]), **fields)


async def add_grouped(storage: Storage, *ids: JobId, now: Millis = T0) -> None:
    """Add jobs to the groups that their first letters name, in one batch."""
    await storage.add([grouped(id) for id in ids], now=now)


async def limit_groups(storage: Storage, *, now: Millis = T0, **limits: object) -> QueueInfo:
    """Bound every group that has no limits of its own."""
    return await storage.configure(QUEUE, QueueSettings(group_limits=replace(GroupLimits(), **limits)), now=now)


async def change_group(storage: Storage, group: str, *, now: Millis = T0, **change: object) -> None:
    """Change one group."""
    await storage.configure(QUEUE, QueueSettings(groups={group: replace(GroupChange(), **change)}), now=now)


async def hold_group(storage: Storage, group: str, for_ms: Millis, *, now: Millis = T0, probe: bool = False) -> None:
    """Stop one group for a while."""
    await change_group(storage, group, hold=Hold(for_ms=for_ms, reason="busy", probe=probe), now=now)


async def hold_queue(storage: Storage, for_ms: Millis, *, now: Millis = T0, probe: bool = False) -> QueueInfo:
    """Stop the whole queue for a while."""
    hold = Hold(for_ms=for_ms, reason="busy", probe=probe)
    return await storage.configure(QUEUE, QueueSettings(hold=hold), now=now)


async def every_group(storage: Storage, queue: str = QUEUE) -> dict[str, GroupInfo]:
    """All groups that are to be seen, by id."""
    page = await storage.groups(queue, limit=1_000)
    assert page.total == len(page.items)
    return {info.id: info for info in page.items}


async def one_by_one(storage: Storage, times: int, *, now: Millis = T0) -> list[JobId]:
    """The ids that so many claims of one job each bring."""
    return [run.job.id for _ in range(times) for run in await start(storage, now=now)]


async def next_at(storage: Storage, *, now: Millis = T0) -> Millis | None:
    """When a claim that wants nothing says that it is worth asking again."""
    return (await storage.claim(QUEUE, wish(0), now=now)).next_at


def rates(*limits: tuple[int, float]) -> tuple[RateLimit, ...]:
    """Rate limits from (count, seconds)."""
    return tuple(RateLimit(count, per=per) for count, per in limits)


def most_within(starts: Sequence[Millis], per_ms: Millis) -> int:
    """The most starts that any stretch of this length has seen."""
    ordered = sorted(starts)
    return max((sum(1 for at in ordered if first <= at < first + per_ms) for first in ordered), default=0)
