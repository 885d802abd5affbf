"""The templates' environment: everything is escaped, what is missing is an error, answers read as objects."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from corral._version import __version__
from corral.dashboard import columns, spark, words
from corral.dashboard.lines import plain
from corral.dashboard.stack import stack
from corral.dashboard.times import DEFAULT, Times
from corral.dashboard.tree import brief, tree, written
from corral.http.models.links import part

HERE = Path(__file__).parent
STATIC = HERE / "static"
#: From when on a look at all queues is slow enough to say so.
SLOW_MS = 1_000
#: And a worker's event loop late enough.
LATE_MS = 100


class _Environment(Environment):
    """Reads `queue.items` as the member of an answer, and not as the method of its dict."""

    def getattr(self, obj: object, attribute: str) -> object:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        found: object = super().getattr(obj, attribute)
        return found


@pass_context
def _ago(context: Context, text: str | None) -> Markup:
    return words.time(text, times=_times(context))


@pass_context
def _clock(context: Context, text: str | None, *, millis: bool = False) -> Markup:
    return words.clock(text, millis=millis, times=_times(context))


def _times(context: Context) -> Times:
    """How whoever the page is for wants moments told."""
    found: Times = getattr(context.get("visit"), "times", DEFAULT)
    return found


@cache
def environment() -> Environment:
    """The one environment of this process."""
    made = _Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.filters.update(
        ago=_ago, clock=_clock, duration=words.duration, millis=words.millis, number=words.number, part=part,
        seconds=words.seconds, share=words.share, short=words.short, size=words.size, tree=tree,
        brief=brief, change=words.change, hours=spark.hours, per_minute=columns.per_minute,
        per_second=words.per_second, plain=plain, stack=stack, together=columns.together, total=columns.total,
        written=written,
    )  # fmt: skip
    made.globals.update(bars=spark.bars, line=spark.line, version=_version(), release=__version__)
    made.globals.update(slow_ms=SLOW_MS, late_ms=LATE_MS)
    made.globals.update(columns=columns.COLUMNS, counted=columns.COUNTS, rows_of=columns.rows)
    return made


@cache
def _version() -> str:
    """Changes when a static file does: addresses with it in them may be kept for ever."""
    seen = sha256()
    for path in sorted(STATIC.iterdir()):
        seen.update(path.name.encode() + path.read_bytes())
    return seen.hexdigest()[:12]
