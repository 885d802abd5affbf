"""The OpenAPI document as a page for people: one file without scripts, fonts or anything from elsewhere."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_REF = "#/components/schemas/"
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--link:#06c}
@media(prefers-color-scheme:dark){:root{--link:#6af}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;font:16px/1.5 system-ui,sans-serif}
a{color:var(--link)} code,pre{font:14px/1.45 ui-monospace,monospace}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)} h4{margin:1rem 0 .25rem}
pre{overflow:auto;padding:.75rem;background:var(--soft);border-radius:.4rem;max-height:28rem}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;padding:0 .75rem}
details:has(:target){outline:2px solid var(--link)}
summary{cursor:pointer;padding:.5rem 0;display:flex;gap:.75rem;flex-wrap:wrap;align-items:baseline}
summary code{font-weight:600;overflow-wrap:anywhere} summary small{margin-left:auto}
.verb{display:inline-block;min-width:4.2rem;font:600 13px ui-monospace,monospace;text-transform:uppercase}
table{border-collapse:collapse;width:100%} .wide{overflow-x:auto}
th,td{text-align:left;vertical-align:top;padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line)}
nav ul{columns:16rem;padding-left:1.1rem}
"""
#: What the page may load: its own style and nothing else.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def page(document: Json, *, address: str) -> str:
    """The whole page. `address` is where the document itself is."""
    groups = _grouped(document)
    schemas: Json = document.get("components", {}).get("schemas", {})
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{escape(info['title'])} {escape(info['version'])}: HTTP API</title>",
        f"<style>{_STYLE}</style></head><body>",
        f"<header><h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        f"{_prose(info.get('description', ''))}<p>The same for programs: <a href='{escape(address)}'>OpenAPI "
        f"{escape(document['openapi'])}</a>.</p></header>",
        _contents(groups),
        "<main>",
    ]
    for tag, operations in groups.items():
        parts.append(f"<section><h2 id='tag-{_slug(tag)}'>{escape(tag)}</h2>")
        parts += [_operation(path, verb, found) for path, verb, found in operations]
        parts.append("</section>")
    parts.append("<section><h2 id=schemas>Objects</h2>")
    parts += [_schema(name, schema) for name, schema in sorted(schemas.items())]
    parts += ["</section>", _problems(document.get("x-problem-codes", {})), "</main></body></html>"]
    return "".join(parts)


def _grouped(document: Json) -> dict[str, list[tuple[str, str, Json]]]:
    groups: dict[str, list[tuple[str, str, Json]]] = {}
    for path, verbs in document.get("paths", {}).items():
        for verb in _METHODS:
            if verb in verbs:
                tag = next(iter(verbs[verb].get("tags", ())), "Other")
                groups.setdefault(tag[:1].upper() + tag[1:], []).append((path, verb, verbs[verb]))
    return dict(sorted(groups.items()))


def _contents(groups: Mapping[str, Sequence[object]]) -> str:
    links = [f"<li><a href='#tag-{_slug(tag)}'>{escape(tag)}</a> ({len(found)})" for tag, found in groups.items()]
    links += ["<li><a href='#schemas'>Objects</a>", "<li><a href='#problems'>Problems</a>"]
    return f"<nav aria-label=Contents><ul>{''.join(links)}</ul></nav>"


def _operation(path: str, verb: str, found: Json) -> str:
    permission = found.get("x-permission") or ("whoever is known" if found.get("security") else "anybody")
    summary, description = found.get("summary", ""), found.get("description", "")
    said = "" if description.strip(" .") == summary.strip(" .") else _prose(description)
    parameters = _table(("Name", "In", "Type", "Meaning"), [_parameter(one) for one in found.get("parameters", ())])
    answers = [_answer(status, one) for status, one in sorted(found.get("responses", {}).items())]
    return (
        f"<details><summary><span class=verb>{verb}</span>"
        f"<code>{escape(path)}</code> {escape(summary)}<small>{escape(permission)}</small></summary>"
        f"{_anchor(found.get('operationId', verb + path))}"
        f"{said}{'<h4>Parameters</h4>' if parameters else ''}{parameters}{_body(found.get('requestBody'))}"
        f"<h4>Answers</h4>{_table(('Status', 'What', 'Body'), answers)}</details>"
    )


def _table(titles: Sequence[str], rows: Sequence[str]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{title}" for title in titles)
    return f"<div class=wide><table><tr>{head}{''.join(rows)}</table></div>"


def _parameter(one: Json) -> str:
    schema = one.get("schema", {})
    name = f"<code>{escape(one['name'])}</code>{' (required)' if one.get('required') else ''}"
    words = one.get("description") or schema.get("description", "")
    return f"<tr><td>{name}<td>{escape(one['in'])}<td>{_type(schema)}<td>{_inline(words)}"


def _body(body: Json | None) -> str:
    if body is None:
        return ""
    schemas: list[tuple[str, Json]] = [(kind, one.get("schema", {})) for kind, one in body["content"].items()]
    kinds = [f"<li><code>{escape(kind)}</code>: {_type(schema)}" for kind, schema in schemas]
    return f"<h4>Body{'' if body.get('required') else ' (optional)'}</h4><ul>{''.join(kinds)}</ul>"


def _answer(status: str, one: Json) -> str:
    shown = dict.fromkeys(_type(content.get("schema", {})) for content in one.get("content", {}).values())
    words = str(one.get("description", "")).removeprefix("Successful Response")
    return f"<tr><td>{escape(status)}<td>{_inline(words)}<td>{', '.join(shown)}"


def _schema(name: str, schema: Json) -> str:
    required = set(schema.get("required", ()))
    rows = [
        f"<tr><td><code>{escape(key)}</code>{' (required)' if key in required else ''}<td>{_type(one)}"
        f"<td>{_inline(one.get('description', ''))}"
        for key, one in schema.get("properties", {}).items()
    ]
    examples = "".join(
        f"<h4>Example</h4><pre>{escape(json.dumps(one, indent=1, ensure_ascii=False))}</pre>"
        for one in schema.get("examples", ())
    )
    plain = "" if rows else f"<p>{_type(schema)}</p>"
    return (
        f"<details><summary><code>{escape(name)}</code></summary>{_anchor(f'schema-{name}')}"
        f"{_prose(schema.get('description', ''))}{_table(('Field', 'Type', 'Meaning'), rows)}"
        f"{plain}{examples}</details>"
    )


def _problems(codes: Mapping[str, Json]) -> str:
    rows = [
        f"<tr id='problem-{_slug(code)}'><td><code>{escape(code)}</code><td>{one['status']}<td>{escape(one['title'])}"
        for code, one in sorted(codes.items())
    ]
    return f"<section><h2 id=problems>Problems</h2>{_table(('Code', 'Status', 'Means'), rows)}</section>"


def _type(schema: Json) -> str:
    """What a value is, in a word or a few, with links to objects."""
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(_REF)
        return f"<a href='#schema-{_slug(name)}'>{escape(name)}</a>"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[key]))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"<code>{escape(json.dumps(one))}</code>" for one in values)
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    word = escape(" or ".join(kind) if isinstance(kind, list) else str(kind or "any value"))
    return word + "".join(_bounds(schema))


def _bounds(schema: Json) -> Iterator[str]:
    if "default" in schema and schema["default"] not in (None, ""):
        yield f", {escape(json.dumps(schema['default']))} by default"
    for key, words in (("minimum", "from"), ("maximum", "to"), ("maxLength", "up to"), ("maxItems", "up to")):
        if key in schema:
            yield f", {words} {schema[key]:,}{' characters' if key == 'maxLength' else ''}"
    if "format" in schema:
        yield f" ({escape(schema['format'])})"


def _inline(text: str) -> str:
    """A line of text: what stands in backquotes is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(one)}</p>" for one in re.split(r"\n\s*\n", text.strip()) if one)


def _anchor(name: str) -> str:
    """What an address points to. It stands inside of what is folded up: browsers unfold it then."""
    return f"<span id='{_slug(name)}'></span>"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
