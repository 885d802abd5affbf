"""Which kind of failure an exception is: its type, its message without what differs from job to job, and where. Pure.

Two failures are of one kind when these three agree. "Where" is the application's own frames by module and function,
without line numbers, so that a new release that moves code keeps the kind. Nothing of the machine goes in: not the
folder, not an address in memory, not the process.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from types import CodeType, FrameType, TracebackType

from corral.error_text import leaves, text_of, told, unwrap
from corral.outcome import Failure

#: A message is for people to recognise; its beginning is enough to tell kinds apart.
MAX_MESSAGE = 200
#: Frames that count, the innermost ones. Recursion adds none: a function counts once.
MAX_FRAMES = 8
_PACKAGE = os.path.dirname(__file__) + os.sep
_HANDLERS = os.path.join(_PACKAGE, "handlers", "")
_STDLIB = os.path.dirname(os.__file__) + os.sep
_INSTALLED = re.compile(r"[\\/](?:site|dist)-packages[\\/]")
_MAIN = ("__main__", "__mp_main__")


def failure_of(error: BaseException) -> Failure:
    """The kind of a failure. Never raises, whatever the exception's methods do."""
    error = unwrap(error)
    kind, where = text_of(_kind(error)), _where(error)
    message = normalised(text_of(error))
    text = "\n".join((kind, message, *where))
    return Failure(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16], kind, message)


def _kind(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        inner = sorted({_kind(leaf) for leaf in leaves(error)})
        return f"{_type_name(error)}[{', '.join(inner[:5])}]"
    return _type_name(error)


def _type_name(error: BaseException) -> str:
    other = told(error)
    name = f"{type(error).__module__}.{type(error).__qualname__}" if other is None else other.type_name
    module, _, qualname = name.partition(".")
    if module in _MAIN:
        return f"{_main_name()}.{qualname}"
    return name.removeprefix("builtins.")


def _main_name() -> str:
    """The main file's own name: the same code may also be imported by it."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).stem if file else "__main__"


# -- where -----------------------------------------------------------------------------------------------------------


def _where(error: BaseException) -> tuple[str, ...]:
    other = told(error)
    return frames_of(error) if other is None else other.frames


def frames_of(error: BaseException) -> tuple[str, ...]:
    """The application's frames of a traceback as "module:function", outermost first.

    Of an application that is installed like a library, all frames but those of the standard library and corral.
    """
    ranked = [(_rank(frame.f_code.co_filename), frame) for frame in _frames(error.__traceback__)]
    best = min((rank for rank, _ in ranked), default=2)
    names = [_frame_name(frame) for rank, frame in ranked if rank == best < 2]
    return tuple(dict.fromkeys(names))[-MAX_FRAMES:]


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


@lru_cache(maxsize=4096)
def _rank(filename: str) -> int:
    """0: the application's own code; 1: a library's; 2: the interpreter's or corral's."""
    if filename.startswith(_PACKAGE):
        return 0 if filename.startswith(_HANDLERS) else 2
    if _INSTALLED.search(filename):
        return 1
    return 2 if filename.startswith((_STDLIB, "<")) else 0


def _frame_name(frame: FrameType) -> str:
    code: CodeType = frame.f_code
    module = frame.f_globals.get("__name__", "")
    if module in _MAIN:
        module = Path(code.co_filename).stem
    return f"{module}:{code.co_qualname}"


# -- what ------------------------------------------------------------------------------------------------------------

#: Compiled by the first failure: that takes as long as importing five modules.
_VARIABLE = r"""
      (?P<text> (?<!\w)'[^'\n]*'(?!\w) | "[^"\n]*" | `[^`\n]*` | “[^”\n]*” | «[^»\n]*» )
    | (?P<url> \b[a-z][a-z0-9+.-]*://[^\s'"<>]+ )
    | (?P<email> [\w.+-]+@[\w-]+(?:\.[\w-]+)+ )
    | (?P<time> \b\d{4}-\d\d-\d\d(?:[T\ ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|\ ?[+-]\d\d:?\d\d)?)?
              | \b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b )
    | (?P<address> \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b | (?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}(?![\w:]) )
    | (?P<path> (?<![\w/\\.])(?:~|\.{1,2}|[a-z]:)?(?:[\\/][^\s\\/:;,'"<>|()\[\]]+)+[\\/]? )
    | (?P<id> \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b | \b0x[0-9a-f]+ | \b(?=\w*\d\w*\d)\w{8,}\b )
    | (?P<number> (?:(?<!\w)[-+])?\d+(?:[.,_]\d+)*(?:e[-+]?\d+)? )
    """
_NAMED = {"number": "#", "id": "#"}


@cache
def _variable() -> re.Pattern[str]:
    return re.compile(_VARIABLE, re.VERBOSE | re.IGNORECASE)


def normalised(message: str) -> str:
    """A message with everything left out that differs between failures of one kind.

    Quoted text, URLs, mail addresses, times, network addresses, paths, ids, hexadecimal and other numbers.
    """
    short = _variable().sub(_placeholder, message)
    return " ".join(short.split())[:MAX_MESSAGE]


def _placeholder(found: re.Match[str]) -> str:
    kind = found.lastgroup or ""
    return _NAMED.get(kind, f"<{kind}>")
