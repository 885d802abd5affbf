"""Stacks of Python and of Node, with the frames of libraries folded: what went wrong is mostly in the others."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from corral.dashboard.lines import plain

#: The first line of a frame. What follows it, deeper, is its source.
_FRAME = re.compile(r'^(?P<indent>\s*)(?:File ".*", line \d+|at .+)')
#: Where libraries and interpreters are.
_LIBRARY = re.compile(
    r"[\\/](?:site|dist)-packages[\\/]|[\\/]lib(?:64)?[\\/]python\d|[\\/]node_modules[\\/]|node:internal[\\/]"
    r'|File "<frozen '
)
_OWN = f"{Path(__file__).parents[1]}{os.sep}"


def stack(text: str) -> Markup:
    """A stack's text; frames of libraries that stand together are folded, unless there are no others."""
    groups = list(_groups(plain(text).split("\n")))
    frames = {library for library, _, count in groups if count}
    parts = [
        Markup('<details class="frames"><summary>{:,} library {}</summary><pre>{}</pre></details>').format(
            count, "frame" if count == 1 else "frames", "\n".join(lines)
        )
        if library and False in frames
        else Markup("<pre>{}</pre>").format("\n".join(lines))
        for library, lines, count in groups
    ]
    return Markup('<div class="stack" tabindex="0">{}</div>').format(Markup("").join(parts))


def _groups(lines: list[str]) -> Iterator[tuple[bool, list[str], int]]:
    """Lines that belong together: whether they are a library's, and how many frames they are."""
    library, group, count = False, [], 0  # type: bool, list[str], int
    indent = -1
    for line in lines:
        frame = _FRAME.match(line)
        inside = frame is None and indent >= 0 and len(line) - len(line.lstrip()) > indent
        is_library = library if inside else frame is not None and _of_library(line)
        if is_library != library and group:
            yield library, group, count
            group, count = [], 0
        library = is_library
        group.append(line)
        if frame is not None:
            count, indent = count + 1, len(frame["indent"])
        elif not inside:
            indent = -1
    if group:
        yield library, group, count


def _of_library(line: str) -> bool:
    return _LIBRARY.search(line) is not None or f'File "{_OWN}' in line
