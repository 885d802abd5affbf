"""A payload as a tree that folds: made from the stored text, numbers as they were written, keys in their order."""

import json
from collections.abc import Callable, Mapping

from markupsafe import Markup

from corral.dashboard.asking import Verbatim

#: What is unfolded at first: this deep, and as long as it has no more than so many members.
OPEN_DEPTH, OPEN_MEMBERS = 2, 30
#: What is shown of a list or an object; the rest is in the download.
MOST_MEMBERS, MOST_NODES = 200, 4_000
LONG_TEXT = 2_000
HIDDEN = "••••"


class _Number(str):
    """A number's text."""


class _Pairs(list[tuple[str, object]]):
    """An object's members, in their order, repeated names among them."""


def tree(text: str) -> Markup:
    """JSON text as nested `<details>`; text that is no JSON as it is."""
    try:
        value = json.loads(
            text, parse_int=_Number, parse_float=_Number, parse_constant=_Number, object_pairs_hook=_Pairs
        )
    except (ValueError, RecursionError):
        return Markup('<pre class="text" tabindex="0">{}</pre>').format(text)
    left = [MOST_NODES]
    return Markup('<div class="json" tabindex="0">{}</div>').format(_node(value, 0, left))


def _node(value: object, depth: int, left: list[int]) -> Markup:
    left[0] -= 1
    if left[0] <= 0:
        return Markup('<span class="more">…</span>')
    if isinstance(value, _Pairs):
        return _nest(value, "{", "}", depth, left, lambda one: _member(one, depth, left))
    if isinstance(value, list):
        return _nest(value, "[", "]", depth, left, lambda one: _node(one, depth + 1, left))
    return _leaf(value)


def _member(pair: object, depth: int, left: list[int]) -> Markup:
    assert isinstance(pair, tuple)
    name, value = pair
    return Markup('<span class="key">{}</span>: {}').format(
        json.dumps(name, ensure_ascii=False), _node(value, depth + 1, left)
    )


def _nest(
    members: list[object] | _Pairs, begin: str, end: str, depth: int, left: list[int], one: Callable[[object], Markup]
) -> Markup:
    if not members:
        return Markup('<span class="empty">{}{}</span>').format(begin, end)
    shown = [Markup("<li>{}</li>").format(one(member)) for member in members[:MOST_MEMBERS]]
    if len(members) > MOST_MEMBERS:
        shown.append(Markup('<li class="more">… {:,} more</li>').format(len(members) - MOST_MEMBERS))
    count = f"{len(members):,} {'members' if begin == '{' else 'items'}" if len(members) > 1 else "1"
    is_open = Markup(" open") if depth < OPEN_DEPTH and len(members) <= OPEN_MEMBERS else ""
    return Markup(
        '<details{}><summary><span class="brace">{}</span><span class="count">{}</span>'
        '<span class="brace end">{}</span></summary><ul>{}</ul><span class="brace">{}</span></details>'
    ).format(is_open, begin, count, end, Markup("").join(shown), end)


def _leaf(value: object) -> Markup:
    if isinstance(value, _Number):
        return Markup('<span class="num">{}</span>').format(value)
    if isinstance(value, str):
        if value == HIDDEN:
            return Markup('<span class="hidden" title="hidden from you">{}</span>').format(value)
        cut = value if len(value) <= LONG_TEXT else value[:LONG_TEXT] + "…"
        return Markup('<span class="str">{}</span>').format(json.dumps(cut, ensure_ascii=False))
    return Markup('<span class="word">{}</span>').format(json.dumps(value))


def written(value: object) -> str:
    """What was read of an answer, as JSON again: keys in their order, numbers as they were written, a member a line."""
    return _pretty(_as_read(value), 0)


def brief(value: object) -> str:
    """The same in one line."""
    return _brief(_as_read(value))


def _as_read(value: object) -> object:
    if isinstance(value, Verbatim):
        return _Number(value.text)
    if isinstance(value, Mapping):
        return _Pairs((str(name), _as_read(one)) for name, one in value.items())
    return [_as_read(one) for one in value] if isinstance(value, list | tuple) else value


def _brief(value: object) -> str:
    if isinstance(value, _Pairs):
        return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {_brief(one)}" for name, one in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_brief, value)) + "]"
    return _pretty(value, 0)


def pretty(text: str) -> str:
    """JSON text, a member a line; numbers as they were written."""
    try:
        value = json.loads(text, parse_int=_Number, parse_float=_Number, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return text
    return _pretty(value, 0)


def _pretty(value: object, depth: int) -> str:
    pad, inner = "  " * depth, "  " * (depth + 1)
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, _Pairs) and value:
        rows = [f"{inner}{json.dumps(name, ensure_ascii=False)}: {_pretty(one, depth + 1)}" for name, one in value]
        return "{\n" + ",\n".join(rows) + f"\n{pad}}}"
    if isinstance(value, list) and value:
        rows = [f"{inner}{_pretty(one, depth + 1)}" for one in value]
        return "[\n" + ",\n".join(rows) + f"\n{pad}]"
    return "{}" if isinstance(value, _Pairs) else json.dumps(value, ensure_ascii=False)
