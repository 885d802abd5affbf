"""The API keeps what it has promised; whoever changes it is told what would break clients, and what to do."""

import pytest

from tests.web.snapshot import FILE, RENEW, changes, current, promises, told

DOCUMENT = {
    "paths": {
        "/jobs/{id}": {
            "get": {
                "x-permission": "job:read",
                "parameters": [
                    {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}},
                    {"in": "query", "name": "deep", "schema": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
                ],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}},
                    "404": {"content": {}},
                },
            },
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}},
                },
                "responses": {"204": {}},
            },
        }
    },
    "components": {
        "schemas": {
            "Job": {"properties": {"id": {"type": "string"}, "of": {"$ref": "#/components/schemas/Of"}},
                    "required": ["id"]},
            "Of": {"properties": {"tags": {"type": "array", "items": {"type": "string"}}}},
            "Body": {"properties": {"state": {"enum": ["b", "a"]}, "n": {"type": "integer"}}, "required": ["state"]},
            "Unused": {"properties": {"x": {}}},
        }
    },
    "x-problem-codes": {"job-active": {"status": 409, "title": "The job is running"}},
}  # fmt: skip


def test_the_api_is_as_it_was_promised() -> None:
    found = changes(FILE.read_text(encoding="utf-8").splitlines(), current())
    assert not any(found), told(found)


def test_a_document_is_a_list_of_promises() -> None:
    assert promises(DOCUMENT) == [
        "GET /jobs/{id} 200 application/json | Job",
        "GET /jobs/{id} path id | string required",
        "GET /jobs/{id} query deep | integer|null",
        "GET /jobs/{id} | job:read",
        "POST /jobs/{id} 204 | any",
        "POST /jobs/{id} body application/json | Body required",
        "POST /jobs/{id} | anybody",
        "gives Job.id | string",
        "gives Job.of | Of",
        "gives Of.tags | (string)[]",
        "problem job-active | 409",
        "takes Body.n | integer",
        'takes Body.state | "a"|"b" required',
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (["GET /a | x"], [], "is gone: GET /a"),
        (["gives Job.id | string", "gives Job.n | integer"], ["gives Job.id | string"], "is gone: gives Job.n"),
        (["GET /a | x"], ["GET /a | x", "GET /a query b | string required"], "must be sent now: GET /a query b"),
        (["GET /a query b | string"], ["GET /a query b | string required"], "must be sent now: GET /a query b"),
        (["takes B.x | any"], ["takes B.x | any", "takes B.y | string required"], "must be sent now: takes B.y"),
        (["problem job-active | 409"], [], "is gone: problem job-active"),
    ],
)
def test_what_breaks_clients_is_named(before: list[str], after: list[str], said: str) -> None:
    [broken] = (found := changes(before, after)).breaking
    assert broken.startswith(said)
    assert "BREAKING" in told(found)
    assert RENEW in told(found)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([], ["GET /a | x"], "is new: GET /a (x)"),
        (["GET /a | x"], ["GET /a | x", "GET /a query b | string"], "is new: GET /a query b (string)"),
        (["gives J.x | any"], ["gives J.x | any", "gives J.y | string"], "is new: gives J.y (string)"),
        (["GET /a | x"], ["GET /a | y"], "is another: GET /a (x -> y)"),
    ],
)
def test_what_breaks_nobody_is_only_told(before: list[str], after: list[str], said: str) -> None:
    found = changes(before, after)
    assert (found.breaking, found.other) == ([], [said])
    assert "BREAKING" not in told(found)


def test_an_endpoint_that_is_new_may_ask_for_what_it_likes() -> None:
    assert (
        changes([], ["POST /a | x", "POST /a body application/json | B required", "takes B.x | any required"])[0] == []
    )
