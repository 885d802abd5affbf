"""The OpenAPI document: complete, valid, with examples; and the guide's table of endpoints is made from it."""

import json
import re
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest
from fastapi import FastAPI

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "http-api.md"
BEGIN, END = "<!-- endpoints -->", "<!-- end of endpoints -->"
Document: TypeAlias = dict[str, dict[str, dict[str, dict[str, object]]]]
#: What FastAPI and pydantic put there by themselves.
PLAIN = ("HTTPValidationError", "ValidationError", "JsonValue")
#: What is described beside the routes of this folder.
OTHERS = ("/api/v1/events", "/api/v1/me", "/api/v1/log")
VERBS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def document(app: FastAPI) -> Document:
    """The document of the API."""
    found: Document = app.openapi()
    return found


def operations(document: Document) -> list[tuple[str, str, dict[str, object]]]:
    """Verb, path and description of each operation."""
    return [
        (verb, path, item[verb])
        for path, item in sorted(document["paths"].items())
        for verb in VERBS
        if verb in item and path.startswith("/api/v1")
    ]


async def test_the_document_is_served_as_openapi_3_1(admin: httpx.AsyncClient) -> None:
    found = (await admin.get("/openapi.json")).json()
    assert found["openapi"].startswith("3.1")


def test_every_operation_has_an_id_a_tag_a_summary_and_its_problems(
    document: Document,
) -> None:
    found = operations(document)
    ids = [str(one["operationId"]) for _, _, one in found]
    assert len(set(ids)) == len(ids)
    for verb, path, one in found:
        assert one["tags"], (verb, path)
        assert one["summary"], (verb, path)
        if path.startswith(OTHERS):
            continue
        assert "default" in one["responses"], (verb, path)  # type: ignore[operator]  # a table


def test_every_reference_leads_somewhere(document: Document) -> None:
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in schemas, name
    assert [name for name, schema in schemas.items() if "description" not in schema and name not in PLAIN] == []


def test_the_main_answers_come_with_examples(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for name in ("Queue", "Job", "ScheduleInfo", "Worker", "OperationInfo", "NewToken", "Autoscale", "ApiProblem"):
        assert "examples" in json.dumps(schemas[name]), name


def table(document: Document) -> str:
    """The endpoints as the guide lists them."""
    lines = ["| | path | who | what |", "|---|---|---|---|"]
    for verb, path, one in operations(document):
        right = one.get("x-permission", "anybody" if not one.get("security") else "whoever is known")
        lines.append(f"| {verb.upper()} | `{path.removeprefix('/api/v1') or '/'}` | `{right}` | {one['summary']} |")
    return "\n".join(lines)


def test_the_guide_lists_every_endpoint(document: Document) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    listed = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    wanted = table(document)
    assert listed == wanted, "write the table of this test between the two comments of docs/guides/http-api.md"
