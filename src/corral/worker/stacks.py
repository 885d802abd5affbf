"""Where everything in this process stands: the stacks of its threads and tasks, with places only, never a value."""

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from types import CodeType, FrameType

#: Frames shown of one stack, the innermost ones, and tasks shown.
FRAMES, TASKS = 40, 300


def thread_stacks() -> str:
    """The stack of each thread, outermost call first."""
    frames = sys._current_frames()
    parts = []
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        rows = [] if frame is None else [_row(one.filename, one.lineno, one.name) for one in traceback.extract_stack(
            frame, FRAMES)]  # fmt: skip
        parts.append("\n".join([f"thread {thread.name}", *rows]))
    return "\n\n".join(parts)


def task_stacks() -> str:
    """The stack of each task of the running event loop: what it awaits, outermost coroutine first."""
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    parts = ["\n".join([f"task {task.get_name()}", *_awaited(task)]) for task in tasks[:TASKS]]
    if len(tasks) > TASKS:
        parts.append(f"… and {len(tasks) - TASKS} more tasks")
    return "\n\n".join(parts)


def _awaited(task: "asyncio.Task[object]") -> list[str]:
    return [_row(code.co_filename, line, code.co_qualname) for code, line in _chain(task.get_coro())][-FRAMES:]


def _chain(waiting: object) -> Iterator[tuple[CodeType, int | None]]:
    """From a coroutine to the innermost one that it waits for; a generator stands for one in the same way."""
    while waiting is not None:
        for kind in ("cr", "gi", "ag"):
            code, frame = getattr(waiting, f"{kind}_code", None), getattr(waiting, f"{kind}_frame", None)
            if isinstance(code, CodeType):
                yield code, frame.f_lineno if isinstance(frame, FrameType) else None
                waiting = getattr(waiting, f"{kind}_await" if kind != "gi" else "gi_yieldfrom", None)
                break
        else:
            return


def _row(path: str, line: int | None, name: str) -> str:
    return f"    {path}:{line or '?'} in {name}"
