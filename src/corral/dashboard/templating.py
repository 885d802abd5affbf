"""The templates' environment: everything is escaped, what is missing is an error, answers read as objects."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from corral.dashboard import spark, words
from corral.dashboard.tree import tree
from corral.http.models.links import part

HERE = Path(__file__).parent
STATIC = HERE / "static"


class _Environment(Environment):
    """Reads `queue.items` as the member of an answer, and not as the method of its dict."""

    def getattr(self, obj: object, attribute: str) -> object:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        found: object = super().getattr(obj, attribute)
        return found


@cache
def environment() -> Environment:
    """The one environment of this process."""
    made = _Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.filters.update(
        ago=words.time, clock=words.clock, duration=words.duration, millis=words.millis, number=words.number, part=part,
        seconds=words.seconds, share=words.share, short=words.short, size=words.size, tree=tree,
    )  # fmt: skip
    made.globals.update(bars=spark.bars, line=spark.line, version=_version())
    return made


@cache
def _version() -> str:
    """Changes when a static file does: addresses with it in them may be kept for ever."""
    seen = sha256()
    for path in sorted(STATIC.iterdir()):
        seen.update(path.name.encode() + path.read_bytes())
    return seen.hexdigest()[:12]
