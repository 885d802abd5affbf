"""What the HTTP API promises, a line per promise: `python -m tests.web.snapshot` writes it down anew.

`api.txt` beside this file is what was promised when it was last written. A test compares the two and names what would
break clients: something that is gone, or that has to be sent where it did not have to be.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("api.txt")
RENEW = "python -m tests.web.snapshot"
REQUIRED = "required"
_REF = "#/components/schemas/"
_VERBS = ("get", "post", "put", "patch", "delete")
_Json = Mapping[str, Any]


def promises(document: _Json) -> list[str]:
    """The lines: `what | how`, sorted. Words that only people read are left out."""
    schemas: _Json = document.get("components", {}).get("schemas", {})
    lines: list[str] = []
    taken: set[str] = set()
    given: set[str] = set()
    for path, item in document["paths"].items():
        for verb in _VERBS:
            if verb in item:
                lines += _operation(f"{verb.upper()} {path}", item[verb], taken, given)
    for way, names in (("takes", taken), ("gives", given)):
        for name in _reached(names, schemas):
            lines += _schema(f"{way} {name}", schemas[name], required=way == "takes")
    lines += [f"problem {code} | {one['status']}" for code, one in document.get("x-problem-codes", {}).items()]
    return sorted(set(lines))


def _operation(about: str, said: _Json, taken: set[str], given: set[str]) -> Iterator[str]:
    yield f"{about} | {said.get('x-permission', 'anybody')}"
    for one in said.get("parameters", ()):
        yield f"{about} {one['in']} {one['name']} | {_kind(one['schema'])}{_must(one.get('required', False))}"
    body = said.get("requestBody")
    if body is not None:
        for media, content in body["content"].items():
            taken |= set(_names(content.get("schema", {})))
            yield f"{about} body {media} | {_kind(content.get('schema', {}))}{_must(body.get('required', False))}"
    for status, answer in said["responses"].items():
        if status.startswith("2"):
            for media, content in answer.get("content", {"": {}}).items():
                given |= set(_names(content.get("schema", {})))
                yield f"{about} {status} {media}".rstrip() + f" | {_kind(content.get('schema', {}))}"


def _schema(about: str, schema: _Json, *, required: bool) -> Iterator[str]:
    must = schema.get("required", ()) if required else ()
    if "properties" not in schema:
        yield f"{about} | {_kind(schema)}"
    for name, one in schema.get("properties", {}).items():
        yield f"{about}.{name} | {_kind(one)}{_must(name in must)}"


def _must(required: bool) -> str:
    return f" {REQUIRED}" if required else ""


def _kind(schema: _Json) -> str:
    """A type in a few signs: `string`, `Job[]`, `integer|null`, `"a"|"b"`, `map of string`."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return "|".join(sorted({_kind(one) for one in schema[several]}))
    if "const" in schema or "enum" in schema:
        return "|".join(f'"{one}"' for one in sorted(map(str, schema.get("enum", [schema.get("const")]))))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"({_kind(schema.get('items', {}))})[]"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map of {_kind(schema['additionalProperties'])}"
    return kind


def _names(schema: object) -> Iterator[str]:
    """The schemas that are named somewhere in this one."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_REF)
        for one in schema.values():
            yield from _names(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from _names(one)


def _reached(names: set[str], schemas: _Json) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name in schemas and name not in found:
            found.add(name)
            left += _names(schemas[name])
    return found


# -- what has become of them -------------------------------------------------------------------------------------------


class Changes(NamedTuple):
    """What differs: what breaks clients, and what only has to be known."""

    breaking: list[str]
    other: list[str]


def changes(before: Sequence[str], after: Sequence[str]) -> Changes:
    """Compare two lists of promises."""
    old, new = _table(before), _table(after)
    there = {_owner(what) for what in old}
    breaking = [f"is gone: {what}" for what in old if what not in new]
    other: list[str] = []
    for what, how in new.items():
        needed = how.endswith(f" {REQUIRED}")
        if what not in old and needed and _owner(what) in there:
            breaking.append(f"must be sent now: {what} ({how})")
        elif what not in old:
            other.append(f"is new: {what} ({how})")
        elif how != old[what] and needed and not old[what].endswith(f" {REQUIRED}"):
            breaking.append(f"must be sent now: {what} ({old[what]} -> {how})")
        elif how != old[what]:
            other.append(f"is another: {what} ({old[what]} -> {how})")
    return Changes(breaking, other)


def _table(lines: Sequence[str]) -> dict[str, str]:
    return {what: how for what, _, how in (line.partition(" | ") for line in lines)}


def _owner(what: str) -> str:
    """The operation or schema that a promise is about: what is new as a whole breaks nobody."""
    way, _, rest = what.partition(" ")
    return f"{way} {rest.split('.')[0]}" if way in ("takes", "gives") else f"{way} {rest.split(' ')[0]}"


def told(found: Changes) -> str:
    """The changes for whoever made them."""
    parts = [f"The HTTP API is not what {FILE.name} says. When that is meant: {RENEW}"]
    if found.breaking:
        parts += ["", "BREAKING, for clients that are out there (within /api/v1 only what is new may be added):"]
        parts += [f"  {one}" for one in sorted(found.breaking)]
    if found.other:
        parts += ["", "Other changes:", *(f"  {one}" for one in sorted(found.other))]
    return "\n".join(parts)


def current() -> list[str]:
    """The promises of the API as it is now."""
    from corral.http import create_app  # it takes a second: whoever only compares needs none of it

    return promises(create_app("sqlite:///:memory:").openapi())


def main() -> None:
    """Write the file, and say what is different in it."""
    before = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    after = current()
    FILE.write_text("\n".join(after) + "\n", encoding="utf-8")
    found = changes(before, after)
    sys.stdout.write(f"{len(after)} promises, {len(found.breaking)} broken, {len(found.other)} new or changed\n")
    for one in found.breaking:
        sys.stdout.write(f"BREAKING: {one}\n")


if __name__ == "__main__":
    main()
