"""The screen of `corral top`. Imports rich at once, and is therefore imported late."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from corral.cli.backend.port import Backend
from corral.cli.cells import Column, Row, plain, span
from corral.cli.columns import REASON, mark
from corral.cli.course import POINTS, SORTS, Courses, arranged, number, spark
from corral.cli.failures import Failure
from corral.cli.keyboard import Keys, listening
from corral.cli.table import spare, table
from corral.cli.text import cut, visible
from corral.errors import CorralError
from corral.plurals import plural

DAY = 86_400.0
FAILURES, WORKERS = 5, 8
#: Lines that are not queues: totals, titles, gaps, the line with the keys.
AROUND = 11
COURSE = 10  #: characters of a queue's sparkline, at least
QUEUES = (
    Column("attention", "!", mark),
    Column("queue", "QUEUE"),
    Column("state", "STATE", rank=2),
    Column("waiting", "WAITING", plain, True),
    Column("active", "ACTIVE", plain, True),
    Column("delayed", "DELAYED", plain, True, rank=4),
    Column("failed", "FAILED", plain, True, rank=1),
    Column("oldest_s", "OLDEST", span, True, rank=2),
    Column("done_per_min", "DONE/MIN", plain, True, rank=1),
    Column("workers", "WORKERS", plain, True, rank=3),
    Column("course", "BACKLOG", str, rank=5),
)
KINDS = (
    Column("last_s", "AGO", span, True),
    Column("queue", "QUEUE"),
    Column("jobs", "JOBS", plain, True),
    Column("type", "TYPE", rank=1),
    Column("message", "MESSAGE", lambda value: cut(plain(value), REASON), wrap=True),
)
STAFF = (
    Column("name", "WORKER"),
    Column("host", "HOST", rank=2),
    Column("state", "STATE"),
    Column("running", "RUNNING", plain, True),
    Column("slots", "SLOTS", plain, True),
    Column("queues", "QUEUES", wrap=True, rank=1),
)


class Look(Struct, frozen=True, kw_only=True):
    """What was seen in one look."""

    overview: Row
    queues: Sequence[Row]
    failures: Sequence[Row]
    workers: Sequence[Row]
    done: Sequence[float] = ()


async def look(back: Backend) -> Look:
    """Ask for everything that is on the screen."""
    overview, queues, failures, workers, minutes = await asyncio.gather(
        back.overview(), back.queues(), back.failures(None, DAY), back.workers(None), back.series(None, 60)
    )
    done = [float(number(point, "completed") + number(point, "failed")) for point in minutes]
    return Look(overview=overview, queues=queues, failures=failures, workers=workers, done=done)


class Top(Keys):
    """What is on the screen, and what the keys have changed."""

    def __init__(self) -> None:
        super().__init__()
        self.sort = SORTS[0]
        self.trouble = ""
        self.seen: Look | None = None
        self.courses = Courses()

    def press(self, key: str) -> None:
        """What a key does: s sorts the queues otherwise."""
        if key.lower() == "s":
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        super().press(key)

    async def refresh(self, back: Backend) -> None:
        """Look again; a store that does not answer is said and not an end."""
        try:
            self.seen = await look(back)
            self.courses.look(self.seen.queues)
            self.trouble = ""
        except (CorralError, Failure) as error:
            self.trouble = str(error)

    def screen(self, width: int, height: int) -> RenderableType:
        """The screen at this size."""
        if self.seen is None:
            return Text(self.trouble or "looking …")
        seen = self.seen
        failures = sorted(seen.failures, key=lambda row: number(row, "last_s"))[:FAILURES]
        workers = seen.workers[:WORKERS]
        room = max(3, height - AROUND - len(failures) - len(workers))
        rows = arranged(seen.queues, self.sort)
        points = min(POINTS, max(COURSE, spare(QUEUES[:-1], rows[:room], width)))
        shown = [{**row, "course": spark(self.courses.of(str(row["queue"])), points)} for row in rows[:room]]
        left = len(rows) - len(shown)
        parts: list[RenderableType] = [*_totals(seen, width), Text(), table(QUEUES, shown, width)]
        if left:
            parts.append(Text(f"and {plural(left, 'more queue')}", style="dim"))
        parts += [Text(), *_section(KINDS, failures, "no failures within a day", width)]
        parts += [Text(), *_section(STAFF, workers, "no worker is alive", width)]
        return Group(*parts, self._foot())

    def _foot(self) -> Text:
        state = "stopped" if self.stopped else f"{datetime.now().astimezone():%H:%M:%S}"
        foot = Text(
            f"{state}  q ends  p {'goes on' if self.stopped else 'stops'}  s sorts (by {self.sort})", style="dim"
        )
        if self.trouble:
            foot.append(f"  {visible(self.trouble)}", style="bold red")
        return foot


def _totals(seen: Look, width: int) -> Iterator[Text]:
    found = seen.overview
    words = [f"{plain(found[key])} {key}" for key in ("waiting", "active", "delayed", "failed")]
    words.append(f"{plain(found['done_per_min'])} done/min")
    words.append(f"oldest {span(found['oldest_s'])}")
    words.append(f"{plain(found['busy'])}/{plain(found['slots'])} slots of {plain(found['workers'])} workers")
    yield Text("  ".join(words), style="bold")
    yield Text(f"done in the last hour  {spark(seen.done, max(10, min(60, width - 24)))}")
    attention = found["attention"]
    if isinstance(attention, list) and attention:
        first = attention[0]
        more = f" (and {len(attention) - 1} more)" if len(attention) > 1 else ""
        yield Text(visible(f"▲ {first['message']}{more}"), style="yellow")


def _section(columns: Sequence[Column], rows: Sequence[Row], none: str, width: int) -> Iterator[RenderableType]:
    yield table(columns, rows, width) if rows else Text(none, style="dim")


async def run(back: Backend, interval: float, *, colour: bool) -> None:
    """Draw until somebody presses q."""
    top = Top()
    console = Console(no_color=not colour, highlight=False)
    with listening(top), Live(console=console, screen=True, auto_refresh=False) as live:
        while not top.ended.is_set():
            if not top.stopped:
                await top.refresh(back)
            live.update(top.screen(console.width, console.height), refresh=True)
            await top.rest(interval)
