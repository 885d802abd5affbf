"""The mails that other families hand to the e-mail queue: their templates exist."""

import ast
from collections.abc import Iterator
from pathlib import Path

from corral.handlers.email.templates import built_in

HANDLERS = Path(__file__).parents[2] / "src/corral/handlers"


def asked_for(tree: ast.Module) -> Iterator[str]:
    """Templates that a module names: `Mail(template="alert")`, and defaults of parameters and fields of that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Mail":
            yield from (name for one in node.keywords if one.arg == "template" for name in literal(one.value))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "template":
            yield from literal(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            yield from (name for one, value in named if one.arg == "template" for name in literal(value))


def literal(value: ast.expr | None) -> list[str]:
    """The text of a constant, as a list of one; nothing for anything else."""
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def test_every_template_that_a_handler_asks_for_exists() -> None:
    found = {
        f"{path.relative_to(HANDLERS)}: {name}": name
        for path in sorted(HANDLERS.rglob("*.py"))
        if path.parts[-2] != "email"
        for name in asked_for(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert len(found) >= 5
    assert [where for where, name in found.items() if name not in built_in().names] == []
