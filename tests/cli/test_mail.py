"""`corral mail preview`: mails that are looked at and not sent."""

import json
import re
from pathlib import Path

import pytest

from corral.handlers.email import samples

from .helpers import call, succeed


def test_a_name_prints_the_text_of_its_sample() -> None:
    text = succeed("mail", "preview", "pipeline-complete", "--brand", "GoLive")

    assert text.startswith("Production Deploy succeeded\n\nStatus: SUCCESS\n")
    assert "Sent by GoLive." in text


def test_html_prints_the_page() -> None:
    assert succeed("mail", "preview", "welcome", "--html").startswith("<!DOCTYPE html>")


def test_json_has_both_parts() -> None:
    made = json.loads(succeed("mail", "preview", "kudos", "-o", "json"))

    assert made.keys() == {"template", "subject", "html", "text"}
    assert "Alice says thank you, Bob" in made["text"]


def test_without_a_name_all_templates_are_listed() -> None:
    lines = succeed("mail", "preview").splitlines()

    assert [line.split("\t")[0] for line in lines[1:]] == sorted(samples())
    assert "welcome\tWelcome to TeamSpark!" in lines


def test_data_come_from_a_file_or_from_standard_input(folder: Path) -> None:
    (folder / "data.json").write_text('{"name": "Jürgen"}', encoding="utf-8")

    assert succeed("mail", "preview", "welcome", "--data", "data.json").startswith("Welcome, Jürgen\n")
    typed = call("mail", "preview", "welcome", "--data", "-", typed='{"name": "Ann"}')
    assert typed.stdout.startswith("Welcome, Ann\n")


def test_out_writes_every_mail_and_a_page_that_shows_them(folder: Path) -> None:
    assert succeed("mail", "preview", "--out", "previews").strip() == str(Path("previews/index.html"))

    written = {path.name for path in (folder / "previews").iterdir()}
    assert written == {"index.html", *(f"{name}.{part}" for name in samples() for part in ("html", "txt"))}
    page = (folder / "previews" / "index.html").read_text(encoding="utf-8")
    assert page.count("<iframe sandbox ") == 2 * len(samples())
    assert re.findall("<h2>(.*?)</h2>", page) == sorted(samples())


def test_open_shows_the_page_in_a_browser(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    opened: list[str] = []

    def look(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", look)

    succeed("mail", "preview", "welcome", "--open", "--out", "here")
    assert opened == [(folder / "here" / "index.html").as_uri()]


def test_where_there_is_no_browser_it_says_where_the_page_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: False)

    result = call("mail", "preview", "welcome", "--open", "--out", "here")
    assert result.exit_code == 1
    assert "no browser could be opened; the mails are in here/index.html" in result.stderr


def test_own_templates_are_shown_with_their_own_samples(folder: Path) -> None:
    (folder / "invitation.html").write_text("<p>Come to {{ place }}")
    (folder / "invitation.txt").write_text("Come to {{ place }}")
    (folder / "invitation.json").write_text('{"subject": "Come!", "data": {"place": "Oslo"}}')
    (folder / "bare.html").write_text("<p>{{ x }}")
    (folder / "bare.txt").write_text("{{ x }}")

    assert succeed("mail", "preview", "invitation", "--templates", ".") == "Come to Oslo\n\n"
    listed = call("mail", "preview", "--templates", ".")
    assert "invitation\tCome!" in listed.stdout.splitlines()
    assert "bare: no sample; write one into bare.json beside it" in listed.stderr


def test_what_data_bring_along_cannot_steer_a_terminal(folder: Path) -> None:
    (folder / "data.json").write_text('{"name": "\\u001b[2JAnn"}')

    assert "\x1b" not in succeed("mail", "preview", "welcome", "--data", "data.json")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("welcom",), "template 'welcom' does not exist; did you mean 'welcome'?"),
        (("welcome", "--data", "missing.json"), "missing.json cannot be read"),
        (("welcome", "--data", "list.json"), "list.json must hold an object"),
        (("welcome", "--data", "bad.json"), "bad.json is not JSON"),
        (("welcome", "--data", "empty.json"), "template 'welcome' cannot be filled: 'name' is undefined"),
        (("--data", "empty.json"), "say which template the --data is for"),
        (("--templates", "nowhere"), "templates cannot be read from 'nowhere'"),
        (("welcome", "--out", "list.json"), "'list.json' is a file"),
        (("welcome", "--out", "list.json/below"), "list.json/below cannot be written"),
    ],
)
def test_mistakes_are_named(words: tuple[str, ...], complaint: str, folder: Path) -> None:
    (folder / "list.json").write_text("[]")
    (folder / "bad.json").write_text("{")
    (folder / "empty.json").write_text("{}")

    result = call("mail", "preview", *words)
    assert result.exit_code == 2
    assert complaint in result.stderr
