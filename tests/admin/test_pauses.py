"""Timed pauses: they end once, whoever looks after them, and never undo what somebody did meanwhile."""

from collections.abc import Sequence

import pytest

from corral.admin.admin import Admin, Desk
from corral.monitor.monitor import Monitor
from corral.options import QueueSettings
from corral.pauses import KIND, Pause, note_pause, pauses, resume_due
from corral.storage.passing import Passing
from corral.storage.port import QueueInfo, Storage
from corral.storage.records import EntryChange
from corral.timing import Millis
from tests.storage.helpers import QUEUE, SECOND, T0, Clock, add_ids

from .helpers import ANA

DUE = T0 + 10 * SECOND


@pytest.fixture
async def paused(desk: Desk, storage: Storage) -> Storage:
    """A store whose queue is paused for ten seconds."""
    await add_ids(storage, "a")
    await desk.pause(QUEUE, for_s=10)
    return storage


async def is_paused(storage: Storage) -> bool:
    return (await storage.configure(QUEUE, QueueSettings())).paused


async def test_of_several_who_look_one_resumes(paused: Storage) -> None:
    assert [await resume_due(paused, now=DUE) for _ in range(3)] == [[QUEUE], [], []]
    assert not await is_paused(paused)


async def test_a_queue_that_was_resumed_in_code_and_paused_for_another_reason_stays_paused(paused: Storage) -> None:
    await paused.configure(QUEUE, QueueSettings(paused=False, pause_reason=""))
    await paused.configure(QUEUE, QueueSettings(paused=True, pause_reason="deployment"))
    assert await resume_due(paused, now=DUE) == []
    assert await is_paused(paused)
    assert await pauses(paused) == {}


async def test_a_queue_that_was_resumed_in_code_has_nothing_to_wait_for(paused: Storage) -> None:
    await paused.configure(QUEUE, QueueSettings(paused=False, pause_reason=""))
    assert await resume_due(paused, now=DUE) == []
    assert await pauses(paused) == {}


async def test_a_longer_pause_replaces_a_shorter_one(desk: Desk, paused: Storage) -> None:
    await desk.pause(QUEUE, for_s=60)
    assert await resume_due(paused, now=DUE) == []
    assert await is_paused(paused)
    await desk.pause(QUEUE)
    assert await resume_due(paused, now=DUE + 3_600 * SECOND) == []
    assert await is_paused(paused)


class Interrupted(Passing):
    """A store in which somebody pauses the queue anew in the very moment in which it is resumed."""

    def __init__(self, inner: Storage, until: Millis | None) -> None:
        super().__init__(inner)
        self.until = until

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        info = await super().configure(queue, settings, now=now)
        if settings.paused is False:
            desk = Admin(self.inner, Monitor(self.inner), clock=lambda: DUE).by(ANA, "once more")
            await desk.pause(QUEUE, for_s=None if self.until is None else self.until)
        return info


@pytest.mark.parametrize("again_for", [None, 60])
async def test_whoever_pauses_a_queue_while_it_is_resumed_has_it_paused(paused: Storage, again_for: int | None) -> None:
    assert await resume_due(Interrupted(paused, again_for), now=DUE) == []
    assert await is_paused(paused)
    assert (await pauses(paused))[QUEUE].reason == "once more"


class Dying(Passing):
    """A store whose user dies before the queue is resumed, or before that is written down."""

    def __init__(self, inner: Storage, after: int) -> None:
        super().__init__(inner)
        self.left = after

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        self.step()
        return await super().configure(queue, settings, now=now)

    async def write_entries(
        self, kind: str, changes: Sequence[EntryChange], *, keep: int | None = None, now: Millis | None = None
    ) -> list[int | None]:
        self.step()
        return await super().write_entries(kind, changes, keep=keep, now=now)


@pytest.mark.parametrize("steps", range(4))
async def test_a_process_that_dies_over_it_leaves_the_rest_to_the_next_one(paused: Storage, steps: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        await resume_due(Dying(paused, steps), now=DUE)
    assert await resume_due(paused, now=DUE) == [QUEUE]
    assert not await is_paused(paused)
    assert await pauses(paused) == {}


async def test_what_cannot_be_read_holds_nothing_up(paused: Storage) -> None:
    await paused.write_entries(KIND, [EntryChange(id="broken", text="{")], now=T0)
    assert await resume_due(paused, now=DUE) == [QUEUE]


async def test_pauses_are_told_with_who_and_until_when(storage: Storage, clock: Clock) -> None:
    await note_pause(storage, QUEUE, Pause(since=T0, until=DUE, by="ana", reason="x"), now=clock.now)
    noted = await pauses(storage)
    assert noted == {QUEUE: Pause(since=T0, until=DUE, by="ana", reason="x")}
    assert (noted[QUEUE].due(DUE - 1), noted[QUEUE].due(DUE)) == (False, True)
