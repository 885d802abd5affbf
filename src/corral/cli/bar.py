"""Progress bars on a terminal, one for each queue. Imports rich at once, and is therefore imported late."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from corral.cli.text import visible


class Bars:
    """Bars on standard error, made when a queue is first heard of."""

    def __init__(self, *, colour: bool) -> None:
        console = Console(stderr=True, no_color=not colour)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, queue: str, done: int, total: int | None) -> None:
        """A queue has come so far; None: nobody knows how far there is to go."""
        if queue not in self._tasks:
            self._tasks[queue] = self._progress.add_task(visible(queue), total=total)
        self._progress.update(self._tasks[queue], completed=done, total=total)
