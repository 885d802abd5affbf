"""HTML: one file that needs no other, and runs nothing."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from jinja2 import DictLoader, StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment

from corral.handlers.reports.document import Document
from corral.handlers.reports.output.pictures import pictures
from corral.handlers.reports.output.view import Facts, view_of

#: More would make a browser stand still.
MAX_ROWS = 5_000


def to_html(document: Document, facts: Facts) -> bytes:
    """A document as a page. Its texts are shown as they are: HTML in them is text."""
    view = view_of(document, facts, pictures(document), max_rows=MAX_ROWS)
    return _template().render(view=view).encode("utf-8")


@cache
def _template() -> Template:
    source = (files("corral.handlers.reports.output") / "templates" / "report.html").read_text(encoding="utf-8")
    sources: Mapping[str, str] = {"report.html": source}
    environment = SandboxedEnvironment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html")
