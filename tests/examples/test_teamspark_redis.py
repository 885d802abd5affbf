"""What people type into `redis-cli` when they look after TeamSpark, on a real server: its own words, without corral."""

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from corral import Corral
from examples.teamspark.build import add_job, make_app
from examples.teamspark.settings import Settings
from tests.redis_server import PATIENCE, RedisServer

MAIL = {"to": "user@example.com", "subject": "Hello", "template": "notification", "data": {"message": "Hello."}}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def app(server: RedisServer, tmp_path: Path, bare_environment: None) -> AsyncIterator[Corral]:
    server.ask("FLUSHALL")
    async with make_app(Settings(url=server.url, teamspark_home=tmp_path)) as app:
        yield app


@pytest.mark.mission("M-TS-65", on="redis")
@pytest.mark.mission("M-BI-38", on="redis")
async def test_the_keys_are_bullmq_s_and_tell_what_waits(app: Corral, server: RedisServer) -> None:
    queue = app.queues["send-email"]
    for _ in range(3):
        await add_job(queue, "send-email", MAIL)
    await add_job(queue, "reminder", MAIL, delay=3_600)

    assert server.ask("LLEN", "bull:send-email:wait") == b":3\r\n"
    assert server.ask("ZCARD", "bull:send-email:delayed") == b":1\r\n"
    assert server.ask("TYPE", "bull:send-email:1") == b"+hash\r\n"
    found = server.ask("KEYS", "bull:*")
    assert all(key in found for key in (b"bull:send-email:wait", b"bull:send-email:meta", b"bull:send-email:4"))


@pytest.mark.mission("M-TS-64", on="redis")
@pytest.mark.mission("M-BI-38", on="redis")
async def test_ping_info_and_monitor_answer_while_the_platform_works(app: Corral, server: RedisServer) -> None:
    assert server.ask("PING") == b"+PONG\r\n"
    assert b"used_memory_human" in server.ask("INFO", "memory")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as monitor:
        monitor.sendall(b"MONITOR\r\n")
        seen = monitor.recv(5)
        await add_job(app.queues["send-email"], "send-email", MAIL)
        while b"bull:send-email:" not in seen:
            seen += monitor.recv(65_536)
    assert seen.startswith(b"+OK\r\n")
