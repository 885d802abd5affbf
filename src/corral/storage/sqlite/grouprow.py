"""A group in a transaction: what waits, what runs, what it may do, and whether it stands in the ring."""

from collections.abc import Iterable
from typing import Any

import apsw
import msgspec

from corral.options import GroupLimits
from corral.storage.sqlite.windows import Window, full_until, read_windows, windows_text
from corral.timing import Millis

GROUP_COLUMNS = "id, turn, free_at, looked_at, waiting, aside, active, settings, windows"
_INSERT = (
    "INSERT INTO corral_group (turn, free_at, looked_at, waiting, aside, active, settings, windows, queue, id) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "UPDATE corral_group SET turn = ?, free_at = ?, looked_at = ?, waiting = ?, aside = ?, active = ?, settings = ?, "
    "windows = ? WHERE queue = ? AND id = ?"
)
_DELETE = "DELETE FROM corral_group WHERE queue = ? AND id = ?"
_NO_LIMITS = GroupLimits()


class GroupSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What people, or a verdict, said about one group."""

    limits: GroupLimits | None = None
    paused: bool = False
    held_until: Millis | None = None
    hold_reason: str = ""
    probing: bool = False


NO_SETTINGS = GroupSettings()
_read_settings = msgspec.json.Decoder(GroupSettings).decode
_encode = msgspec.json.Encoder().encode


class GroupRow:
    """One group. `waiting` are its jobs that wait, with the `aside` of them that wait for room under their name."""

    __slots__ = (
        "active", "aside", "free_at", "id", "looked_at", "settings", "stored", "turn", "waiting", "windows",
    )  # fmt: skip

    def __init__(self, id: str, row: tuple[Any, ...] | None) -> None:
        self.id = id
        self.stored = None if row is None else row[1:]
        _, turn, free_at, looked_at, waiting, aside, active, settings, windows = row or (id, *(None,) * 8)
        self.turn: int | None = turn  #: its place in the ring; None: it has nothing that may start
        self.free_at: Millis | None = free_at
        self.looked_at: Millis = looked_at or 0
        self.waiting: int = waiting or 0
        self.aside: int = aside or 0
        self.active: int = active or 0
        self.settings: GroupSettings = NO_SETTINGS if settings is None else _read_settings(settings)
        self.windows: list[Window] = read_windows(windows)

    def limits(self, for_all: GroupLimits | None) -> GroupLimits:
        """Its own limits, or else those for all groups of the queue."""
        return self.settings.limits or for_all or _NO_LIMITS

    def blocked(self, for_all: GroupLimits | None, now: Millis) -> tuple[bool, Millis | None]:
        """Whether nothing of it may start now, and when that ends by itself: None when somebody has to end it."""
        settings = self.settings
        limits = self.limits(for_all)
        full = limits.concurrency is not None and self.active >= limits.concurrency
        if settings.paused or full or (settings.probing and self.active):
            return True, None
        ends = full_until(limits.rate_limits, self.windows, now) if self.windows else None
        if settings.held_until is not None and settings.held_until > now:
            ends = max(ends or 0, settings.held_until)
        return ends is not None, ends

    def place(self, for_all: GroupLimits | None, enter: int, now: Millis) -> bool:
        """Let it into the ring at turn `enter`, or take it out; True when it came in."""
        if self.waiting <= self.aside:
            self.turn = None
            if self.waiting:  # held jobs of it are worth a look when its block ends
                self.free_at = self.blocked(for_all, now)[1]
                return False
            # Empty: the time at which its last window is over, and it may be forgotten.
            ends = [window.start + window.per_ms for window in self.windows] if not self.waiting + self.active else []
            self.free_at = max(ends, default=None)
            return False
        is_blocked, self.free_at = self.blocked(for_all, now)
        if is_blocked:
            self.turn = None
        elif self.turn is None:
            self.turn = enter
            return True
        return False

    def columns(self) -> tuple[int | str | None, ...]:
        """As stored, in the order of GROUP_COLUMNS without the id."""
        settings = None if self.settings == NO_SETTINGS else _encode(self.settings).decode()
        return (
            self.turn, self.free_at, self.looked_at, self.waiting, self.aside, self.active, settings,
            windows_text(self.windows),
        )  # fmt: skip

    def is_idle(self) -> bool:
        """Whether nothing is left to know about it."""
        return not (self.waiting or self.active or self.windows) and self.settings == NO_SETTINGS


def store_groups(
    db: apsw.Connection, queue: int, groups: Iterable[GroupRow], for_all: GroupLimits | None, enter: int, now: Millis
) -> bool:
    """Put each group where it belongs and write what changed; True when one came into the ring."""
    entered = False
    inserts: list[tuple[object, ...]] = []
    updates: list[tuple[object, ...]] = []
    deletes: list[tuple[object, ...]] = []
    for group in groups:
        group.windows = [window for window in group.windows if window.is_open(now)]
        entered |= group.place(for_all, enter, now)
        columns = group.columns()
        known = group.stored
        if group.is_idle():
            if known is not None:
                deletes.append((queue, group.id))
            group.stored = None
        elif known is None or (columns[:2], columns[3:]) != (known[:2], known[3:]):
            group.looked_at = now
            group.stored = group.columns()
            (inserts if known is None else updates).append((*group.stored, queue, group.id))
    for sql, rows in ((_INSERT, inserts), (_UPDATE, updates), (_DELETE, deletes)):
        if rows:
            db.executemany(sql, rows)
    return entered
