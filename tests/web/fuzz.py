"""Requests that nobody would think of, made from the OpenAPI document, by every role, against a real server.

    python -m tests.web.fuzz --requests 20000        # both engines, all roles; a table of what was answered

Whatever is asked: no 5xx, no 2xx without the permission, and no trace, path or secret in an answer.
"""

import argparse
import asyncio
import json
import re
import socket
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import schemathesis
import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from corral import Corral, Every, Keep
from corral.admin.rights import ROLES
from corral.http.app import create_app
from corral.http.route import rule_of
from corral.worker.worker import WorkerOptions
from tests.redis_server import shared_server

from .conftest import TOKENS, make_settings

#: Nobody's secrets: they stand in payloads, results and reasons, and must not come out.
CANARY = "kanarienvogel-4711"
PASSWORD = "stores-password-0815"
LEAKS = re.compile(
    r"Traceback \(most recent|File \\?\"|site-packages|/src/corral/|\.py[\"', ]|sqlite3?\.|apsw\.|redis\.exceptions|"
    + re.escape(PASSWORD)
)
STACK = re.compile(r'"stack":"(?:[^"\\]|\\.)*"')
ALLOWED = (None, *ROLES)
QUEUE, JOB = "email", "j-12345"


@dataclass
class Tally:
    """What came back."""

    asked: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)  #: by path

    def note(self, role: str | None, status: int, seconds: float, path: str) -> None:
        self.asked += 1
        self.seconds[path] += round(seconds * 1_000_000)
        self.statuses[(role or "anonymous", status)] += 1


def application(url: str) -> Corral:
    """A queue with a typed job, so that schemas and effective options are asked for too."""
    app = Corral(url)
    email = app.queue(QUEUE, attempts=1, keep_failed=Keep(count=1_000))

    @email.job("welcome", sensitive=("card",))
    async def welcome(data: dict[str, Any]) -> str:
        raise ValueError("no")

    app.schedule("weekly", Every(3_600), welcome, {"to": "all"})
    return app


async def seed_jobs(url: str) -> None:
    """Jobs in each state, a flow and a schedule, under the names that requests will hit."""
    app = application(url)
    welcome = app.queues[QUEUE].definition("welcome")
    async with app:
        secret = {"to": "ann@example.com", "card": CANARY, "password": CANARY}
        await welcome.add(secret, id=JOB)
        for _ in range(3):
            await welcome.add(secret)
            await welcome.add(secret, delay=3_600)
        worker = await app.worker(options=WorkerOptions(burst=True, stats_interval=0))
        await worker.run()
        for number in range(3):
            await welcome.add(secret, tags=["tenant-42"])
            await welcome.add(secret, id=f"{JOB}-{number}")


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application on a socket, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for _ in range(300):
        try:
            if requests.get(f"{base}/readyz", timeout=10).status_code == 200:
                break
        except requests.ConnectionError:
            pass
        threading.Event().wait(0.1)
    try:
        yield base
    finally:
        app.state.corral.closing.set()
        server.should_exit = True
        thread.join(30)


def rules(app: FastAPI) -> dict[tuple[str, str], frozenset[str | None]]:
    """Who may have a 2xx of each route: by its own rule."""
    found: dict[tuple[str, str], frozenset[str | None]] = {}
    for route in app.routes:
        if isinstance(route, APIRoute):
            permission = rule_of(route).permission
            for method in route.methods or ():
                found[method, route.path] = frozenset(
                    role for role in ALLOWED
                    if permission is None or (role is not None and permission in ROLES[role])
                )  # fmt: skip
    return found


def hit(case: Any, dice: int) -> None:
    """Let some requests meet what is there, and none wait or take long."""
    known = {"q": QUEUE, "id": JOB if "jobs" in case.operation.path or "flows" in case.operation.path else "weekly"}
    parameters = case.path_parameters or {}
    for name, value in known.items():
        if name in parameters and dice % 4:
            parameters[name] = f"{value}-{dice % 3}" if name == "id" and dice % 5 == 0 else value
    query = case.query or {}
    if isinstance(query.get("wait"), int | float):
        query["wait"] = 0
    headers = case.headers or {}
    for name in list(headers):
        if name.lower() == "prefer" or name.lower() == "authorization":
            del headers[name]


def fuzz(base: str, app: FastAPI, examples: int, tally: Tally, seed_number: int = 1, only: str = "") -> None:
    """`examples` requests for each operation and role, good ones and bad ones."""
    allowed = rules(app)
    schema = schemathesis.openapi.from_dict(app.openapi())
    session = requests.Session()
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # a document that cannot be read ends the run
        if operation.path == "/api/v1/events" and operation.method.upper() == "GET":
            continue  # it does not end; tests/web/test_events.py has it
        for role in ALLOWED if only in operation.path else ():
            _fuzz_one(base, operation, role, allowed, examples, tally, session, seed_number)


def _fuzz_one(
    base: str, operation: Any, role: str | None, allowed: dict[tuple[str, str], frozenset[str | None]],
    examples: int, tally: Tally, session: requests.Session, seed_number: int,
) -> None:  # fmt: skip
    headers = {} if role is None else {"Authorization": f"Bearer {TOKENS[role]}"}
    modes = schemathesis.GenerationMode
    cases = st.one_of(operation.as_strategy(generation_mode=modes.POSITIVE), _bad(operation))

    @seed(seed_number)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases, dice=st.integers(0, 59))
    def ask(case: Any, dice: int) -> None:
        hit(case, dice)
        try:
            answer = case.call(base_url=base, session=session, headers=headers, timeout=60, allow_redirects=False)
        except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError, ValueError):
            return  # no client can send it
        tally.note(role, answer.status_code, float(answer.elapsed), operation.path)
        what = f"{role or 'anonymous'} {operation.method.upper()} {operation.path} -> {answer.status_code}"
        body = answer.text
        if answer.status_code >= 500:
            tally.wrong.append(f"{what}: {case.as_curl_command()[:600]} {body[:300]}")
        may = allowed.get((operation.method.upper(), operation.path), frozenset())
        if answer.status_code < 300 and role not in may:
            tally.wrong.append(f"{what}: without the permission: {case.as_curl_command()[:600]}")
        # What a job's own handler raised is there to be seen, with its trace.
        if leak := LEAKS.search(STACK.sub("", body)):
            tally.wrong.append(f"{what}: tells of the inside: {leak[0]} in {body[:400]}")
        if CANARY in body and role != "admin":
            tally.wrong.append(f"{what}: shows what is sensitive: {body[:400]}")
        if answer.status_code >= 400 and operation.method.upper() != "HEAD":
            _check_problem(what, answer, tally)

    ask()


def _bad(operation: Any) -> st.SearchStrategy[Any]:
    """Requests against the document; an operation that takes nothing has none."""
    try:
        strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    except Exception:  # the library's own ways to say so
        strategy = operation.as_strategy()
    found: st.SearchStrategy[Any] = strategy
    return found


def _check_problem(what: str, answer: Any, tally: Tally) -> None:
    try:
        found = json.loads(answer.text)
    except ValueError:
        tally.wrong.append(f"{what}: no problem: {answer.text[:200]}")
        return
    if not {"type", "title", "status", "code"} <= found.keys() or found["status"] != answer.status_code:
        tally.wrong.append(f"{what}: no problem: {answer.text[:200]}")


def run(url: str, examples: int, tally: Tally, seed_number: int = 1, only: str = "") -> None:
    """Serve a seeded store and ask."""
    asyncio.run(seed_jobs(url))
    app = create_app(application(url), settings=make_settings())
    with serving(app) as base:
        fuzz(base, app, examples, tally, seed_number, only)


def main() -> int:
    """The command: `--requests` over both engines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--engine", choices=("sqlite", "redis"), action="append")
    parser.add_argument("--examples", type=int, default=8, help="of each operation and role, in each round")
    parser.add_argument("--only", default="", help="paths that have this in them")
    parser.add_argument("--seed", type=int, default=1)
    given_ = parser.parse_args()
    warnings.simplefilter("ignore")
    tally = Tally()
    engines = given_.engine or ["sqlite", "redis"]
    round_number = 0
    with ExitStack() as stack:
        urls: list[str] = []
        for engine in engines:
            if engine == "sqlite":
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                urls.append(f"sqlite:///{Path(folder) / 'corral.db'}")
            else:
                urls.append(f"{stack.enter_context(shared_server())}")
        while tally.asked < given_.requests and not tally.wrong:
            for url in urls:
                run(url, given_.examples, tally, given_.seed + round_number, given_.only)
            round_number += 1
            print(f"{tally.asked:,} requests", file=sys.stderr)
    for (role, status), count in sorted(tally.statuses.items()):
        print(f"{role:10} {status} {count:7,}")
    for wrong in tally.wrong[:50]:
        print("WRONG", wrong)
    for path, micros in tally.seconds.most_common(5):
        print(f"{micros / 1_000_000:7.1f} s in {path}")
    print(f"{tally.asked:,} requests, {len(tally.wrong)} wrong")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
