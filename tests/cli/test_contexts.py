"""Contexts: stores and APIs with a name, kept where only their owner can read them; and where settings come from."""

import json
from pathlib import Path

import pytest

from corral.cli.contexts import config_file
from corral.job import NewJob

from .helpers import call, put, succeed, told


@pytest.fixture(autouse=True)
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
    return folder / "home"


def test_a_store_is_saved_and_used_by_its_name(url: str) -> None:
    put(url, NewJob(queue="mail", name="x"))
    succeed("context", "add", "here", "--url", url)
    assert [row["queue"] for row in told("queues", "list", "--context", "here")] == ["mail"]
    assert call("queues", "list").exit_code == 3  # it is saved, not in use
    succeed("context", "use", "here")
    assert [row["queue"] for row in told("queues", "list")] == ["mail"]
    [shown] = told("context", "show")
    assert (shown["context"], shown["because_of"]) == ("here", "corral context use here")
    succeed("context", "use", "none")
    assert call("queues", "list").exit_code == 3
    succeed("context", "remove", "here")
    assert told("context", "list") == []


def test_only_the_owner_may_read_them(url: str) -> None:
    succeed("context", "add", "prod", "--api", "https://jobs.example.com", "--token", "s3cret")
    assert config_file().stat().st_mode & 0o777 == 0o600
    assert config_file().parent.stat().st_mode & 0o777 == 0o700
    shown = succeed("context", "list", "-o", "json")
    assert "s3cret" not in shown
    assert json.loads(shown)[0]["token"] is True


def test_flags_go_before_variables_and_these_before_the_context_in_use(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(url, NewJob(queue="mail", name="x"))
    other = f"sqlite:///{folder}/other.db"
    put(other, NewJob(queue="reports", name="x"))
    succeed("context", "add", "other", "--url", other, "--use")
    assert [row["queue"] for row in told("queues", "list")] == ["reports"]
    monkeypatch.setenv("CORRAL_URL", url)
    assert [row["queue"] for row in told("queues", "list")] == ["mail"]
    assert [row["queue"] for row in told("queues", "list", "--context", "other")] == ["reports"]
    assert [row["queue"] for row in told("queues", "list", "--url", other)] == ["reports"]


def test_a_name_that_is_not_there_is_named_with_the_nearest(url: str) -> None:
    succeed("context", "add", "production", "--url", url)
    result = call("queues", "list", "--context", "prodction")
    assert result.exit_code == 2
    assert "did you mean 'production'?" in result.stderr


@pytest.mark.parametrize(
    "words",
    [(), ("--url", "sqlite:///x.db", "--api", "https://h"), ("--url", "no-url")],
    ids=["nothing", "both", "bad"],
)
def test_a_context_is_a_store_or_an_api(words: tuple[str, ...]) -> None:
    assert call("context", "add", "x", *words).exit_code == 2
    assert not config_file().exists()


@pytest.mark.parametrize("text", ["contexts = 3", "[contexts.a]\nurl = 3", "[contexts.a]\nodd = 'x'", "current ="])
def test_a_file_that_cannot_be_meant_is_refused(text: str) -> None:
    config_file().parent.mkdir(parents=True)
    config_file().write_text(text)
    result = call("context", "list")
    assert result.exit_code == 2
    assert "config.toml" in result.stderr


def test_every_setting_says_where_it_comes_from(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "corral.toml").write_text("concurrency = 7\n")
    (folder / ".env").write_text("CORRAL_NAME=box\n")
    monkeypatch.setenv("JOB_RETENTION_HOURS", "5")
    monkeypatch.setenv("CORRAL_TOKEN", "s3cret")
    rows = {row["name"]: row for row in told("config", "show", "--url", "redis://:pw@host/0")}
    assert (rows["url"]["value"], rows["url"]["source"]) == ("redis://:***@host/0", "--url")
    assert (rows["concurrency"]["value"], rows["concurrency"]["source"]) == (7, "corral.toml")
    assert (rows["name"]["value"], rows["name"]["source"]) == ("box", ".env")
    assert rows["retention_hours"]["source"] == "JOB_RETENTION_HOURS"
    assert rows["log_level"]["source"] == "default"
    assert rows["token"]["value"] == "••••"
