"""The OpenAPI document: FastAPI's own, with how callers are recognised, and with what problems look like."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from corral.http.problems import CATALOGUE, MEDIA_TYPE, Problem, body_of
from corral.http.route import CorralRoute

_EXAMPLE = body_of(
    Problem("job-not-found", "Job '12345' is not in queue 'mail'.", more={"queue": "mail", "job_id": "12345"}),
    instance="/api/v1/queues/mail/jobs/12345", request_id="01k2m3n4p5q6r7s8t9v0w1x2y3",
    about="/api/v1/problems/job-not-found",
)  # fmt: skip


class ApiProblem(BaseModel):
    """What is answered when a request cannot be served. Decide by `code`; further members depend on it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra=lambda schema: schema.update(
            required=["type", "title", "status", "detail", "code"], examples=[_EXAMPLE]
        ),
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str = ""
    request_id: str = ""
    help: str = ""


#: Stands at one route, so that the schema that all name is part of any application's document.
PROBLEM_RESPONSE: dict[int | str, dict[str, Any]] = {"default": {"model": ApiProblem, "description": "A problem."}}

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API token (crl_…), a JWT or a session."},
    "session": {"type": "apiKey", "in": "cookie", "name": "__Host-corral", "description": "From POST /login."},
    "scraper": {"type": "http", "scheme": "basic", "description": "For /metrics only."},
}


def completed(app: FastAPI, document: dict[str, Any]) -> dict[str, Any]:
    """The document with the rule of each operation, and with problems in their own media type."""
    parts = document.setdefault("components", {})
    parts["securitySchemes"] = _SCHEMES
    paths: dict[str, Any] = document.get("paths", {})
    for route in _routes(app):
        for method in route.methods or ():
            operation = paths.get(route.path_format, {}).get(method.lower())
            if operation is None:
                continue
            if route.rule.recognise:
                operation["security"] = [{"bearer": []}, {"session": []}]
            if route.rule.permission is not None:
                operation["x-permission"] = str(route.rule.permission)
            _as_problems(operation)
    document["x-problem-codes"] = {
        code: {"status": status, "title": title} for code, (status, title) in CATALOGUE.items()
    }
    return document


def _routes(app: FastAPI) -> Iterable[CorralRoute]:
    return (route for route in app.routes if isinstance(route, CorralRoute))


def _as_problems(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        if not str(status).startswith("2") and "application/json" in content:
            content[MEDIA_TYPE] = content.pop("application/json")
