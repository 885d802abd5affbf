"""S-46: whatever texts a report has, its outputs show them. Nothing is run, opened, fetched or calculated for them."""

import csv
import re
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO, StringIO
from zipfile import ZipFile

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from corral.handlers.reports import Chart, Column, Document, Figure, Series, Table
from corral.handlers.reports.output.formats import Format
from corral.handlers.reports.output.render import render
from corral.handlers.reports.sources.files import InputFile, InputFileError, parse_xml

NOW = 1_760_004_000_000
MARKUP = [
    "<script>alert(1)</script>", "</title><script>alert(1)</script>", "</style><script>alert(1)</script>",
    "</svg><script>alert(1)</script>", "</text><image href='http://evil.example/x'/>", "<img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)", "' onfocus='alert(1)' autofocus='", "<svg/onload=alert(1)>", "]]><script>1</script>",
    "<!--", "--><b>", "<iframe src=//evil.example>", "<base href=//evil.example/>", "<link rel=stylesheet href=//e.x>",
    "<meta http-equiv=refresh content=0;url=//e.x>", "<a href=javascript:alert(1)>x</a>",
    "<style>@import '//e.x'</style>",
    "&lt;b&gt; &amp; &#60;script&#62;", "\u2028<script>\u2029", "<\x00script>", "url(http://evil.example/x)",
    "{{7*7}}", "{% include '/etc/passwd' %}", "{{ ''.__class__.__mro__ }}", "{{ cycler.__init__.__globals__ }}",
]  # fmt: skip
TYPST = [
    '#read("/etc/passwd")', '#image("/etc/passwd")', '#include "/etc/passwd"', '#import "@preview/x:1.0.0"',
    '#eval("1")', "#panic()", '#link("http://evil.example")[x]', "$ sum $", "*bold* _it_ `raw`", "= Heading", "<label>",
    "@ref", "#{7 * 7}", "#let x = 1", '#plugin("x.wasm")', "\\u{41}", '"#read("/etc/passwd")',
    "]#read(\"/etc/passwd\")[",
]  # fmt: skip
MATPLOTLIB = ["$\\frac{1}{0}$", "$x$", "\\input{/etc/passwd}", "_label", "$" * 3, "%d%s%n"]
FORMULAS = [
    '=HYPERLINK("http://evil.example","x")', "=1+1", "+1+1", "-1+1", "@SUM(1)", "=cmd|' /C calc'!A0", "\t=1+1",
    "\r=1+1", "\n=1+1", " =1+1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(1)", '"=1+1', "'=1+1", "=DDE(1)",
    '=WEBSERVICE("http://evil.example")', '=IMPORTXML("http://evil.example","//a")', "\u200b=1+1", "\ufeff=1+1",
    "\u00a0=1+1", "\x0b=1+1",
]  # fmt: skip
HOSTILE = [*MARKUP, *TYPST, *MATPLOTLIB, *FORMULAS]


def document(*texts: str) -> Document:
    """A report in which every text that there can be is one of these."""
    first = texts[0]
    series = (Series(name=first, values=tuple(map(float, range(1, len(texts) + 1)))),)
    return Document(
        title=first, subject=first, period=first, summary=texts, notes=texts,
        figures=tuple(Figure(label=text, value=text, kind="text", unit=text[:3], hint=text) for text in texts),
        charts=(
            Chart(title=first, labels=texts, series=series),
            Chart(title=first, labels=texts, kind="rank", unit=first[:3], series=series),
        ),
        tables=(
            Table(
                title=first, note=first, empty=first, main=True,
                columns=(Column(first), Column(first, "code"), Column(first, "status"), Column(first, wide=True)),
                rows=tuple((text, text, text, text) for text in texts),
            ),
            Table(title=first, columns=(Column(first),), rows=(), empty=first),
        ),
    )  # fmt: skip


def rendered(form: Format, *texts: str) -> bytes:
    return render(document(*texts), form, made_at=NOW, made=texts[0], brand=texts[0]).body


class Shape(HTMLParser):
    """What a page is made of: its elements with the names of their attributes, and where they lead."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[tuple[str, ...]] = Counter()
        self.leads: list[str] = []
        self.words: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[(tag, *sorted(name for name, _ in attrs))] += 1
        self.leads += [value or "" for name, value in attrs if name.endswith(("href", "src")) or name == "action"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.elements[("comment",)] += 1


def harmless(text: str) -> str:
    """As long and as many words, and nothing but letters."""
    return re.sub(r"\S", "x", text) or "x"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_has_the_same_elements_whatever_its_texts_are(text: str) -> None:
    hostile, plain = Shape(rendered("html", text)), Shape(rendered("html", harmless(text)))
    assert set(hostile.elements) - {("bdi", "dir")} <= set(plain.elements) | {("bdi",)}
    assert {tag for tag, *_ in hostile.elements} & {
        "script",
        "iframe",
        "img",
        "image",
        "object",
        "embed",
        "base",
    } == set()
    assert not any(name.startswith("on") for _, *names in hostile.elements for name in names)
    assert [lead for lead in hostile.leads if not lead.startswith("#")] == []


def test_a_page_with_all_of_them_at_once_is_a_page() -> None:
    page = Shape(rendered("html", *HOSTILE))
    assert "<script>alert(1)</script>" in "".join(page.words)
    assert "{{7*7}}" in "".join(page.words)
    assert not any(tag == "script" for tag, *_ in page.elements)


def test_a_spreadsheet_has_no_formula_link_or_macro() -> None:
    body = rendered("xlsx", *HOSTILE)
    book = load_workbook(BytesIO(body))
    cells = [cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert len(cells) > 4 * len(HOSTILE)
    assert [cell.value for cell in cells if cell.data_type == "f"] == []
    assert [cell.value for cell in cells if cell.hyperlink is not None] == []
    names = ZipFile(BytesIO(body)).namelist()
    assert [name for name in names if re.search("vba|externalLink|macro|embed|connections", name, re.IGNORECASE)] == []
    assert any(cell.value == "=1+1" for cell in cells)  # shown as it is, and a text


def test_no_cell_of_a_csv_file_is_taken_for_a_formula() -> None:
    text = rendered("csv", *HOSTILE).decode("utf-8-sig")
    cells = [cell for row in csv.reader(StringIO(text, newline="")) for cell in row]
    assert len(cells) == 4 * (len(HOSTILE) + 1)
    # What programs may drop before they look: white space, and marks that nobody sees.
    begins = [re.sub(r"^[\s\u200b\ufeff\x00-\x1f]+", "", cell)[:1] for cell in cells]
    assert set(begins) & set("=+-@\uff1d\uff0b\uff0d\uff20") == set()


@pytest.mark.slow
def test_a_pdf_shows_what_would_be_code_and_opens_nothing() -> None:
    reader = PdfReader(BytesIO(rendered("pdf", *HOSTILE)))
    shown = "".join(page.extract_text() for page in reader.pages).replace("\u200b", "").replace("\n", "")
    assert "root:" not in shown
    assert '#read("/etc/passwd")' in shown.replace(" ", "").replace("”", '"').replace("“", '"')
    raw = repr([reader.trailer["/Root"], *(page.get_object() for page in reader.pages)])
    assert re.findall(r"/(JavaScript|JS|Launch|URI|EmbeddedFile|OpenAction|AA)\b", raw) == []


@pytest.mark.parametrize("form", ["html", "pdf", "xlsx", "csv", "json"])
def test_every_form_survives_texts_that_are_no_text(form: Format) -> None:
    odd = ["\x00\x01\x1b[31m", "\ud800", "\udfff\ud83d", "a" * 40_000, "\u202e\u2066", "\ufffe", ""]
    assert rendered(form, *odd)


# -- files of other tools ----------------------------------------------------------------------------------------------

BOMB = "<!DOCTYPE x [<!ENTITY a 'lol'>" + "".join(
    f"<!ENTITY {name} '{f'&{before};' * 10}'>" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
XML = {
    "a bomb": f"{BOMB}]><testsuites>&i;</testsuites>",
    "a file": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuites>&e;</testsuites>',
    "an address": '<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1:9/x">]><testsuites>&e;</testsuites>',
    "a parameter": '<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:9/x"> %e;]><testsuites/>',
    "blown up": f"<!DOCTYPE x [<!ENTITY e '{'x' * 100_000}'>]><testsuites>{'&e;' * 10_000}</testsuites>",
}


@pytest.mark.parametrize("content", XML.values(), ids=XML)
def test_xml_with_entities_is_refused_before_it_grows_or_reads(content: str) -> None:
    with pytest.raises(InputFileError):
        parse_xml(InputFile(name="junit.xml", content=content.encode(), at=NOW))


def test_the_time_of_a_report_is_the_clocks() -> None:
    made = datetime.fromtimestamp(NOW / 1000, UTC)
    reader = PdfReader(BytesIO(rendered("pdf", "x")))
    assert reader.metadata is not None
    assert reader.metadata.creation_date == made.replace(microsecond=0)
