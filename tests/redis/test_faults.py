"""Lost replies, lost requests, dead and restarted servers: each call still happens once, and nothing hangs."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from corral.errors import StorageUnavailableError
from corral.storage.redis.connection import Server
from corral.storage.redis.url import parse
from tests.redis.fake import FakeServer
from tests.redis.helpers import (
    COUNT,
    ECHO,
    PATIENCE,
    blocked,
    counted,
    fails,
    hasty,
    insisting,
    lua,
    opened,
    refused,
    until,
)
from tests.redis.proxy import Fault, Proxy, lose_at_random
from tests.redis_server import RedisServer, fresh_prefix


@pytest.fixture
async def proxy(own: RedisServer) -> AsyncIterator[Proxy]:
    """The only way to a server of the test's own."""
    async with Proxy("127.0.0.1", own.port) as one:
        yield one


@pytest.fixture
async def behind(proxy: Proxy) -> AsyncIterator[Server]:
    """A handle behind the proxy."""
    async with opened(f"redis://127.0.0.1:{proxy.port}?prefix={fresh_prefix()}&timeout={PATIENCE}") as server:
        yield server


# -- the line ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", list(Fault))
async def test_a_call_that_a_broken_line_swallows_happens_once(proxy: Proxy, behind: Server, fault: Fault) -> None:
    for n in range(5):
        proxy.next(fault)
        assert await behind.run(COUNT, "q", b"x" * 200) == str(n + 1).encode()
    assert await counted(behind) == proxy.faults == 5


async def test_replies_and_requests_lost_at_random_make_no_call_happen_twice(proxy: Proxy, behind: Server) -> None:
    proxy.decide = lose_at_random(Random(5), reply=0.1, request=0.05, half=0.05)
    answers: set[int] = set()

    async def caller() -> None:
        for _ in range(30):
            answers.add(int(await behind.run(COUNT, "q", b"x" * 100)))

    await asyncio.gather(*(caller() for _ in range(10)))
    proxy.decide = lambda data: None
    assert sorted(answers) == list(range(1, 301))
    assert await counted(behind) == 300
    assert proxy.faults > 10


async def test_a_reply_that_comes_byte_by_byte_is_a_reply(proxy: Proxy, behind: Server) -> None:
    proxy.drip = True
    request = bytes(range(256)) * 4
    assert await behind.run(ECHO, "q", request) == request
    assert await behind.run(COUNT, "q", b"") == b"1"


async def test_a_blocking_read_whose_line_is_cut_answers_nothing_and_the_next_one_works(
    proxy: Proxy, behind: Server
) -> None:
    key = f"{behind.place.prefix}:marker"
    for _ in range(3):
        accepted = proxy.accepted
        waiting = asyncio.create_task(behind.block(("BZPOPMIN", key, 60), timeout=60))
        await until(lambda: blocked(behind, 1))
        proxy.cut()
        assert await waiting is None
        assert proxy.accepted > accepted
    await behind.run(lua(f"redis.call('ZADD', '{key}', 0, '0') return ''"), "q", b"")
    assert await behind.block(("BZPOPMIN", key, 30), timeout=30) == [key.encode(), b"0", b"0"]


async def test_a_peer_that_vanishes_without_a_word_is_noticed_by_callers_and_by_blocking_reads(
    own: RedisServer,
) -> None:
    async with Proxy("127.0.0.1", own.port) as proxy, hasty(f"redis://127.0.0.1:{proxy.port}") as server:
        waiting = asyncio.create_task(server.block(("BZPOPMIN", "none", 0.2), timeout=0.2))
        proxy.stall()
        await fails(lambda: server.run(COUNT, "q", b""), "no answer|could be reached")
        with pytest.raises(StorageUnavailableError):
            await waiting
        proxy.flow()
        block = ("BZPOPMIN", "none", 0.01)
        assert await insisting(lambda: server.block(block, timeout=0.01)) is None
        assert await insisting(lambda: server.run(ECHO, "q", b"back")) == b"back"


async def test_a_stall_shorter_than_the_patience_is_waited_out_and_the_call_happens_once(
    proxy: Proxy, behind: Server
) -> None:
    proxy.stall()
    call = asyncio.create_task(behind.run(COUNT, "q", b""))
    asyncio.get_running_loop().call_later(0.3, proxy.flow)
    assert await call == b"1"
    assert await counted(behind) == 1


async def test_a_lane_whose_call_got_no_answer_is_not_used_again(own: RedisServer) -> None:
    who = lua("return ARGV[2]")
    async with Proxy("127.0.0.1", own.port) as proxy, hasty(f"redis://127.0.0.1:{proxy.port}") as server:
        before = await insisting(lambda: server.run(who, "q", b""))
        proxy.refuse()
        proxy.cut()
        with pytest.raises(StorageUnavailableError):
            await server.run(who, "q", b"")
        proxy.refuse(False)
        assert await insisting(lambda: server.run(who, "q", b"")) != before


@pytest.mark.mission("M-AI-65")
async def test_a_crowd_that_lost_its_connection_comes_back_through_one(proxy: Proxy, behind: Server) -> None:
    await behind.run(ECHO, "q", b"")
    accepted = proxy.accepted
    proxy.cut()
    await asyncio.gather(*(behind.run(COUNT, "q", b"") for _ in range(100)))
    assert proxy.accepted == accepted + 1
    assert await counted(behind) == 100


async def test_a_line_that_refuses_everybody_is_an_error_with_address_and_without_password(own: RedisServer) -> None:
    async with Proxy("127.0.0.1", own.port) as proxy:
        proxy.refuse()
        where = rf"127\.0\.0\.1:{proxy.port} for 1 s"
        assert "s3cret" not in await refused(f"redis://:s3cret@127.0.0.1:{proxy.port}", where)
        assert proxy.accepted > 1


# -- the server --------------------------------------------------------------------------------------------------------


async def test_a_server_that_is_killed_and_started_again_is_found_again(own: RedisServer) -> None:
    async with opened(f"{own.url}?timeout={PATIENCE}") as server:
        assert await server.run(COUNT, "q", b"") == b"1"
        waiting = asyncio.create_task(server.block(("BZPOPMIN", "none", 60), timeout=60))
        await until(lambda: blocked(server, 1))
        own.kill()
        call = asyncio.create_task(server.run(COUNT, "q", b""))
        own.start()
        assert await call == b"1"
        assert await waiting is None


async def test_clients_that_are_killed_again_and_again_get_everything_done_once(own: RedisServer) -> None:
    async with opened(f"{own.url}?timeout={PATIENCE}") as server:
        waiting = [asyncio.create_task(server.block(("BZPOPMIN", "none", 60), timeout=60)) for _ in range(3)]
        answers: list[bytes] = []
        for _ in range(20):
            calls = [asyncio.create_task(server.run(COUNT, "q", b"")) for _ in range(10)]
            await asyncio.to_thread(own.ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            answers += await asyncio.gather(*calls)
        assert sorted(map(int, answers)) == list(range(1, 201))
        assert await asyncio.gather(*waiting) == [None] * 3


async def test_a_server_that_drops_idle_clients_costs_nothing_but_a_new_connection(own: RedisServer) -> None:
    async with opened(f"{own.url}?timeout={PATIENCE}") as server:
        own.ask("CONFIG", "SET", "timeout", "1")
        await server.run(COUNT, "q", b"")

        async def alone() -> bool:
            return b"connected_clients:1\r" in await asyncio.to_thread(own.ask, "INFO", "clients")

        await until(alone)
        assert await server.run(COUNT, "q", b"") == b"2"


async def test_a_server_with_no_room_for_clients_is_waited_for(own: RedisServer) -> None:
    async with opened(f"{own.url}?timeout={PATIENCE}") as server, hasty(own.url) as other:
        await server.commands(("CONFIG", "SET", "maxclients", 2))
        await fails(lambda: other.block(("BZPOPMIN", "none", 0.1), timeout=0.1), "could be reached")
        waiting = asyncio.create_task(server.block(("BZPOPMIN", "none", 0.1), timeout=0.1))
        await server.commands(("CONFIG", "SET", "maxclients", 100))
        assert await waiting is None


async def test_a_frozen_server_is_given_up_after_the_patience_and_found_again_when_it_thaws(own: RedisServer) -> None:
    async with hasty(own.url) as server:
        own.suspend()
        with pytest.raises(StorageUnavailableError):
            await server.run(COUNT, "q", b"")
        own.resume()

        assert await insisting(lambda: server.run(ECHO, "q", b"here")) == b"here"
        assert await insisting(lambda: counted(server)) <= 1


async def test_a_script_that_takes_the_server_over_is_waited_for(own: RedisServer) -> None:
    endless = lua("while true do end")
    async with opened(f"{own.url}?timeout={PATIENCE}") as server, opened(own.url) as other:
        await server.commands(("CONFIG", "SET", "lua-time-limit", 5))
        blocking = asyncio.create_task(other.run(endless, "q", b"", changes=False))

        async def busy() -> bool:
            return b"BUSY" in await asyncio.to_thread(own.ask, "GET", "x")

        await until(busy)
        call = asyncio.create_task(server.run(COUNT, "q", b""))
        await asyncio.sleep(0)
        assert b"OK" in await asyncio.to_thread(own.ask, "SCRIPT", "KILL")
        assert await call == b"1"
        blocking.cancel()
        await asyncio.gather(blocking, return_exceptions=True)


async def test_a_master_that_was_made_a_replica_is_waited_for(own: RedisServer) -> None:
    with RedisServer() as master:
        async with opened(f"{own.url}?timeout={PATIENCE}") as server, hasty(own.url) as other:
            await server.run(COUNT, "q", b"")
            waiting = asyncio.create_task(server.block(("BZPOPMIN", "none", 60), timeout=60))
            await until(lambda: blocked(server, 1))
            own.ask("REPLICAOF", "127.0.0.1", str(master.port))
            await fails(lambda: other.run(COUNT, "q", b""), "READONLY|LOADING|MASTERDOWN|replica")
            assert await waiting is None  # the server sent it away
            call = asyncio.create_task(server.run(COUNT, "q", b""))
            own.ask("REPLICAOF", "NO", "ONE")
            assert int(await call) >= 1


async def test_calls_cancelled_at_any_step_of_a_reconnection_leave_no_connection_behind(
    proxy: Proxy, behind: Server
) -> None:
    for steps in range(60):
        proxy.cut()
        calls = [
            asyncio.create_task(behind.run(COUNT, "q", b"")),
            asyncio.create_task(behind.block(("BZPOPMIN", "none", 60), timeout=60)),
        ]
        for _ in range(steps):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    before = await counted(behind)
    assert await behind.run(COUNT, "q", b"") == str(before + 1).encode()

    async def alone() -> bool:
        return proxy.open == 1

    await until(alone)


async def test_an_opening_cancelled_at_any_step_leaves_no_connection_behind(proxy: Proxy) -> None:
    for steps in range(60):
        server = Server(parse(f"redis://127.0.0.1:{proxy.port}"))
        opening = asyncio.create_task(server.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await server.close()

    async def deserted() -> bool:
        return proxy.open == 0

    await until(deserted)
    assert proxy.accepted > 20


# -- what servers say --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN The cluster is down",
        "NOREPLICAS Not enough good replicas to write.",
        "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -READONLY You can't write.",
    ],
)
async def test_a_refusal_that_passes_is_waited_out_with_the_same_token(refusal: str) -> None:
    async with FakeServer(
        EVALSHA=lambda n: f"-{refusal}\r\n".encode() if n < 4 else b"$4\r\ndone\r\n", SCRIPT=b"$2\r\nok\r\n"
    ) as fake:
        async with opened(f"{fake.url}?timeout={PATIENCE}") as server:
            assert await server.run(ECHO, "q", b"x") == b"done"
        calls = [words for words in fake.commands if words[0] == "EVALSHA"]
        assert len(calls) == 4
        assert len({tuple(words) for words in calls}) == 1


async def test_a_refusal_that_does_not_pass_is_given_up_with_its_words() -> None:
    async with (
        FakeServer(EVALSHA=b"-LOADING Redis is loading\r\n", SCRIPT=b"$2\r\nok\r\n") as fake,
        hasty(fake.url) as server,
    ):
        await fails(lambda: server.run(ECHO, "q", b"x"), "'echo' got no answer .* LOADING")


async def test_a_server_that_answers_out_of_turn_is_dropped() -> None:
    async with FakeServer(EVALSHA=b"$1\r\na\r\n$1\r\nb\r\n") as fake:
        async with opened(f"{fake.url}?timeout={PATIENCE}") as server:
            assert await server.run(ECHO, "q", b"x") == b"a"
            assert await server.run(ECHO, "q", b"x") == b"a"
        assert fake.seen["HELLO"] == 2


async def test_a_server_that_garbles_its_answers_is_given_up() -> None:
    async with (
        FakeServer(EVALSHA=b"HTTP/1.1 400 Bad Request\r\n\r\n", SCRIPT=b"$1\r\nx\r\n") as fake,
        hasty(fake.url) as server,
    ):
        await fails(lambda: server.run(ECHO, "q", b"x"), "does not speak the Redis protocol")
