"""What each output makes of a report, opened with another library and read."""

import csv
import io
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from corral.errors import ConfigError
from corral.handlers.reports import Chart, Column, Document, Figure, Series, Table, available, render
from corral.handlers.reports.output.charts import draw
from corral.handlers.reports.output.typesetting import Sheet, TypesettingError, typeset

from .samples import ARABIC, LONG, NOW, document

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "＋1", "－1", "＠1", '=HYPERLINK("x")']  # noqa: RUF001


def made(form: str, what: Document | None = None, **options: object) -> bytes:
    return render(what or document(), form, made_at=NOW, made="2025-10-09 10:00 UTC", **options).body  # type: ignore[arg-type]


def pdf_text(body: bytes) -> str:
    """The text of a PDF, without the spaces of no width at which long words may be broken."""
    pages = PdfReader(io.BytesIO(body)).pages
    return "\n".join(page.extract_text() for page in pages).replace("\u200b", "")


def table_of(*cells: object, kind: str = "text") -> Document:
    rows = tuple((cell,) for cell in cells)
    return Document(title="T", tables=(Table(title="T", columns=(Column("Cell", kind),), rows=rows),))  # type: ignore[arg-type]


# -- HTML --------------------------------------------------------------------------------------------------------------


def test_html_shows_texts_as_texts() -> None:
    page = made("html").decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Rowing &amp; Co &lt;b&gt;" in page
    assert "$x$ #let *bold* [link] `code`" in page


def test_html_needs_no_other_file_and_runs_nothing() -> None:
    page = made("html").decode()

    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert re.findall(r"url\((?!#)", page) == []
    assert [bad for bad in ("<script", "<link", "<iframe", "@import", "src=", "onload") if bad in page.lower()] == []


def test_html_has_figures_changes_tables_and_charts() -> None:
    page = made("html").decode()

    assert "+12% from 75" in page
    assert "−2.5 points from 90%" in page
    assert "€1,234.50" in page
    assert page.count("<svg") == 2
    assert "Mood: Mood; Mon to Wed; between 3.5 and 4" in page
    assert f'dir="auto">{LONG}</td>' in page
    assert "Nothing in this period." in page


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_a_column_of_texts_in_which_nothing_stands_is_left_out_of_what_people_read(form: str) -> None:
    columns = (Column("Name"), Column("Unwritten"), Column("Count", "number"))
    what = Document(title="T", tables=(Table(title="T", columns=columns, rows=(("a", "", None), ("b", None, None))),))
    text = made("html", what).decode() if form == "html" else pdf_text(made("pdf", what))

    assert "Unwritten" not in text
    assert "Count" in text
    assert b"Unwritten" in made("csv", what)


def test_html_says_how_many_rows_it_leaves_out() -> None:
    page = made("html", table_of(*range(5_003), kind="number")).decode()

    assert page.count("<tr>") == 5_001
    assert "The first 5,000 rows; 3 more are in the spreadsheet." in page


# -- charts ------------------------------------------------------------------------------------------------------------


def test_a_chart_is_an_svg_whose_texts_can_be_read_and_searched() -> None:
    svg = draw(document().charts[1])
    texts = [one.text for one in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]

    assert {"Åsa", ARABIC, "$Bob$ <i>", "9"} <= set(texts)


def test_the_same_chart_is_the_same_bytes_and_two_on_a_page_share_no_names() -> None:
    chart = document().charts[0]

    assert draw(chart, salt="a") == draw(chart, salt="a")
    names = [
        {one.get("id") for one in ElementTree.fromstring(draw(chart, salt=salt)).iter() if one.get("id")}
        for salt in "ab"
    ]
    assert names[0]
    assert names[0] & names[1] == set()


def test_a_chart_brings_no_style_that_would_hold_for_the_whole_page() -> None:
    svg = draw(document().charts[0])

    assert "<style" not in svg
    assert "DejaVu" not in svg
    assert "currentColor" in svg


@pytest.mark.parametrize("kind", ["line", "bar", "stacked", "rank"])
@pytest.mark.parametrize("values", [(0.0, 0.0), (None, None), (5.0, None), (-3.0, 4.0), (1e12, 1e-9)])
def test_every_kind_of_chart_takes_whatever_there_is(kind: str, values: tuple[float | None, ...]) -> None:
    chart = Chart(title="T", labels=("日本語", "b" * 200), series=(Series(name="$S_1$", values=values),), kind=kind)  # type: ignore[arg-type]

    assert ElementTree.fromstring(draw(chart)).tag.endswith("svg")


def test_a_chart_whose_series_do_not_fit_its_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="series 'S' of chart 'T' has 1 values for 2 labels"):
        Chart(title="T", labels=("a", "b"), series=(Series(name="S", values=(1.0,)),))


def test_a_table_whose_rows_do_not_fit_its_columns_is_refused() -> None:
    with pytest.raises(ConfigError, match="row 2 of table 'T' has 2 cells for 1 columns"):
        Table(title="T", columns=(Column("A"),), rows=((1,), (1, 2)))


# -- PDF ---------------------------------------------------------------------------------------------------------------


def test_a_pdf_has_every_text_and_reads_none_as_mark_up() -> None:
    text = pdf_text(made("pdf"))

    assert "Weekly team report" in text
    assert "Rowing & Co <b>" in text
    assert "$x$ #let *bold* [link] `code` <script>alert(1)</script>" in " ".join(text.split())
    assert "−2.5 points from 90%" in text
    assert "€1,234.50" in text
    assert "Times are in UTC." in text


def test_a_long_word_in_a_pdf_is_broken_and_none_of_it_is_lost() -> None:
    assert LONG in "".join(pdf_text(made("pdf")).split())


@pytest.mark.parametrize(
    "text",
    ["#read(\"/etc/passwd\")", "#include \"/etc/hosts\"", "$ integral $", "= Heading", "*bold* _it_", "@ref <label>",
     "#panic()", "```raw```", "\\u{41}", "https://example.org", "// comment", "[x](y)"],
)  # fmt: skip
def test_what_would_be_mark_up_is_a_text(text: str) -> None:
    what = Document(
        title=text, subject=text, period=text, summary=(text,), notes=(text,),
        figures=(Figure(label=text, value=text, hint=text),),
        tables=(Table(title=text, columns=(Column(text),), rows=((text,),)),),
    )  # fmt: skip

    assert "".join(pdf_text(made("pdf", what)).split()).count("".join(text.split())) >= 8


def test_a_long_table_repeats_its_head_on_each_page_and_numbers_the_pages() -> None:
    body = made("pdf", table_of(*range(200), kind="number"), pdf_rows=150)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(body)).pages]

    assert len(pages) > 2
    assert all("Cell" in page for page in pages)
    assert f"1 / {len(pages)}" in pages[0]
    assert "The first 150 rows; 50 more are in the spreadsheet." in " ".join(pages)


def test_the_same_report_is_the_same_pdf() -> None:
    assert made("pdf") == made("pdf")


def test_a_pdf_knows_its_title_and_when_it_was_made() -> None:
    facts = PdfReader(io.BytesIO(made("pdf"))).metadata
    assert facts is not None

    assert facts.title == "Weekly team report"
    assert facts.creation_date == datetime.fromtimestamp(NOW / 1000, UTC)


def test_a_report_with_nothing_in_it_is_still_a_report() -> None:
    empty = Document(title="Empty")

    assert "Empty" in pdf_text(made("pdf", empty))
    assert b"Empty" in made("html", empty)
    assert load_workbook(io.BytesIO(made("xlsx", empty))).sheetnames == ["Summary"]
    assert made("csv", empty).decode("utf-8-sig") == "Figure,Value,Unit,Before\r\n"


@pytest.mark.parametrize("form", ["html", "pdf", "xlsx", "csv", "json"])
def test_characters_that_nobody_can_see_stop_no_output(form: str) -> None:
    bad = "a\x00b\x1b]0;x\x07c\ufffe\u202ed\ud800e"
    what = Document(
        title=bad, subject=bad, summary=(bad,), figures=(Figure(label=bad, value=bad),),
        charts=(Chart(title=bad, labels=(bad,), series=(Series(name=bad, values=(1.0,)),), kind="rank"),),
        tables=(Table(title=bad, columns=(Column(bad),), rows=((bad,),)),),
    )  # fmt: skip

    body = made(form, what)

    assert b"\x1b" not in body or form in ("pdf", "xlsx")
    assert b"\xe2\x80\xae" not in body


# -- XLSX --------------------------------------------------------------------------------------------------------------


def test_a_workbook_has_real_numbers_shares_times_and_texts() -> None:
    book = load_workbook(io.BytesIO(made("xlsx")))
    sheet = book["People"]
    name, checkins, reached, state, seen, file = sheet[2]

    assert book.sheetnames == ["Summary", "People", "Nothing", "Charts"]
    assert [cell.value for cell in sheet[1]] == ["Name", "Check-ins", "Reached", "State", "Seen", "File"]
    assert (name.value, checkins.value, state.value, file.value) == (ARABIC, 0, "failed", "src/a.py")
    assert (reached.value, reached.number_format) == (0.5, "0.0%")
    assert seen.value == datetime(2025, 10, 1, 12, 3)  # noqa: DTZ001  # a spreadsheet knows no zones
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:F4")


def test_a_workbook_has_charts_of_its_own_that_refer_to_numbers_beside_them() -> None:
    sheet = load_workbook(io.BytesIO(made("xlsx")))["Charts"]

    assert len(sheet._charts) == 2
    assert [cell.value for cell in sheet["A"]][:5] == ["Mood", "", "Mon", "Tue", "Wed"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_becomes_a_formula_in_a_workbook(text: str) -> None:
    what = Document(
        title=text, subject=text, figures=(Figure(label=text, value=text),), notes=(text,),
        charts=(Chart(title=text, labels=(text,), series=(Series(name=text, values=(1.0,)),), kind="bar"),),
        tables=(Table(title=text, columns=(Column(text),), rows=((text,),)),),
    )  # fmt: skip
    book = load_workbook(io.BytesIO(made("xlsx", what)))

    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None}
    assert kinds <= {"s", "n"}


def test_sheets_whose_names_clash_or_are_forbidden_get_others() -> None:
    tables = tuple(
        Table(title=title, columns=(Column("A"),), rows=((1,),))
        for title in ("a/b:c*?[x]", "A B C", "x" * 50, "X" * 50, "History", "'", "", "Summary")
    )
    names = load_workbook(io.BytesIO(made("xlsx", Document(title="T", tables=tables)))).sheetnames

    assert len({name.lower() for name in names}) == 9
    assert max(map(len, names)) <= 31


def test_numbers_that_a_spreadsheet_could_not_keep_are_written_as_texts() -> None:
    what = table_of(2**80, float("nan"), float("inf"), -1.5, True, kind="number")
    cells = [row[0].value for row in load_workbook(io.BytesIO(made("xlsx", what)))["T"].iter_rows(min_row=2)]

    assert cells == ["1,208,925,819,614,629,174,706,176", "–", "–", -1.5, True]


def test_money_durations_and_days_are_numbers_with_a_shape() -> None:
    columns = (Column("M", "money", "EUR"), Column("S", "seconds"), Column("D", "date"))
    what = Document(title="T", tables=(Table(title="T", columns=columns, rows=((1234.5, 90.0, date(2025, 10, 1)),)),))
    money, seconds, day = load_workbook(io.BytesIO(made("xlsx", what)))["T"][2]

    assert (money.value, money.number_format) == (1234.5, '"€"#,##0.00')
    assert (seconds.value, seconds.number_format) == (90, '0.0" s"')
    assert (day.value, day.number_format) == (datetime(2025, 10, 1), "yyyy-mm-dd")  # noqa: DTZ001


# -- CSV and JSON ------------------------------------------------------------------------------------------------------


def test_a_csv_is_the_main_table() -> None:
    body = made("csv")
    rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))

    assert body.startswith(b"\xef\xbb\xbf")
    assert rows[0] == ["Name", "Check-ins", "Reached", "State", "Seen", "File"]
    assert rows[1] == [ARABIC, "0", "50.0", "failed", "2025-10-01 12:03:00+00:00", "src/a.py"]
    assert len(rows) == 4


def test_the_main_table_is_the_one_that_says_so() -> None:
    tables = tuple(Table(title=name, columns=(Column(name),), rows=(), main=name == "B") for name in "AB")

    assert made("csv", Document(title="T", tables=tables)).decode("utf-8-sig") == "B\r\n"


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_of_a_csv_is_taken_for_a_formula(text: str) -> None:
    what = Document(title="T", tables=(Table(title="T", columns=(Column(text),), rows=((text,),)),))
    rows = list(csv.reader(io.StringIO(made("csv", what).decode("utf-8-sig"), newline="")))

    assert [cell[0] for row in rows for cell in row] == ["'", "'"]


def test_negative_numbers_in_a_csv_stay_numbers() -> None:
    assert (
        made("csv", table_of(-5, -1.25, None, float("nan"))).decode("utf-8-sig")
        == 'Cell\r\n-5\r\n-1.25\r\n""\r\n""\r\n'
    )


def test_json_is_the_report_itself() -> None:
    found = json.loads(made("json"))

    assert (found["title"], found["figures"][0]["before"], found["made"]) == (
        "Weekly team report",
        75,
        "2025-10-09 10:00 UTC",
    )
    assert found["tables"][0]["rows"][0][0] == ARABIC


def test_a_format_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="format 'docx' is not known; there are html, pdf, xlsx, csv, json"):
        made("docx")


def test_everything_is_there_when_the_extra_is() -> None:
    assert available() == ("html", "pdf", "xlsx", "csv", "json")


def test_reports_made_at_once_in_several_threads_are_the_same_as_one_after_another() -> None:
    alone = [made(form) for form in ("html", "pdf")]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(made, ["html", "pdf"] * 4))

    assert together == alone * 4


def sheet(template: Path, **change: object) -> Sheet:
    return Sheet(**{"template": str(template), "view": "{}", "fonts": (), "made_at": 0, "tags": False, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("apart", [False, True])
def test_a_template_that_typst_refuses_is_an_error_that_says_why(tmp_path: Path, apart: bool) -> None:
    (tmp_path / "bad.typ").write_text("#nothing-of-this-name")

    with pytest.raises(TypesettingError, match=r"nothing-of-this-name|unknown variable"):
        typeset(sheet(tmp_path / "bad.typ"), apart=apart)


@pytest.mark.parametrize("apart", [False, True])
def test_a_template_can_open_no_file_outside_of_its_folder(tmp_path: Path, apart: bool) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "canary.txt").write_text("canary")
    (tmp_path / "in" / "curious.typ").write_text('#read("../canary.txt")')

    with pytest.raises(TypesettingError):
        typeset(sheet(tmp_path / "in" / "curious.typ"), apart=apart)


def test_a_process_that_dies_while_it_sets_a_pdf_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(TypesettingError, match="the process that sets PDF ended with 1"):
        made("pdf", table_of(*range(400), kind="number"))


def test_a_large_pdf_is_set_elsewhere_and_is_the_same_each_time() -> None:
    what = table_of(*range(301), kind="number")

    assert made("pdf", what) == made("pdf", what)
    assert "/MarkInfo" in str(PdfReader(io.BytesIO(made("pdf", table_of(1)))).root_object)
    assert "/MarkInfo" not in str(PdfReader(io.BytesIO(made("pdf", what))).root_object)
