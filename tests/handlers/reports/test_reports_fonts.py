"""A PDF of characters that no font has: it says so, and a folder of fonts mends it."""

import io
import shutil
from pathlib import Path

import matplotlib as mpl
import pytest
from pypdf import PdfReader

from corral.handlers.kit.database import Database
from corral.handlers.reports import Document, ReportPayload, ReportSettings, Request, bundle, render
from corral.handlers.reports.output.pdf import _chart_fonts
from corral.handlers.reports.output.typesetting import lacking
from corral.storage.port import Storage
from tests.handlers.desk import Desk

from .samples import NOW, now

#: Cyrillic, Greek, Hebrew, Arabic and a smiley: what comes along can show them.
SHOWN = "ЯΩשم😀"
#: From a script of the bronze age, of which no system has a font.
UNSHOWN = "\U00012f90"
#: A character that nobody has given a meaning.
NEVER = "\U0010fffd"
TTF = Path(mpl.get_data_path()) / "fonts" / "ttf"


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    """A folder with a font that has something for every character there is."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    shutil.copy(TTF / "LastResortHE-Regular.ttf", folder)
    return folder


async def odd(request: Request[ReportPayload]) -> Document:
    return Document(title=f"Weekly {SHOWN} {UNSHOWN}")


def test_what_no_font_has_is_named_and_what_one_has_is_not(fonts: Path) -> None:
    here = [str(path) for path in _chart_fonts()]
    assert lacking(f"a{SHOWN}{NEVER}", here) == NEVER
    assert lacking(f"a{SHOWN}{NEVER}", [*here, str(fonts)]) == ""


def test_a_pdf_says_of_which_scripts_it_shows_boxes(fonts: Path) -> None:
    document = Document(title=f"A {SHOWN}", notes=(f"{UNSHOWN} and more",))
    made = render(document, "pdf", made_at=NOW)
    assert made.unshown == "Cypro"
    text = PdfReader(io.BytesIO(made.body)).pages[0].extract_text()
    assert "Boxes stand for characters that no font here has (Cypro)" in text

    mended = render(document, "pdf", made_at=NOW, fonts=fonts)
    assert mended.unshown == ""
    assert "Boxes stand" not in PdfReader(io.BytesIO(mended.body)).pages[0].extract_text()
    assert render(document, "html", made_at=NOW).unshown == ""


async def test_the_job_warns_names_the_way_out_and_says_it_in_its_result(
    memory: Storage, sqlite: Database, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    gone = tmp_path / "nowhere"
    settings = ReportSettings.load(reports_formats="pdf,html", reports_folder=tmp_path, reports_fonts=gone)
    made = bundle({"custom-report": odd}, database=sqlite, settings=settings, clock=now)

    result = await Desk.of(memory, made).send({}, "custom-report")

    assert [one.get("unshown") for one in result["documents"]] == ["Cypro", None]
    assert "no font has all characters of the pdf (Cypro), so it shows boxes" in caplog.text
    assert f"into the folder REPORTS_FONTS (REPORTS_FONTS is {gone}, which is not there)" in caplog.text


async def test_a_folder_with_the_right_font_leaves_nothing_to_say(
    memory: Storage, sqlite: Database, caplog: pytest.LogCaptureFixture, tmp_path: Path, fonts: Path
) -> None:
    settings = ReportSettings.load(reports_formats="pdf", reports_folder=tmp_path, reports_fonts=fonts)
    made = bundle({"custom-report": odd}, database=sqlite, settings=settings, clock=now)

    result = await Desk.of(memory, made).send({}, "custom-report")

    assert "unshown" not in result["documents"][0]
    assert "REPORTS_FONTS" not in caplog.text
