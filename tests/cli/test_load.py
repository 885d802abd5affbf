"""Finding the application: what was found, what was not, and what to write instead."""

import sys
from pathlib import Path

import click
import pytest

from corral.cli.load import load_app

from .helpers import MAILER, call

APPS = "tests.cli.apps"


def test_an_application_is_found_by_its_attribute() -> None:
    assert load_app(f"{MAILER}:app").name == "teamspark"


def test_the_only_application_of_a_module_needs_no_attribute() -> None:
    assert load_app(MAILER).name == "teamspark"


def test_the_current_folder_is_looked_in_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    (folder / "app_of_this_folder.py").write_text("from corral import Corral\nit = Corral(name='here')\n")
    assert load_app("app_of_this_folder").name == "here"


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (f"{APPS}.mailr", r"there is no module 'tests\.cli\.apps\.mailr'; it is looked for in /"),
        (f"{MAILER}:ap", r"has no attribute 'ap'; did you mean tests\.cli\.apps\.mailer:app\?"),
        (f"{MAILER}:log", r"is a Logger, not a Corral application; it has tests\.cli\.apps\.mailer:app"),
        (f"{APPS}.several", r"has several applications: say which \(.*several:first, .*several:second\)"),
        (f"{APPS}.several:number", "is an int, not a Corral application"),
        (f"{APPS}.none", r"has no Corral application; it needs a line such as app = Corral\(…\)"),
        ("shop/jobs.py", r"must be written package\.module:attribute, such as shop\.jobs:app"),
        (":app", "must be written"),
    ],
)
def test_what_is_not_an_application_is_explained(target: str, complaint: str) -> None:
    with pytest.raises(click.UsageError, match=complaint):
        load_app(target)


def test_an_error_in_the_applications_own_code_is_shown_from_there_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.UsageError, match="cannot be imported: KeyError: 'url'"):
        load_app(f"{APPS}.broken")
    trace = capsys.readouterr().err
    assert 'url = settings["url"]' in trace
    assert "importlib" not in trace


def test_a_package_that_the_application_misses_is_named() -> None:
    with pytest.raises(click.UsageError, match=r"cannot be imported: ModuleNotFoundError: .*a_package_that_nobody_has"):
        load_app(f"{APPS}.needs_more")


@pytest.mark.mission("M-TS-16")
def test_m_ts_16_an_application_that_cannot_be_loaded_ends_the_worker_with_2() -> None:
    result = call("worker", f"{APPS}.broken:app")
    assert result.exit_code == 2
    assert "KeyError" in result.stderr


def test_a_queue_that_the_application_does_not_declare_is_not_found(url: str) -> None:
    result = call("worker", MAILER, "--url", url, "-Q", "send-mail")
    assert result.exit_code == 4
    assert "did you mean 'send-email'" in result.stderr


def test_a_worker_needs_an_application() -> None:
    result = call("worker")
    assert result.exit_code == 2
    assert "corral worker package.module:attribute" in result.stderr
