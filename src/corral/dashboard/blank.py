"""Payloads from their schema: fields to fill in where it is flat, else an example to change."""

import json
from collections.abc import Iterable, Mapping
from typing import cast

from msgspec import Struct

#: A form with more fields than these is harder to fill in than JSON.
MOST = 16
#: How deep an example goes.
DEPTH = 6
#: What a form's fields that make up the payload begin with.
PREFIX = "data."
_KINDS = {"string": "t", "integer": "n", "number": "n", "boolean": "b"}
_EMPTY: Mapping[str, object] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "null": None}
Schema = Mapping[str, object]


class Field(Struct, frozen=True):
    """A member of a payload, as a form has it."""

    name: str
    kind: str  #: `t` text, `n` a number, `b` a switch
    required: bool
    value: str  #: what it is unless something else is said
    choices: tuple[str, ...] = ()
    hint: str = ""

    @property
    def key(self) -> str:
        """The name of its field in the form."""
        return f"{PREFIX}{self.name}:{self.kind}"


def fields_of(schema: Schema) -> tuple[Field, ...]:
    """The members of a flat object, each text, a number or a switch; nothing when it is anything else."""
    members = schema.get("properties")
    if not isinstance(members, dict) or not 0 < len(members) <= MOST:
        return ()
    required = cast("list[str]", schema.get("required", []))
    found = [_field(name, _meant(one, schema), name in required) for name, one in members.items()]
    return tuple(one for one in found if one is not None) if None not in found else ()


def _field(name: str, member: Schema, required: bool) -> Field | None:
    choices = member.get("enum")
    kind = _KINDS.get(str(member.get("type")))
    if kind is None or (choices is not None and not all(isinstance(one, str) for one in cast("list[object]", choices))):
        return None
    examples = member.get("examples")
    value = member.get("default", examples[0] if isinstance(examples, list) and examples else None)
    return Field(
        name, kind, required, "" if value is None else value if isinstance(value, str) else json.dumps(value),
        tuple(map(str, cast("list[object]", choices or ()))), str(member.get("description", "")),
    )  # fmt: skip


def _meant(member: object, schema: Schema) -> Schema:
    """A member's schema, looked up where it is named; of something that may be null, the something."""
    for _ in range(DEPTH):
        found = cast(Schema, member) if isinstance(member, dict) else {}
        several = found.get("anyOf")
        if isinstance(several, list):
            some = [one for one in several if one != {"type": "null"}]
            if len(some) != 1:
                return found
            member = {**{key: value for key, value in found.items() if key != "anyOf"}, **some[0]}
        elif str(found.get("$ref", "")).startswith("#/$defs/"):
            known = cast("Mapping[str, object]", schema.get("$defs", {}))
            member = known.get(str(found["$ref"]).removeprefix("#/$defs/"))
        else:
            return found
    return {}


def example(schema: Schema) -> object:
    """A payload of this kind: the one that is declared, or one made of defaults and of nothing."""
    return _example(schema, schema, 0)


def _example(member: object, schema: Schema, depth: int) -> object:
    found = _meant(member, schema)
    examples = found.get("examples")
    if isinstance(examples, list) and examples:
        return examples[0]
    for name in ("default", "const"):
        if name in found:
            return found[name]
    if found.get("enum"):
        return cast("list[object]", found["enum"])[0]
    members = found.get("properties")
    if isinstance(members, dict) and depth < DEPTH:
        return {name: _example(one, schema, depth + 1) for name, one in members.items()}
    return _EMPTY.get(str(found.get("type")), {})


def payload_of(fields: Iterable[tuple[str, str]]) -> str:
    """The JSON that a form's fields stand for, numbers as they were typed; empty ones are left out.

    Raises:
        ValueError: something that is to be a number is none.
    """
    parts = []
    for key, text in fields:
        name, _, kind = key.removeprefix(PREFIX).rpartition(":")
        if text == "":
            continue
        if kind != "t" and not isinstance(json.loads(text), int | float):
            raise ValueError(f"{name} is to be a number, not {text!r}")
        parts.append(f"{json.dumps(name)}: {json.dumps(text) if kind == 't' else text.strip()}")
    return "{" + ", ".join(parts) + "}"
