"""Showing it: a live picture on a terminal, plain lines anywhere else."""

import json
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from corral import Corral, Event, EventType

from .stage import Ref
from .watch import Watch, now_ms

TOLD = {
    EventType.COMPLETED: ("completed", "green"),
    EventType.RETRYING: ("failed, will be tried again", "yellow"),
    EventType.FAILED: ("failed for good", "red"),
}
#: How often the plain form sums up a burst, in seconds.
SUM_UP = 2.0


def gist(event: Event) -> str:
    """What an event has to say for itself, in a few words."""
    if event.detail is None:  # a long result stays out of events
        return f"→ {event.queue}/{event.job_id} has it"
    detail = json.loads(event.detail)
    if isinstance(detail, dict) and "response" in detail:
        return f"→ {Path(str(detail['response'])).name}"
    text = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    return text if len(text) <= 90 else text[:89] + "…"


class Screen(Protocol):
    """What the demo needs of a display."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def note(self, text: str) -> None:
        """Say something."""
        ...

    def show(self, watch: Watch, events: Sequence[Event], crowd: set[Ref]) -> None:
        """Show how things stand. Jobs in `crowd` are too many to be told one by one."""
        ...


class Plain:
    """Lines, each with the seconds since the start."""

    def __init__(self) -> None:
        self._began = self._summed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def note(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)

    def show(self, watch: Watch, events: Sequence[Event], crowd: set[Ref]) -> None:
        for event in events:
            if event.type in TOLD and (event.queue, event.job_id) not in crowd:
                self.note(f"{event.queue}/{event.job_id} {event.name}: {TOLD[event.type][0]}: {gist(event)}")
        now = time.monotonic()
        if now - self._summed >= SUM_UP:
            self._summed = now
            for line in watch.lines.values():
                if line.pending:
                    self.note(
                        f"{line.name}: {line.waiting} waiting, {line.delayed} delayed, {line.active} active, "
                        f"{line.completed} completed, {line.failed} failed, {line.rate(now_ms()):.1f} starts/s"
                    )


class Picture:
    """A table of the queues above the latest news, drawn anew a few times a second."""

    def __init__(self, console: Console, app: Corral) -> None:
        self._limits = {
            str(name): f"{queue.rate_limit.count} in {queue.rate_limit.per:g} s" if queue.rate_limit else ""
            for name, queue in app.queues.items()
        }
        self._news: deque[Text] = deque(maxlen=12)
        self._crowded = 0
        self._began = time.monotonic()
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        self._live.console.print(self._stamped(Text(text)))  # above the picture, where it stays

    def _stamped(self, text: Text) -> Text:
        return Text.assemble((f"{time.monotonic() - self._began:6.1f} s  ", "dim"), text)

    def _say(self, text: Text) -> None:
        line = self._stamped(text)
        line.no_wrap, line.overflow = True, "ellipsis"
        self._news.append(line)

    def show(self, watch: Watch, events: Sequence[Event], crowd: set[Ref]) -> None:
        for event in events:
            # On a screen that keeps only the latest lines, every tenth of the crowd is enough to see it move.
            crowded = (event.queue, event.job_id) in crowd and event.type is EventType.COMPLETED
            self._crowded += crowded
            dull = crowded and self._crowded % 10
            if event.type in TOLD and not dull:
                said, style = TOLD[event.type]
                name = Text(f"{event.queue}/{event.job_id} {event.name} ")
                self._say(name.append(said, style=style).append(f" {gist(event)}", style="dim"))
        self._live.update(Group(self._table(watch), *self._news), refresh=True)

    def _table(self, watch: Watch) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("queue", style="bold")
        # What ended is counted from the start of this demo on.
        for title in ("waiting", "delayed", "active", "completed", "failed", "starts/s", "limit"):
            table.add_column(title, justify="right")
        now = now_ms()
        for line in watch.lines.values():
            numbers = (line.waiting, line.delayed, line.active, line.completed, line.failed)
            shown = [Text(str(number), style="" if number else "dim") for number in numbers]
            rate = line.rate(now)
            speed = Text(f"{rate:.1f}", style="cyan") if rate else Text("–", style="dim")
            table.add_row(line.name, *shown, speed, self._limits[line.name])
        return table


def screen_for(app: Corral, *, plain: bool) -> Screen:
    """The picture where there is a terminal that can show it, else plain lines."""
    console = Console()
    return Plain() if plain or not console.is_terminal or console.is_dumb_terminal else Picture(console, app)
