"""How far something is: a bar on the terminal of whoever waits, nothing elsewhere."""

import sys
from contextlib import ExitStack
from typing import Protocol

from corral.cli.render import Printer


class Bar(Protocol):
    """A progress bar for each name."""

    def show(self, queue: str, done: int, total: int | None) -> None: ...


def bar(printer: Printer, stack: ExitStack) -> Bar | None:
    """A bar until the stack is left; None where nobody looks."""
    if not sys.stderr.isatty() or printer.chosen.quiet:
        return None
    from corral.cli.bar import Bars  # rich takes 60 ms to import: only for people who look

    return stack.enter_context(Bars(colour=printer.colour))
