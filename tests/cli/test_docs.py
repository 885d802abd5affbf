"""`docs/cli.md` speaks of commands, options, settings and exit codes that exist, and of all of them."""

import re
import shlex

import click
import pytest
from pydantic import AliasChoices

from corral.cli import failures
from corral.cli.lazy import LazyGroup
from corral.cli.main import COMMANDS, corral
from corral.cli.settings import Settings

from .helpers import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
OTHERS = [
    ROOT / "README.md", *(ROOT / "docs").glob("[!_]*.md"), *(ROOT / "docs").glob("[!_]*/**/*.md"),
    *(ROOT / "examples").glob("*/README.md"), *(path for path in (ROOT / "deploy").rglob("*") if path.is_file()),
]  # fmt: skip
#: A line of a shell, or what stands between backticks or quotation marks.
_COMMAND = re.compile(r"""(?:^ *\$ (corral [a-z][^\n]*)|[`"'](corral [a-z][^`"\n]*))""", re.MULTILINE)
#: Several commands in one, for people: `corral jobs …`, `list|again|forget`.
_SHORT = re.compile(r"…|\w\|\w")


def spoken(text: str) -> list[str]:
    """The commands that a page tells people to type, without what the shell does around them."""
    found = [line or between for line, between in _COMMAND.findall(text)]
    return [re.split(r" [|>&#]|\s{2}|; ", one)[0].rstrip(" \\.") for one in found if not _SHORT.search(one)]


SPOKEN = [match[1] for match in re.finditer(r"(?:^\$ |`)(corral [^`\n]+)", PAGE, re.MULTILINE)]
ELSEWHERE = sorted({line for path in OTHERS for line in spoken(path.read_text(encoding="utf-8", errors="replace"))})


def find(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words call, and the words that are left."""
    command: click.Command = corral
    while isinstance(command, LazyGroup) and words and not words[0].startswith("-"):
        below = command.get_command(click.Context(command), words[0])
        assert below is not None, f"no command {words[0]!r}"
        command, words = below, words[1:]
    return command, words


@pytest.mark.parametrize("line", SPOKEN)
def test_every_command_on_the_page_can_be_called_like_that(line: str) -> None:
    command, rest = find(shlex.split(line)[1:])
    context = click.Context(command)
    options = {name for param in command.get_params(context) for name in (*param.opts, *param.secondary_opts)}
    assert [word for word in rest if word.startswith("-") and word not in options] == []


def test_every_command_on_other_pages_can_be_called_like_that() -> None:
    assert len(ELSEWHERE) > 100
    for line in ELSEWHERE:
        command, rest = find(shlex.split(line)[1:])
        assert not (isinstance(command, LazyGroup) and rest), line
        context = click.Context(command)
        options = {name for param in command.get_params(context) for name in (*param.opts, *param.secondary_opts)}
        assert {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)} <= options, line


def test_the_page_shows_every_command() -> None:
    shown = {line.split()[1] for line in SPOKEN}
    assert {name for name, (_, summary) in COMMANDS.items() if summary} - {"version"} <= shown


def test_the_page_knows_every_setting_and_its_variables() -> None:
    table = PAGE.partition("## Settings")[2].partition("## Output")[0]
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)` \|.*$", table, re.MULTILINE)}
    assert set(rows) == Settings.model_fields.keys() - Settings.not_in_file
    for name, row in rows.items():
        alias = Settings.model_fields[name].validation_alias
        variables = alias.choices if isinstance(alias, AliasChoices) else [f"CORRAL_{name.upper()}"]
        assert all(f"`{variable}`" in row for variable in variables), row


def test_the_page_knows_every_exit_code() -> None:
    codes = {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int)}
    assert {int(match) for match in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)} == codes
