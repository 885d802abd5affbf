"""The public names: what is importable, what type checkers see, and that they are the same."""

import re
import subprocess
import sys
from pathlib import Path

import corral

PACKAGE = Path(corral.__file__).parent


def test_every_public_name_can_be_imported() -> None:
    assert all(getattr(corral, name) is not None for name in corral.__all__)


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    stub = re.findall(r"^from (\S+) import (\S+) as \2$", (PACKAGE / "__init__.pyi").read_text(), re.MULTILINE)
    table = re.findall(r'^    "(\S+)": "(\S+)",$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    assert sorted((name, module) for module, name in stub) == sorted(table)


def test_type_checkers_see_what_a_star_import_brings() -> None:
    _, _, listed = (PACKAGE / "__init__.pyi").read_text().partition("\n__all__ = [  #")
    assert re.findall(r'"(\w+)"', listed) == corral.__all__


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, corral; print([name for name in ('apsw', 'pydantic', 'asyncio', 'rich') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_an_application_needs_neither_the_driver_nor_pydantic_until_they_are_used() -> None:
    code = (
        "import sys; from corral import Corral; Corral(); print([n for n in ('apsw', 'pydantic') if n in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
