"""Settings, and what happens where only a part of the extra is installed."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from corral.errors import ConfigError
from corral.handlers.kit.database import Database
from corral.handlers.reports import Document, ReportPayload, ReportSettings, Request, bundle
from corral.signals import Discard
from corral.storage.port import Storage
from tests.handlers.desk import Desk

from .conftest import SECRET
from .samples import NOW, document, now


async def sample(request: Request[ReportPayload]) -> Document:
    return document()


def test_settings_come_from_arguments_the_environment_and_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "corral.toml").write_text(
        '[reports]\nreports_brand = "File"\nreports_keep_days = 5\nreports_formats = ["csv"]\n'
    )
    monkeypatch.setenv("REPORTS_BRAND", "Environment")
    monkeypatch.setenv("REPORTS_FORMATS", "pdf, html pdf")

    found = ReportSettings.load(reports_pdf_rows=7)

    assert (found.reports_brand, found.reports_keep_days, found.reports_pdf_rows) == ("Environment", 5, 7)
    assert found.reports_formats == ("pdf", "html")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"reports_formats": "docx"}, "reports_formats"),
        ({"reports_keep_days": 0}, "reports_keep_days"),
        ({"reports_timezone": "Mars/Base"}, "'Mars/Base' is not a time zone such as Europe/Oslo"),
        ({"reports_timezone": "../etc/passwd"}, "is not a time zone"),
        ({"reports_url": "ftp://example.org"}, "must be an address such as https://example.org/reports"),
        ({"reports_url": "https://example.org/?a=1"}, "must be an address"),
        ({"reports_secret": "short"}, "at least 32 characters"),
        ({"reports_deliver": "link"}, "REPORTS_DELIVER=link needs REPORTS_URL and REPORTS_SECRET"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_without_their_values(
    values: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigError, match="reports settings: ") as caught:
        ReportSettings.load(**values)
    assert complaint in str(caught.value)
    assert "short" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    found = ReportSettings.load(
        reports_secret=SECRET, reports_old_secret="o" * 32, reports_url="https://example.org/r/"
    )

    assert SECRET not in repr(found)
    assert (found.secrets, found.reports_url, found.links) == ((SECRET, "o" * 32), "https://example.org/r", True)


# -- without the extra -------------------------------------------------------------------------------------------------

HIDE = """
import importlib.util, sys
real = importlib.util.find_spec
for name in {hidden!r}:
    sys.modules[name] = None
importlib.util.find_spec = lambda name, package=None: None if name in {hidden!r} else real(name, package)
"""

BARE = """
from corral.handlers.reports import available, render, Document, Chart, Series, Figure
print(available())
chart = Chart(title="Mood", labels=("Mon",), series=(Series(name="Mood", values=(4.0,)),))
page = render(Document(title="T", charts=(chart,)), "html", made_at=0).body.decode()
print("<svg" in page, "<td" in page)
print(render(Document(title="T", figures=(Figure(label="A", value=1),)), "csv", made_at=0).body)
try:
    render(Document(title="T"), "pdf", made_at=0)
except Exception as error:
    print(type(error).__name__, error)
try:
    from corral.handlers.reports import TestSource
    TestSource(None)
except Exception as error:
    print(type(error).__name__, error)
"""


def run(code: str, *hidden: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDE.format(hidden=hidden) + code], env=dict(os.environ), capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip


def test_without_typst_matplotlib_and_the_others_html_and_csv_still_work() -> None:
    done = run(BARE, "typst", "matplotlib", "xlsxwriter", "junitparser", "defusedxml")

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "('html', 'csv', 'json')",
        "False True",
        r"b'\xef\xbb\xbfFigure,Value,Unit,Before\r\nA,1,,\r\n'",
        "ConfigError format 'pdf' needs an extra: pip install 'corral[reports]' (missing: typst)",
        "ConfigError these handlers need an extra: pip install 'corral[reports]' (missing: junitparser, defusedxml)",
    ]


@pytest.mark.parametrize("package", ["jinja2", "sqlalchemy", "aiosqlite", "alembic"])
def test_without_what_nothing_works_without_the_message_says_what_to_install(package: str) -> None:
    done = run("import corral.handlers.reports", package)

    assert done.returncode == 1
    assert f"pip install 'corral[reports]' (missing: {package})" in done.stderr


def test_importing_the_family_loads_neither_matplotlib_nor_typst() -> None:
    done = run(
        "import corral.handlers.reports\nprint({'matplotlib', 'typst', 'xlsxwriter', 'junitparser'} & set(sys.modules))"
    )

    assert done.stdout.strip() == "set()"


@pytest.fixture
def without_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if typst and matplotlib were not installed."""
    from corral.handlers.reports.output import formats

    real = find_spec
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name in ("typst", "matplotlib") else real(name))


@pytest.mark.usefixtures("without_pdf")
async def test_without_typst_reports_are_made_as_html_and_whoever_runs_it_is_told(
    memory: Storage, sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    made = bundle({"analytics": sample}, database=sqlite, settings=ReportSettings.load(), clock=now)

    result = await Desk.of(memory, made).send({}, "analytics")

    assert [one["format"] for one in result["documents"]] == ["html"]
    assert (
        "format 'pdf' needs an extra: pip install 'corral[reports]' (missing: typst); reports are made as HTML"
        in caplog.text
    )
    assert "(missing: matplotlib); they are shown as tables" in caplog.text


@pytest.mark.usefixtures("without_pdf")
async def test_a_job_that_asks_for_what_cannot_be_made_fails_at_once(memory: Storage, sqlite: Database) -> None:
    made = bundle({"analytics": sample}, database=sqlite, settings=ReportSettings.load(), clock=lambda: NOW)

    with pytest.raises(
        Discard, match=r"format 'pdf' needs an extra: pip install 'corral\[reports\]' \(missing: typst\)"
    ):
        await Desk.of(memory, made).send({"formats": ["pdf"]}, "analytics")


@pytest.mark.usefixtures("without_pdf")
def test_settings_that_ask_for_what_cannot_be_made_are_refused_when_the_bundle_is_made() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'corral\[reports\]'"):
        bundle({"analytics": sample}, database=Database(), settings=ReportSettings.load(reports_formats="html,pdf"))
