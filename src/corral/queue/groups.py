"""Groups (tenants): looked at, paused, held and limited one by one."""

from corral.keywords import check_group
from corral.options import GroupChange, GroupLimits, Hold, QueueSettings
from corral.queue.base import QueueBase
from corral.storage.insight import GroupInfo, Page
from corral.storage.port import Storage
from corral.timing import Seconds, to_ms


class Group:
    """One group of a queue. Making one does no I/O and creates nothing."""

    __slots__ = ("id", "queue", "storage")

    def __init__(self, queue: str, id: str, storage: Storage) -> None:
        self.queue = queue
        self.id = check_group(id)
        self.storage = storage

    def __repr__(self) -> str:
        return f"Group({self.queue!r}, {self.id!r})"

    async def info(self) -> GroupInfo:
        """What waits, what runs, what holds it. A group nobody has heard of is an empty one."""
        return await find_group(self.storage, self.queue, self.id) or GroupInfo(id=self.id)

    async def pause(self) -> None:
        """Start nothing of this group; the others go on."""
        await self._change(GroupChange(paused=True))

    async def resume(self) -> None:
        """Let it take its turns again."""
        await self._change(GroupChange(paused=False))

    async def limit(self, limits: GroupLimits | None) -> None:
        """Give it limits of its own; None: those that the queue has for all groups."""
        await self._change(GroupChange(limits=limits))

    async def hold(self, seconds: Seconds, reason: str = "", *, probe: bool = False) -> None:
        """Start nothing of it for so long; with `probe`, afterwards one job at a time until it is lifted."""
        await self._change(GroupChange(hold=Hold(for_ms=to_ms(seconds, "hold"), reason=reason, probe=probe)))

    async def lift(self) -> None:
        """End a hold, its probing included."""
        await self._change(GroupChange(hold=None))

    async def _change(self, change: GroupChange) -> None:
        await self.storage.configure(self.queue, QueueSettings(groups={self.id: change}))


class GroupVerbs(QueueBase):
    """The groups of a queue."""

    def group(self, id: str) -> Group:
        """One group, to look at or to change. Raises: ConfigError: not a group's id."""
        return Group(self.name, id, self.storage)

    async def groups(self, *, start: int = 0, limit: int = 100) -> Page[GroupInfo]:
        """Groups that have waiting or active jobs or settings of their own, by id."""
        return await self.storage.groups(self.name, start=start, limit=limit)


async def find_group(storage: Storage, queue: str, id: str) -> GroupInfo | None:
    """One group among those of a queue. They are listed by id, so a few looks find it among any number."""
    low, high = 0, (await storage.groups(queue, start=0, limit=1)).total
    wanted = id.encode()
    while low < high:
        middle = (low + high) // 2
        page = await storage.groups(queue, start=middle, limit=1)
        if not page.items:  # groups went away meanwhile
            high = middle
            continue
        found = page.items[0]
        if found.id == id:
            return found
        if found.id.encode() < wanted:
            low = middle + 1
        else:
            high = middle
    return None
