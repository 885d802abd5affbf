"""Raw paths: an id may hold `/` and `%`. A server decodes a path before it is routed, and then `a%2Fb` is two parts.

So a route is matched against the path as it was sent, in which only these two stay encoded, and they are decoded when
the part they stand in is known.
"""

import re
from urllib.parse import unquote

from starlette.types import Scope

from corral.http.models.links import meant

#: In a child scope: its path parameters still hold the two.
RAW = "corral.raw"
#: In a scope: what `raw_path` has found.
CACHED = "corral.path"
_KEPT = re.compile(r"%(2f|25)", re.IGNORECASE)


def raw_path(scope: Scope) -> str | None:
    """The path with `%2F` and `%25` still encoded; None when it has neither, or what was sent is not known."""
    if CACHED not in scope:
        scope[CACHED] = _kept(scope)
    found: str | None = scope[CACHED]
    return found


def _kept(scope: Scope) -> str | None:
    sent = scope.get("raw_path")
    if not isinstance(sent, bytes) or b"%" not in sent:
        return None
    text = sent.partition(b"?")[0].decode("latin-1")
    if not _KEPT.search(text) or unquote(text) != scope["path"]:  # somebody in front has changed the path
        return None
    return unquote(_KEPT.sub(lambda found: f"%25{found[1]}", text))


def decoded(value: object) -> object:
    """A path parameter as it was meant."""
    if not isinstance(value, str):
        return value
    return meant(_KEPT.sub(lambda found: "/" if found[1].lower() == "2f" else "%", value))
