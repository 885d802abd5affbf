"""One document as one file."""

from pathlib import Path

from msgspec import Struct, to_builtins
from msgspec.json import encode

from corral.errors import ConfigError
from corral.handlers.reports.document import Document
from corral.handlers.reports.output.csv import to_csv
from corral.handlers.reports.output.formats import FACTS, Format, need_format
from corral.handlers.reports.output.view import Facts
from corral.handlers.reports.words import clean


class Rendered(Struct, frozen=True):
    """A document as a file."""

    format: Format
    content_type: str
    body: bytes
    unshown: str = ""  #: scripts of which it shows boxes, because no font has them

    def __repr__(self) -> str:
        return f"<Rendered {self.format} of {len(self.body):,} bytes>"


def render(
    document: Document, form: Format, *, made_at: int, made: str = "", brand: str = "corral", pdf_rows: int = 1_000,
    fonts: Path | None = None,
) -> Rendered:  # fmt: skip
    """Make a file of a document. Blocking: call it from a thread.

    Args:
        made_at: milliseconds since the epoch; `made` is the same in words, as the foot shows it.
        pdf_rows: how many rows of each table a PDF shows.
        fonts: a folder with fonts for PDF.

    Raises:
        ConfigError: a format that is not known, or that needs a package which is missing.
    """
    if form not in FACTS:
        raise ConfigError(f"format {form!r} is not known; there are {', '.join(FACTS)}", key="format")
    need_format(form)
    facts = Facts(brand=brand, made=made)
    if form == "pdf":
        from corral.handlers.reports.output.pdf import to_pdf

        pdf = to_pdf(document, facts, made_at=made_at, max_rows=pdf_rows, fonts=fonts)
        return Rendered(form, FACTS[form].content_type, pdf.body, pdf.unshown)
    return Rendered(form, FACTS[form].content_type, _body(document, form, facts, made_at))


def _body(document: Document, form: Format, facts: Facts, made_at: int) -> bytes:
    # Each brings a library along: only what is asked for is loaded.
    if form == "html":
        from corral.handlers.reports.output.html import to_html

        return to_html(document, facts)
    if form == "xlsx":
        from corral.handlers.reports.output.xlsx import to_xlsx

        return to_xlsx(document, facts, made_at=made_at)
    if form == "csv":
        return to_csv(document)
    return encode({**_cleaned(document), "brand": facts.brand, "made": facts.made}) + b"\n"


def _cleaned(document: Document) -> dict[str, object]:
    """A document as JSON has it, without what no JSON may have: halves of surrogate pairs."""

    def walk(value: object) -> object:
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, list | tuple):
            return [walk(one) for one in value]
        return {key: walk(one) for key, one in value.items()} if isinstance(value, dict) else value

    return {key: walk(value) for key, value in to_builtins(document).items()}
