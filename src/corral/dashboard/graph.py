"""A flow as a picture: layers from left to right, what goes first on the right, each job a link."""

from collections.abc import Mapping
from typing import cast

from markupsafe import Markup
from msgspec import Struct

from corral.http.models.links import part
from corral.plurals import plural

WIDE, TALL, GAP_X, GAP_Y = 168, 36, 48, 12
#: Larger flows are shown as a tree only.
MOST = 200
_NAME = 20

Node = Mapping[str, object]


class _Place(Struct):
    node: Node
    depth: int
    y: float
    parent: "_Place | None"
    has_failed: bool = False  #: it, or what it still waits for
    took: float = 0.0  #: how long it and the longest chain below it ran, in milliseconds
    longest: "_Place | None" = None  #: the first job of that chain
    is_critical: bool = False


def graph(root: Node, mount: str) -> Markup | None:
    """The picture; None when there are too many jobs, or only one."""
    places: list[_Place] = []
    if _lay(root, 0, 0.0, None, places) is None or len(places) < 2:
        return None
    chain: _Place | None = places[0] if places[0].took else None
    while chain is not None:
        chain.is_critical, chain = True, chain.longest
    width = (max(place.depth for place in places) + 1) * (WIDE + GAP_X) - GAP_X + 2
    height = max(place.y for place in places) + TALL + 2
    edges = Markup("").join(_edge(place) for place in places if place.parent is not None)
    boxes = Markup("").join(_box(place, mount) for place in places)
    label = f"{plural(len(places), 'job')} of the flow; the tree below says the same"
    return Markup(
        '<svg class="graph" viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" height="{1:.0f}" role="group" '
        'aria-label="{2}"><title>{2}</title>{3}{4}</svg>'
    ).format(width, height, label, edges, boxes)


def _lay(node: Node, depth: int, top: float, parent: _Place | None, places: list[_Place]) -> float | None:
    """Place a job in the middle of what is below it; answers where the next may begin, None when there are too many."""
    place = _Place(node, depth, top, parent)
    places.append(place)
    if len(places) > MOST:
        return None
    begin, children = top, cast("list[Node]", node["children"])
    for child in children:
        after = _lay(child, depth + 1, begin, place, places)
        if after is None:
            return None
        begin = after
    below = [other for other in places if other.parent is place]
    _add_up(place, below)
    if below:
        place.y = (below[0].y + below[-1].y) / 2
        return begin
    return top + TALL + GAP_Y


def _add_up(place: _Place, below: list[_Place]) -> None:
    """What is known of a job once all below it is: whether it waits for a failure, and how long its chain ran."""
    state, job = place.node["state"], place.node["job"]
    place.has_failed = state == "failed" or (state != "completed" and any(one.has_failed for one in below))
    ran = cast("Mapping[str, float | None]", job)["run_ms"] if job else None
    place.longest = max(below, key=lambda one: one.took, default=None)
    place.took = (ran or 0) + (place.longest.took if place.longest else 0)


def _edge(place: _Place) -> Markup:
    assert place.parent is not None
    x1, y1 = place.parent.depth * (WIDE + GAP_X) + WIDE, place.parent.y + TALL / 2
    x2, y2 = place.depth * (WIDE + GAP_X), place.y + TALL / 2
    middle = (x1 + x2) / 2
    kind = " ".join(word for word, is_so in (("failed", place.has_failed), ("critical", place.is_critical)) if is_so)
    return Markup('<path class="{}" d="M{:.0f} {:.0f}C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}"/>').format(
        kind, x1, y1, middle, y1, middle, y2, x2, y2
    )


def _box(place: _Place, mount: str) -> Markup:
    node = place.node
    x, y = place.depth * (WIDE + GAP_X) + 1, place.y + 1
    name = str(node["name"] or "gone")
    shown = name if len(name) <= _NAME else name[: _NAME - 1] + "…"
    state = str(node["state"] or "gone")
    href = f"{mount}/queues/{part(str(node['queue']))}/jobs/{part(str(node['id']))}"
    return Markup(
        '<a href="{}"><g class="box {}"><rect x="{:.0f}" y="{:.0f}" width="{}" height="{}" rx="6"/>'
        '<text x="{:.0f}" y="{:.0f}">{}</text><text class="sub" x="{:.0f}" y="{:.0f}">{}</text>'
        "<title>{} #{} in {}: {}</title></g></a>"
    ).format(
        href, state, x, y, WIDE - 2, TALL - 2, x + 10, y + 15, shown, x + 10, y + 28,
        state.replace("-", " on ", 1) if state == "waiting-children" else state, name, node["id"], node["queue"], state,
    )  # fmt: skip
