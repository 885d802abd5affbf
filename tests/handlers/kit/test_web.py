"""Requests to other people's servers: what is sent, what may come back, and what becomes of everything else."""

import asyncio
import gzip
import json
import ssl
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from corral.handlers.kit.answers import short
from corral.handlers.kit.bodies import Limit, lines_of, unpacked
from corral.handlers.kit.web import (
    Answer,
    AuthError,
    BusyError,
    RefusedError,
    TooLargeError,
    Web,
    WebError,
    check,
    retry_after,
)

from .raw_server import PUBLIC, Names, answer, answering, outside, raw_server

# -- what is sent -----------------------------------------------------------------------------------------------------


async def test_a_request_carries_its_method_query_headers_and_json() -> None:
    async with raw_server(answering(answer(201, b'{"id": 7}', content_type="application/json"))) as server:
        web = Web(trusted=[server.url], timeout=60)
        got = await web.request(
            "post",
            f"{server.url}/things?a=1",
            params={"b": "ø &", "c": 2},
            json={"name": "Ånn"},
            headers={"X-Key": "k"},
        )
    head, _, body = server.asked[0].partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "POST /things?a=1&b=%C3%B8+%26&c=2 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert "x-key: k" in lines
    assert "content-type: application/json" in lines
    assert json.loads(body) == {"name": "Ånn"}
    assert (got.status, got.ok, got.json(), got.headers["content-type"]) == (201, True, {"id": 7}, "application/json")
    assert repr(got) == f"<Answer 201 of 9 bytes from {server.url}/…>"


async def test_bytes_are_sent_as_they_are() -> None:
    async with raw_server(answering(answer())) as server:
        await Web(trusted=[server.url], timeout=60).request(
            "PUT", f"{server.url}/", content=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
    assert server.asked[0].endswith("content-length: 3\r\n\r\na=1")
    assert "content-type: application/x-www-form-urlencoded" in server.asked[0]


async def test_no_cookie_is_kept_and_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with (
        raw_server(answering(answer(set_cookie="session=1"))) as server,
        Web(trusted=[server.url], timeout=60) as web,
    ):
        await web.request("GET", f"{server.url}/")
        await web.request("GET", f"{server.url}/")
    assert "cookie" not in "".join(server.asked).lower()
    assert server.connections == 1


async def test_without_a_block_nothing_stays_open() -> None:
    async with raw_server(answering(answer())) as server:
        web = Web(trusted=[server.url], timeout=60)
        await web.request("GET", f"{server.url}/")
        await web.request("GET", f"{server.url}/")
    assert server.connections == 2


async def test_blocks_inside_each_other_share_their_connections() -> None:
    async with raw_server(answering(answer())) as server:
        web = Web(trusted=[server.url], timeout=60)
        async with web:
            async with web:
                await web.request("GET", f"{server.url}/")
            await web.request("GET", f"{server.url}/")
        assert server.connections == 1
        await web.request("GET", f"{server.url}/")
    assert server.connections == 2


async def test_nan_is_not_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        await Web().request("POST", "https://example.com/", json={"a": float("nan")})


@pytest.mark.parametrize("value", ["canary\r\nx-b: c", "canary\n", "canary\0", "canary ø", " canary", "canary "])
async def test_what_no_header_may_hold_is_not_sent(value: str) -> None:
    async with raw_server(answering(answer())) as server:
        with pytest.raises(RefusedError, match="'x-a'") as caught:
            await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/", headers={"x-a": value})
        with pytest.raises(RefusedError):
            await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/", headers={value: "x"})
    assert server.asked == []
    assert "canary" not in str(caught.value)


# -- TLS --------------------------------------------------------------------------------------------------------------


async def test_https_asks_for_the_name_though_it_goes_to_a_number(ca_file: Path, named_tls: ssl.SSLContext) -> None:
    async with raw_server(answering(answer(body=b"safe")), named_tls) as server:
        web = Web(resolve=Names(), ca_file=ca_file, timeout=60)
        dialled = outside(web, server.port)
        assert (await web.request("GET", "https://hooks.example.com/")).body == b"safe"
        with pytest.raises(WebError, match=r"(?i)certificate"):
            await web.request("GET", "https://other.example.com/")
    assert dialled.addresses == [(PUBLIC, 443), (PUBLIC, 443)]
    assert len(server.asked) == 1


async def test_a_certificate_of_an_unknown_authority_is_refused(named_tls: ssl.SSLContext) -> None:
    async with raw_server(answering(answer()), named_tls) as server:
        web = Web(resolve=Names(), timeout=60)
        outside(web, server.port)
        with pytest.raises(WebError, match=r"(?i)certificate"):
            await web.request("GET", "https://hooks.example.com/")
    assert server.asked == []


# -- redirects --------------------------------------------------------------------------------------------------------


async def test_three_redirects_are_followed_and_not_four() -> None:
    moved = [answer(302, location=f"/{step}") for step in (1, 2, 3)]
    async with raw_server(answering(*moved, answer(body=b"there"))) as server:
        got = await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/0")
        assert (got.body, got.url) == (b"there", f"{server.url}/3")
    async with raw_server(answering(answer(302, location="/again"))) as server:
        with pytest.raises(RefusedError, match="one redirect too many: 3 are followed"):
            await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/0")
        assert len(server.asked) == 4


async def test_another_server_gets_none_of_the_keys() -> None:
    async with raw_server(answering(answer(302, location="http://example.org/b"), answer())) as server:
        web = Web(resolve=Names(), plain_http=True, timeout=60)
        outside(web, server.port)
        headers = {"Authorization": "Bearer canary1", "X-Shop-Token": "canary2", "Accept": "text/x"}
        await web.request("GET", "http://example.com/a", headers=headers)
    assert "canary1" in server.asked[0]
    assert "canary2" in server.asked[0]
    assert "canary" not in server.asked[1]
    assert "accept: text/x" in server.asked[1]
    assert "Host: example.org" in server.asked[1]


async def test_the_same_server_gets_them_again() -> None:
    async with raw_server(answering(answer(307, location="/b"), answer())) as server:
        web = Web(trusted=[server.url], timeout=60)
        await web.request("POST", f"{server.url}/a", json=[1], headers={"Authorization": "Bearer canary"})
    assert server.first_lines() == ["POST /a HTTP/1.1", "POST /b HTTP/1.1"]
    assert "canary" in server.asked[1]
    assert server.asked[1].endswith("[1]")


async def test_what_was_posted_is_not_passed_on_to_another_server() -> None:
    async with raw_server(answering(answer(307, location="http://example.org/"))) as server:
        web = Web(resolve=Names(), plain_http=True, timeout=60)
        outside(web, server.port)
        with pytest.raises(WebError, match="another server"):
            await web.request("POST", "http://example.com/", json={"a": 1})
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_post_that_is_to_become_a_get_is_answered_with_the_redirect(status: int) -> None:
    async with raw_server(answering(answer(status, location="/b"))) as server:
        got = await Web(trusted=[server.url], timeout=60).request("POST", f"{server.url}/a", json={})
    assert got.status == status
    with pytest.raises(RefusedError):
        check(got, "it")


async def test_a_redirect_without_an_address_is_an_answer() -> None:
    async with raw_server(answering(answer(302))) as server:
        assert (await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/a")).status == 302


# -- time and size ----------------------------------------------------------------------------------------------------


async def test_a_server_that_says_nothing_is_not_waited_for_beyond_the_time() -> None:
    asked = asyncio.Event()

    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with raw_server(talk) as server:
        with pytest.raises(WebError, match=r"GET http://127.0.0.1:\d+/… took longer than 0\.3 s"):
            await Web(trusted=[server.url], timeout=0.3).request("GET", f"{server.url}/slow?key=canary")


async def test_a_body_that_drips_is_not_waited_for_either() -> None:
    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)  # the drip is what is tested

    async with raw_server(talk) as server:
        with pytest.raises(WebError, match="took longer"):
            await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/", timeout=0.3)


async def test_the_time_is_for_the_resolver_too() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(WebError, match="took longer"):
        await Web(resolve=resolve, timeout=0.05).request("GET", "https://example.com/")


async def test_an_answer_that_is_announced_as_too_long_is_not_read() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000001\r\n\r\n"
    async with raw_server(answering(head)) as server:
        with pytest.raises(TooLargeError, match="1,000,001 bytes, the most is 1,000,000"):
            await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/")


async def test_an_answer_that_is_not_announced_is_counted() -> None:
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 20
    async with raw_server(answering(endless)) as server:
        with pytest.raises(TooLargeError, match="more than 10,000 bytes"):
            await Web(trusted=[server.url], max_bytes=10_000, timeout=60).request("GET", f"{server.url}/")


async def test_a_packed_answer_is_unpacked() -> None:
    for pack in (gzip.compress, zlib.compress):
        async with raw_server(answering(answer(body=pack(b"hello" * 100), content_encoding="gzip"))) as server:
            assert (await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/")).body == b"hello" * 100


async def test_an_answer_packed_in_several_pieces_is_unpacked_whole() -> None:
    several = b"".join(gzip.compress(text, mtime=0) for text in (b"a" * 1_000, b"", b"b" * 1_000))
    async with raw_server(answering(answer(body=several, content_encoding="gzip"))) as server:
        web = Web(trusted=[server.url], timeout=60)
        assert (await web.request("GET", f"{server.url}/")).body == b"a" * 1_000 + b"b" * 1_000
        with pytest.raises(TooLargeError):
            await web.request("GET", f"{server.url}/", max_bytes=1_999)
        assert len((await web.request("GET", f"{server.url}/", max_bytes=2_000)).body) == 2_000


async def test_a_small_packet_does_not_become_a_large_answer() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    async with raw_server(answering(answer(body=bomb, content_encoding="gzip"))) as server:
        with pytest.raises(TooLargeError):
            await Web(trusted=[server.url], max_bytes=100_000, timeout=60).request("GET", f"{server.url}/")


@pytest.mark.parametrize(
    ("encoding", "body", "match"),
    [
        ("br", b"x", "not asked for"),
        ("gzip", b"no gzip", "broken"),
        ("gzip", gzip.compress(b"x" * 99, mtime=0)[:-9], "broke off"),
    ],
    ids=["unknown", "no gzip", "cut short"],
)
async def test_a_packed_answer_that_cannot_be_unpacked_is_an_error(encoding: str, body: bytes, match: str) -> None:
    async with raw_server(answering(answer(body=body, content_encoding=encoding))) as server:
        with pytest.raises(WebError, match=match):
            await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/")


async def test_an_unpacked_answer_may_be_exactly_as_long_as_the_limit() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield gzip.compress(b"x" * 500)

    got = [part async for part in unpacked(parts(), {"content-encoding": "gzip"}, Limit(500, "it"))]
    assert b"".join(got) == b"x" * 500


async def test_an_answer_to_head_has_no_body_whatever_it_announces() -> None:
    async with raw_server(
        answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n\r\n")
    ) as server:
        assert (await Web(trusted=[server.url], timeout=60).request("HEAD", f"{server.url}/")).body == b""


@pytest.mark.parametrize("wrong", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
async def test_a_server_that_does_not_speak_http_is_an_error(wrong: bytes) -> None:
    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(wrong)
        writer.close()

    async with raw_server(talk) as server:
        with pytest.raises(WebError):
            await Web(trusted=[server.url], timeout=60).request("GET", f"{server.url}/")


async def test_nobody_there_is_an_error_and_not_a_blocked_address() -> None:
    async with raw_server(answering(answer())) as server:
        url = server.url
    with pytest.raises(WebError, match="failed"):
        await Web(trusted=[url], timeout=60).request("GET", f"{url}/")


# -- line by line -----------------------------------------------------------------------------------------------------


async def test_lines_come_as_soon_as_they_are_there() -> None:
    go_on = asyncio.Event()

    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\r\n\r\nda"
        )
        await writer.drain()
        await go_on.wait()
        writer.write("ta: ø\nlast".encode())
        await writer.drain()
        writer.close()

    async with raw_server(talk) as server:
        web = Web(trusted=[server.url], timeout=30)
        async with web.lines("POST", f"{server.url}/", json={"stream": True}) as (head, lines):
            assert (head.status, head.headers["content-type"], head.body) == (200, "text/event-stream", b"")
            assert [await anext(lines), await anext(lines)] == ["data: 1", ""]
            go_on.set()
            assert [line async for line in lines] == ["data: ø", "last"]


async def test_a_refusal_of_a_stream_is_read_whole_and_has_no_lines() -> None:
    async with raw_server(answering(answer(429, b'{"error": "slow down"}', retry_after="7"))) as server:
        web = Web(trusted=[server.url], timeout=60)
        async with web.lines("POST", f"{server.url}/", json={}) as (head, lines):
            assert [line async for line in lines] == []
            with pytest.raises(BusyError, match="slow down") as caught:
                check(head, "the model")
    assert caught.value.after == 7.0


async def test_an_error_of_the_reader_of_a_stream_stays_its_own() -> None:
    async with raw_server(answering(answer(body=b"a\nb\n"))) as server:
        for error in (ConnectionError("mine"), TimeoutError("mine"), KeyError("mine")):
            with pytest.raises(type(error), match="mine"):
                async with Web(trusted=[server.url], timeout=60).lines("GET", f"{server.url}/"):
                    raise error


async def test_a_stream_is_bounded_in_time_and_size() -> None:
    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"data: x\n" * 1_000)
        await writer.drain()
        await asyncio.Event().wait()

    async with raw_server(talk) as server:
        web = Web(trusted=[server.url], timeout=60)
        with pytest.raises(TooLargeError):
            async with web.lines("GET", f"{server.url}/", max_bytes=5_000) as (_, lines):
                [line async for line in lines]
        with pytest.raises(WebError, match="took longer"):
            async with web.lines("GET", f"{server.url}/", timeout=0.3) as (_, lines):
                [line async for line in lines]


async def test_a_stream_that_breaks_off_is_an_error_and_not_an_end() -> None:
    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\ndata: x\n\r\n")
        await writer.drain()
        writer.close()

    async with raw_server(talk) as server:
        with pytest.raises(WebError, match="broke off"):
            async with Web(trusted=[server.url], timeout=60).lines("GET", f"{server.url}/") as (_, lines):
                [line async for line in lines]


async def test_a_line_may_come_in_pieces_and_a_letter_too() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for byte in "å\r\n\nø".encode():
            yield bytes([byte])

    assert [line async for line in lines_of(parts())] == ["å", "", "ø"]


# -- what becomes of answers ------------------------------------------------------------------------------------------


def made(status: int, body: bytes = b"", secrets: tuple[str, ...] = (), **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=fields, body=body, url="https://example.com/a?key=canary", secrets=secrets)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthError), (403, AuthError), (429, BusyError), (503, WebError), (500, WebError), (502, WebError),
        (408, WebError), (425, WebError), (400, RefusedError), (404, RefusedError), (410, RefusedError),
        (422, RefusedError), (302, RefusedError), (304, RefusedError),
    ],
)  # fmt: skip
def test_every_answer_that_is_none_has_its_error(status: int, kind: type[WebError]) -> None:
    with pytest.raises(WebError, match=f"the shop answered {status} no") as caught:
        check(made(status, b"no"), "the shop")
    assert type(caught.value) is kind
    assert caught.value.status == status


def test_an_answer_that_is_one_passes() -> None:
    for status in (200, 201, 202, 204, 299):
        assert check(made(status), "it").status == status


def test_a_server_that_is_busy_says_when_to_come_again() -> None:
    with pytest.raises(BusyError) as caught:
        check(made(503, retry_after="30"), "it")
    assert caught.value.after == 30.0
    with pytest.raises(BusyError) as caught:
        check(made(429), "it")
    assert caught.value.after is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("1.5", 1.5), ("-3", 0.0), ("99999", 3600.0), ("nan", None), ("inf", None), ("soon", None), 
        ("", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Wed, 21 Oct 9999 07:28:00 GMT", 3600.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_what_a_server_says_is_one_short_line_without_secrets() -> None:
    body = b'{"error":\r\n"bad key sk_canary_123",  "access_token": "canary4567", "api-key":"canary9"}' + b" x" * 500
    said = made(400, body, secrets=("sk_canary_123",)).said
    assert "canary" not in said
    assert "\n" not in said
    assert len(said) == 200
    assert "canary" not in made(400, b"Authorization: Bearer canarycanary, secret=canary&b=1").said
    assert "canary" not in repr(made(400, b"canary"))


async def test_what_was_sent_as_a_key_is_not_repeated_in_an_error() -> None:
    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(400, b"you sent: " + head.replace(b"\r\n", b" ")))

    async with raw_server(talk) as server:
        got = await Web(trusted=[server.url], timeout=60).request(
            "GET", f"{server.url}/", headers={"X-Shop": "canary-header"}, params={"access_token": "canary-query"}
        )
    with pytest.raises(RefusedError) as caught:
        check(got, "it")
    assert "canary" not in str(caught.value)


def test_what_is_not_json_is_said_without_the_body() -> None:
    for body in (b"<html>canary", b"\xff", b"[" * 100_000):
        with pytest.raises(WebError, match=r"https://example.com/… did not answer with JSON") as caught:
            made(200, body).json()
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.slack.com/services/T0/B0/canary", "https://hooks.slack.com/…"),
        ("https://example.com", "https://example.com"), ("https://example.com/", "https://example.com"),
        ("https://example.com:8443/?key=canary", "https://example.com:8443/…"),
        ("https://me:canary@example.com/x", "https://…@example.com/…"), ("https://me:can@ary@example.com", "https://…@example.com"),
        ("example.com/x?key=canary", "example.com/x"), ("", ""), ("x" * 300, "x" * 199 + "…"),
    ],
)  # fmt: skip
def test_of_an_address_the_server_is_shown_for_the_rest_may_be_a_key(url: str, shown: str) -> None:
    assert short(url) == shown


async def test_a_path_that_is_a_key_stands_in_no_error() -> None:
    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with raw_server(talk) as server:
        with pytest.raises(WebError) as caught:
            await Web(trusted=[server.url], timeout=60).request("POST", f"{server.url}/services/canary", json={})
    assert "canary" not in str(caught.value)
