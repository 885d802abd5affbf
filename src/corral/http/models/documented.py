"""How answers and bodies are documented: when the document is asked for, not when the API is put together.

To make a schema of every answer takes two seconds; a process that only serves never needs them.
"""

import ast
import inspect
import sys
from functools import cache
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Documented:
    """Marks an answer that is written by hand: any value passes, and the document shows the schema of `kind`."""

    def __init__(self, kind: object) -> None:
        self._kind = kind

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made: JsonSchemaValue = handler(_schema(self._kind))["prefixItems"][0]
        return made


def shown(kind: object) -> Any:  # noqa: ANN401  # a type form, which nobody can name
    """What a route that writes its answer by hand gives as its `response_model`."""
    return Annotated[object, Documented(kind)]


@cache
def _schema(kind: object) -> CoreSchema:
    """The schema of a pair of them: what stands somewhere once only is written there and has no name of its own."""
    adapter: TypeAdapter[object] = TypeAdapter(tuple[kind, kind])  # type: ignore[valid-type]  # a type form
    return adapter.core_schema


def describe(schema: dict[str, object], kind: type) -> None:
    """Put the texts that stand below a class's fields into its schema, and leave out titles that only repeat names."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return
    texts: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one.__module__.startswith("corral."):
            texts |= _texts(one.__module__).get(one.__qualname__, {})
    for name, text in texts.items():
        if name in properties:
            properties[name]["description"] = text
    for one in properties.values():
        one.pop("title", None)


@cache
def _texts(module: str) -> dict[str, dict[str, str]]:
    """The texts below the fields of each class of a module."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:  # no source is there: the document is shorter
        return {}
    return {node.name: _below(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _below(node: ast.ClassDef) -> dict[str, str]:
    found = {}
    for field, text in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = inspect.cleandoc(text.value.value)
    return found
