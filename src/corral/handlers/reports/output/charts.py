"""Charts as SVG. Their texts stay text: a browser or typst sets them, in any script, and they can be searched."""

import re
from typing import NamedTuple

from corral.handlers.kit.extra import need
from corral.handlers.reports.document import Chart
from corral.handlers.reports.output.stand_ins import INK, Texts

_NAMED = re.compile(r'(?<=<g) id="[^"]*"')  # groups are named alike in every chart, and a page has several
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)  # would hold for the whole page
_FAMILY = re.compile(r"font-family: [^;\"]*|(?<=px) 'DejaVu Sans'[^;\"]*")
_FONT = re.compile(r"font: (?:(\d+) )?([\d.]+px)(?: [^;\"]*)?")


class Look(NamedTuple):
    """What a chart is to fit in with."""

    ink: str = "currentColor"
    family: str = "inherit"


def draw(chart: Chart, *, wide: bool = False, look: Look | None = None, salt: str = "corral") -> str:
    """Draw a chart: an `<svg>` element. Blocking, for about 50 ms.

    Args:
        wide: take the room of two.
        salt: charts on one page need different ones, for the names in them must not clash.

    Raises:
        ConfigError: matplotlib is missing.
    """
    need("reports", "matplotlib")
    from corral.handlers.reports.output.drawing import svg_of  # half a second: matplotlib

    texts = Texts()
    return _finish(svg_of(chart, texts, wide=wide, salt=salt), texts, look or Look())


def _finish(svg: str, texts: Texts, look: Look) -> str:
    svg = svg[svg.index("<svg") :]
    svg = _NAMED.sub("", _STYLE.sub("", svg)).replace("<defs>\n  \n </defs>", "")
    svg = svg.replace("<svg ", '<svg style="stroke-linejoin: round; stroke-linecap: butt" ', 1)
    svg = _FONT.sub(lambda match: f"font-weight: {match[1] or 400}; font-size: {match[2]}; font-family: x", svg)
    svg = _FAMILY.sub(f"font-family: {look.family}", svg)
    # The size is the page's business, the proportions are in the view box.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    return texts.restore(svg.replace(INK, look.ink)).strip()
