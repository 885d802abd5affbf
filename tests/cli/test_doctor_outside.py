"""D21, D22 and D23: the HTTP API as it is seen from outside, and the keys that it is configured with."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from corral.cli import outside

from .api_server import TOKEN, Both, served
from .helpers import call, finish

Answer = tuple[int, dict[str, str], bytes]
HEADERS = {"X-Content-Type-Options": "nosniff", "X-Request-Id": "r1", "Content-Security-Policy": "default-src 'none'"}


@contextmanager
def site(answer: Callable[[str], Answer | None]) -> Iterator[str]:
    """A server of any kind; None: it says nothing until the test is over."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = answer(self.path)
            if given is None:
                over.wait(30)
                return
            self.send_response(given[0])
            for name, value in given[1].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(given[2])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as it is called there
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        over.set()
        server.shutdown()
        thread.join()


def rows(address: str, token: str | None = None) -> list[tuple[str, str, str]]:
    return [(str(one["code"]), str(one["verdict"]), str(one["message"])) for one in outside.look(address, token)]


def of(status: int, headers: dict[str, str] | None = None) -> Callable[[str], Answer]:
    """An API that answers its root like this."""

    def answer(path: str) -> Answer:
        return (200, HEADERS, b"ok") if path == "/livez" else (status, HEADERS if headers is None else headers, b"{}")

    return answer


@pytest.fixture
def both(folder: Path, url: str) -> Iterator[Both]:
    """A real API."""
    with served(url, folder) as found:
        yield found


@pytest.mark.slow
def test_an_api_that_asks_who_is_there_and_lets_events_through_is_well(both: Both) -> None:
    assert rows(both.api) == [
        ("D21", "ok", f"{both.api} asks who is there"), ("D23", "ok", f"{both.api} answers as it should"),
    ]  # fmt: skip
    assert rows(both.api, TOKEN)[-1] == ("D23", "ok", f"{both.api} answers as it should")
    assert rows(both.api, "wrong")[-1][1:] == ("warning", f"{both.api}/api/v1/events: it answers 401")


@pytest.mark.slow
def test_doctor_brings_what_is_seen_from_outside(both: Both) -> None:
    result = call("doctor", "--url", both.store, "--public-url", both.api, "--only", "D15", "-o", "ndjson")
    codes = [json.loads(line)["code"] for line in result.stdout.splitlines()]
    assert codes[-2:] == ["D21", "D23"]


def test_an_api_that_answers_anybody_is_found() -> None:
    with site(of(200)) as address:
        assert rows(address)[0] == ("D21", "warning", f"{address} answers anybody, without a token")


def test_a_proxy_that_takes_headers_away_is_found() -> None:
    with site(of(401, {"X-Request-Id": "r1"})) as address:
        assert rows(address)[-1] == (
            "D23", "warning", "the proxy takes headers away: x-content-type-options, content-security-policy",
        )  # fmt: skip


def test_a_prefix_below_which_nothing_is_served_is_found() -> None:
    with site(lambda path: (404, {}, b"")) as address:
        [(code, verdict, message)] = rows(f"{address}/queues/")
        assert (code, verdict, message) == ("D23", "failed", f"there is no API below {address}/queues")


def test_a_proxy_that_holds_events_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "PATIENCE", 5.0)

    def answer(path: str) -> Answer | None:
        return None if path.endswith("/events") else of(401)(path)

    with site(answer) as address:
        assert rows(address, "token")[-1] == (
            "D23", "warning",
            f"{address}/api/v1/events: nothing comes: the proxy holds back what should come at once",
        )  # fmt: skip


def test_events_that_are_none_are_found() -> None:
    def answer(path: str) -> Answer:
        return (200, HEADERS, b"<html>\n") if path.endswith("/events") else of(401)(path)

    with site(answer) as address:
        assert rows(address, "token")[-1][2].endswith("what comes are no events")


def test_what_is_no_address_or_does_not_answer_is_found() -> None:
    assert rows("jobs.example.com") == [("D23", "failed", "'jobs.example.com' is no address")]
    with site(of(200)) as address:
        pass
    [(code, verdict, message)] = rows(address)
    assert (code, verdict) == ("D23", "failed")
    assert message.startswith(f"{address}/livez does not answer: ")


def test_an_address_that_is_not_encrypted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_ask", lambda address: (401, frozenset(outside.HEADERS)))
    found = rows("http://jobs.example.com")
    assert found[0] == ("D23", "warning", "http://jobs.example.com is not encrypted: tokens can be read")
    monkeypatch.setattr(outside, "_ask", lambda address: (200, frozenset(outside.HEADERS)))
    assert rows("https://jobs.example.com")[0][:2] == ("D21", "failed"), "beyond this machine it is no mere warning"


# -- D22 ---------------------------------------------------------------------------------------------------------------


def keys(url: str) -> list[tuple[str, str]]:
    """Verdict and message of the check on keys."""
    result = call("doctor", "--url", url, "--only", "D22", "-o", "ndjson")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [(row["verdict"], row["message"]) for row in found]


def test_keys_are_looked_at_where_an_api_is_configured(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(url, "mail", 1)
    assert keys(url) == [], "no API is configured here"
    (folder / "corral.toml").write_text('[api]\njwt_secret = "changeme-changeme-changeme-changeme"\n')
    assert keys(url) == [("failed", "jwt_secret looks made up: it can be guessed")]
    monkeypatch.setenv("CORRAL_API_JWT_SECRET", "V1StGXR8-Z5jdHi6B_myT0PbcLqkWmNu3zYx7AoKeF2h")
    assert keys(url) == [("ok", "keys and tokens are strong")]
    monkeypatch.setenv("CORRAL_API_JWT_SECRET", "short")
    [(verdict, message)] = keys(url)
    assert verdict == "failed"
    assert "jwt_secret must have at least 32 bytes" in message
