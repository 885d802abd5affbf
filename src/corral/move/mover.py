"""Moving a live application: `await move("sqlite:///corral.db", "redis://localhost/0")`.

A queue belongs to one store at a time. Its source is paused, its running jobs may end, everything is copied until a
round finds nothing left to copy, and then the target goes on where the source stood; the source stays paused. Each
copied job is marked in the source with what was handed over, and to whom (each queue of each store has a ledger with an
id of its own). So a second run knows what it need not copy, what has advanced, and what the target has long since run
and forgotten; on the way back the same marks tell which of the old copies are stale.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from corral.errors import ConfigError, QueueNotFoundError
from corral.move.cargo import Cargo
from corral.move.verdict import REASON, Ledger, Moved, Pauses, Sides, plan_pauses
from corral.options import GroupChange, Hold, QueueSettings
from corral.plurals import plural
from corral.schedule import Schedule
from corral.storage.connect import safe_url
from corral.storage.insight import GroupInfo
from corral.storage.movable import movable
from corral.storage.port import QueueCounts, QueueInfo
from corral.storage.transfer import LEDGER_KEY, SLICE, Figures, Movable, Note
from corral.timing import Millis, now_ms

#: How often everything is gone through until nothing changes any more. A source that is still added to never settles.
ROUNDS = 5
#: Seconds between looks at jobs that run, and between looks for those whose worker is dead.
LOOK, RECOVER = 0.2, 2.0

#: (queue, jobs looked at so far, jobs in all)
Progress: TypeAlias = Callable[[str, int, int], None]

_decode_ledger = msgspec.json.Decoder(Ledger).decode


async def move(
    source: str, target: str, *, queues: Sequence[str] = (), timeout: float = 30.0, keep_running: bool = False,
    dry_run: bool = False, progress: Progress | None = None,
) -> list[Moved]:  # fmt: skip
    """Move queues (all of them, unless some are named) from the store at one URL to the store at another.

    `timeout` is in seconds: how long jobs that run may take to end. With `keep_running` nothing is paused in the source
    and the target stays paused: the first pass over a large store, to be followed by one without. `dry_run` only looks.

    Raises:
        ConfigError: a URL that cannot be meant, or twice the same one.
        QueueNotFoundError: a queue is not in the source.
        StorageError: what a store had to say. Run it again then: nothing is copied twice.
    """
    names = safe_url(source), safe_url(target)
    if names[0] == names[1]:
        raise ConfigError("a store cannot be moved to itself: name two different URLs", key="url")
    async with movable(source) as here, movable(target) as there:
        mover = Mover(here, there, names=names, progress=progress)
        return await mover.run(queues, timeout=timeout, keep_running=keep_running, dry_run=dry_run)


class _Queue:
    """One queue: how it stands in both stores, and its jobs on their way."""

    def __init__(self, info: QueueInfo, there: QueueInfo | None, cargo: Cargo) -> None:
        self.name = info.name
        self.info = info
        self.cargo = cargo
        self.pauses: Pauses = plan_pauses(info, there, handed=cargo.sides.handed)


class Mover:
    """Moves queues between two open stores; `names` are shown in the reasons for which queues are paused."""

    def __init__(
        self, source: Movable, target: Movable, *, names: tuple[str, str] = ("elsewhere", "elsewhere"),
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self._source = source
        self._target = target
        self._names = names
        self._progress: Progress = progress or (lambda queue, done, total: None)

    async def run(
        self, queues: Sequence[str] = (), *, timeout: float = 30.0, keep_running: bool = False, dry_run: bool = False
    ) -> list[Moved]:
        """Move; see `move`, also for what it raises."""
        moving = await self._select(queues, dry_run=dry_run)
        used = {now.queue for now in await self._target.counts([one.name for one in moving]) if _jobs_in(now)}
        if not dry_run:
            for one in moving:
                await self._stop(one, pause=not keep_running)
            if not keep_running:
                await self._wait(moving, timeout)
        await self._count(moving)
        await self._carry(moving, dry_run=dry_run)
        for one in moving:
            if one.name in used and not one.cargo.sides.handed and not dry_run:
                await one.cargo.sweep()
            await self._notes(one, dry_run=dry_run)
            if not keep_running:  # of those in two stores that both run, each would fire
                await self._schedules(one, dry_run=dry_run)
            if not dry_run:
                await self._minutes(one)
                await self._totals(one, last=not keep_running)
        if not dry_run and not keep_running:
            for one in moving:
                await self._hand_over(one)
        return [replace(one.cargo.done, elsewhere=tuple(sorted(one.cargo.elsewhere))) for one in moving]

    # -- before --------------------------------------------------------------------------------------------------------

    async def _select(self, names: Sequence[str], *, dry_run: bool) -> list[_Queue]:
        infos = {info.name: info for info in await self._source.queues()}
        for name in names:
            if name not in infos:
                raise QueueNotFoundError(name, infos)
        there = {info.name: info for info in await self._target.queues()}
        selected = frozenset(names or infos)
        chosen = []
        for name in sorted(selected):
            sides = Sides(
                await self._ledger(self._source, name, make=not dry_run),
                await self._ledger(self._target, name, make=not dry_run),
            )
            if sides.source.id and sides.source.id == sides.target.id:
                raise ConfigError("the two URLs lead to one store, or to a store and its copy", key="url")
            cargo = Cargo(self._source, self._target, name, sides, selected, dry_run=dry_run)
            chosen.append(_Queue(infos[name], there.get(name), cargo))
        return chosen

    async def _ledger(self, store: Movable, queue: str, *, make: bool) -> Ledger:
        text = await store.remember(queue, LEDGER_KEY)
        if text is not None:
            return _decode_ledger(text)
        fresh = Ledger(secrets.token_hex(8) if make else "")
        if make:
            text = await store.remember(queue, LEDGER_KEY, fresh.text())
        return fresh if text is None else _decode_ledger(text)

    async def _stop(self, one: _Queue, *, pause: bool) -> None:
        """Pause both sides and set the target up; no job gets an id there that one of the source has."""
        here, there = self._names
        if pause and one.pauses.source:
            await self._source.configure(one.name, QueueSettings(paused=True, pause_reason=f"{REASON} to {there}"))
        reason = one.pauses.reason if one.pauses.target else f"{REASON} from {here}"
        await self._target.configure(one.name, QueueSettings(paused=True, pause_reason=reason))
        if not one.cargo.sides.handed:
            now = now_ms()
            await self._target.configure(one.name, settings_of(one.info, now), now=now)
            await self._groups(one)
        numbers = await self._source.pack_figures(one.name)
        await self._target.unpack_figures(one.name, Figures(last_id=numbers.last_id), replace=False)

    async def _groups(self, one: _Queue) -> None:
        """Set up the groups that have something of their own."""
        start = 0
        while True:
            page = await self._source.groups(one.name, start=start, limit=SLICE)
            now = now_ms()
            changes = {group.id: change for group in page.items if (change := change_of(group, now)) != GroupChange()}
            if changes:
                await self._target.configure(one.name, QueueSettings(groups=changes), now=now)
            start += SLICE
            if start >= page.total:
                return

    async def _wait(self, moving: Sequence[_Queue], timeout: float) -> None:
        """Wait for running jobs to end; those of dead workers are put back on the way."""
        loop = asyncio.get_running_loop()
        until, recover_at = loop.time() + timeout, loop.time()
        while True:
            if loop.time() >= recover_at:
                for one in moving:
                    while (await self._source.recover(one.name)).more:
                        pass
                recover_at = loop.time() + RECOVER
            counts = await self._source.counts([one.name for one in moving])
            if not any(one.active for one in counts) or loop.time() >= until:
                return
            await asyncio.sleep(min(LOOK, max(0.0, until - loop.time())))

    async def _count(self, moving: Iterable[_Queue]) -> None:
        for one in moving:
            [now] = await self._source.counts([one.name])
            one.cargo.total = _jobs_in(now)

    # -- jobs ----------------------------------------------------------------------------------------------------------

    async def _carry(self, moving: Sequence[_Queue], *, dry_run: bool) -> None:
        """Go through all jobs until a round finds nothing to copy: that is the proof that everything is there."""
        left = list(moving)
        for number in range(1 if dry_run else ROUNDS):
            changes = {one.name: await self._round(one, show=number == 0) for one in moving}
            left = [one for one in moving if changes[one.name]]
            if not dry_run and (left or number == 0):
                for one in moving:
                    await one.cargo.families()
            if not left:
                return
        for one in left:
            one.cargo.done = replace(one.cargo.done, settled=False)

    async def _round(self, one: _Queue, *, show: bool) -> int:
        cargo = one.cargo
        [counts] = await self._source.counts([one.name])
        cargo.begin(counts.active)
        changes = 0
        after: str | None = ""
        while after is not None:
            after, changed = await cargo.slice(after)
            changes += changed
            if show:
                self._progress(one.name, cargo.seen, max(cargo.seen, cargo.total))
        return changes

    # -- the rest of a queue -------------------------------------------------------------------------------------------

    async def _schedules(self, one: _Queue, *, dry_run: bool) -> None:
        """What the target has of its own, once it took over, counts; before, what the source has."""
        there = {schedule.key: schedule for schedule in (await self._all_schedules(self._target, one.name))[0]}
        schedules, unreadable = await self._all_schedules(self._source, one.name)
        if unreadable:
            names = (*one.cargo.done.unreadable, f"({plural(unreadable, 'schedule')})")
            one.cargo.done = replace(one.cargo.done, unreadable=names)
        for schedule in schedules:
            known = there.pop(schedule.key, None)
            if known == schedule or (known is not None and one.cargo.sides.handed):
                continue
            one.cargo.count(schedules=1)
            if dry_run:
                continue
            if known is not None:  # `put_schedules` would keep what the old one had done so far
                await self._target.drop_schedules(one.name, [schedule.key])
            await self._target.put_schedules([schedule])
        if there and one.cargo.sides.returns and not dry_run:
            await self._target.drop_schedules(one.name, sorted(there))

    async def _all_schedules(self, store: Movable, queue: str) -> tuple[list[Schedule], int]:
        """A queue's schedules, and how many there are beside them that mean nothing on this machine."""
        found: list[Schedule] = []
        start = 0
        while True:
            page = await store.schedules(queue=queue, start=start, limit=SLICE)
            found += page.items
            start += SLICE
            if start >= page.total:
                return found, page.total - len(found)

    async def _notes(self, one: _Queue, *, dry_run: bool) -> None:
        after: str | None = ""
        while after is not None:
            notes = await self._source.pack_notes(one.name, after=after, limit=SLICE)
            if dry_run:
                one.cargo.count(notes=len(notes.notes))
            else:
                now = now_ms()
                replace_it = not one.cargo.sides.handed
                before = await asyncio.gather(
                    *(self._note(one.name, note, replace_it=replace_it, now=now) for note in notes.notes)
                )
                known = zip(before, notes.notes, strict=True)
                one.cargo.count(notes=sum(b is None or (replace_it and b != note.value) for b, note in known))
            after = notes.next

    async def _note(self, queue: str, note: Note, *, replace_it: bool, now: Millis) -> str | None:
        ttl = None if note.expires_at is None else note.expires_at - now
        if ttl is not None and ttl <= 0:
            return note.value  # over since it was read
        return await self._target.remember(queue, note.key, note.value, replace=replace_it, ttl_ms=ttl, now=now)

    async def _minutes(self, one: _Queue) -> None:
        minutes = await self._source.metrics(one.name, since=0, until=now_ms() + 3_600_000)
        for start in range(0, len(minutes), SLICE):
            some = tuple(minutes[start : start + SLICE])
            await self._target.unpack_figures(one.name, Figures(minutes=some), replace=not one.cargo.sides.handed)

    async def _totals(self, one: _Queue, *, last: bool) -> None:
        """Add to the lifetime totals what was not added yet. On the way back they contain the target's own."""
        sides = one.cargo.sides
        here = await self._source.pack_figures(one.name)
        there = await self._target.pack_figures(one.name)
        ledger = _decode_ledger(await self._target.remember(one.name, LEDGER_KEY) or sides.target.text())
        base = (there.completed, there.failed) if sides.returns else ledger.totals.get(sides.source.id, (0, 0))
        counted = {**ledger.totals, sides.source.id: (here.completed, here.failed)}
        text = replace(ledger, to="" if sides.returns and last else ledger.to, totals=counted).text()
        more = Figures(
            last_id=here.last_id,
            completed=max(0, here.completed - base[0]),
            failed=max(0, here.failed - base[1]),
            ledger=text,
        )
        await self._target.unpack_figures(one.name, more, replace=False)

    # -- after ---------------------------------------------------------------------------------------------------------

    async def _hand_over(self, one: _Queue) -> None:
        """From here on the target is the one. It is only told to start once the source knows that."""
        sides = one.cargo.sides
        text = await self._source.remember(one.name, LEDGER_KEY)
        ledger = replace(sides.source if text is None else _decode_ledger(text), to=sides.target.id)
        await self._source.remember(one.name, LEDGER_KEY, ledger.text(), replace=True)
        if not one.pauses.target:
            await self._target.configure(one.name, QueueSettings(paused=False, pause_reason=""))


def _jobs_in(now: QueueCounts) -> int:
    return now.waiting + now.delayed + now.waiting_children + now.completed + now.failed


def settings_of(info: QueueInfo, now: Millis) -> QueueSettings:
    """A queue's settings as a change made at `now`, without the pause."""
    return QueueSettings(
        rate_limit=info.rate_limit,
        add_limit=info.add_limit,
        concurrency=info.concurrency,
        more_limits=info.more_limits,
        name_concurrency=dict(info.name_concurrency),
        name_limits=dict(info.name_limits),
        group_limits=info.group_limits,
        hold=_hold(info.held_until, info.hold_reason, info.probing, now),
        keep_completed=UNSET if info.keep_completed is None else info.keep_completed,
        keep_failed=UNSET if info.keep_failed is None else info.keep_failed,
    )


def change_of(group: GroupInfo, now: Millis) -> GroupChange:
    """What is a group's own, as a change made at `now`."""
    held = _hold(group.held_until, group.hold_reason, group.probing, now)
    return GroupChange(
        limits=UNSET if group.limits is None else group.limits,
        paused=group.paused or UNSET,
        hold=UNSET if held is None else held,
    )


def _hold(until: Millis | None, reason: str, probing: bool, now: Millis) -> Hold | None:
    """What is left of a hold: its time, or the careful time after it."""
    if until is None or (until <= now and not probing):
        return None
    return Hold(for_ms=max(0, until - now), reason=reason, probe=probing)
