"""The help: complete, and fast because it imports next to nothing."""

import subprocess
import sys

import click
import pytest

from corral.cli.lazy import LazyGroup
from corral.cli.main import corral

from .helpers import call, surroundings

HEAVY = ("pydantic", "pydantic_settings", "rich", "apsw", "watchfiles", "uvloop", "msgspec", "asyncio", "corral.app")


def commands() -> list[tuple[str, ...]]:
    context = click.Context(corral)
    found: list[tuple[str, ...]] = []
    for name in corral.list_commands(context):
        command = corral.get_command(context, name)
        found.append((name,))
        if isinstance(command, LazyGroup):
            found += [(name, below) for below in command.list_commands(context)]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_exists_and_explains_itself(words: tuple[str, ...]) -> None:
    result = call(*words, "--help")
    assert result.exit_code == 0
    usage, _, text = result.stdout.partition("\n\n")
    assert usage.startswith(f"Usage: corral {' '.join(words)}")
    assert text.strip()


@pytest.mark.parametrize("words", [words for words in commands() if len(words) == 2], ids=" ".join)
def test_every_command_takes_the_global_options(words: tuple[str, ...]) -> None:
    text = call(*words, "--help").stdout
    assert "Options of every command:" in text
    assert all(option in text for option in ("--url", "--app", "--output", "--yes", "--no-color", "--quiet"))


def test_the_help_imports_no_heavy_library_and_no_command() -> None:
    code = (
        "import sys\nfrom corral.cli.main import main\nsys.argv = ['corral', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules],"
        " sorted(name for name in sys.modules if name.startswith('corral.cli.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=surroundings(), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == (
        "LOADED [] ['corral.cli.failures', 'corral.cli.lazy', 'corral.cli.main', 'corral.cli.shared']"
    )


def test_a_misspelled_command_names_the_nearest_one() -> None:
    result = call("wroker")
    assert result.exit_code == 2
    assert "no such command 'wroker'; did you mean 'worker'?" in result.stderr
    assert "did you mean 'list'?" in call("jobs", "lst").stderr


def test_the_version_is_printed_with_the_libraries() -> None:
    assert call("--version").stdout.startswith("corral ")
    text = call("version").stdout
    assert all(f"{name}\t" in text for name in ("corral", "python", "apsw", "click", "msgspec", "pydantic"))
