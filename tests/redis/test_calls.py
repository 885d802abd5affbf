"""Calls on a healthy server: what they answer, what they raise, and what is left when a caller goes away."""

import asyncio
import contextlib
from random import Random

import pytest

from corral.errors import (
    ConfigError,
    LeaseLostError,
    QueueNotFoundError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from corral.storage.redis.connection import Server
from corral.storage.redis.url import parse
from tests.redis.helpers import COUNT, ECHO, counted, lua, opened, until
from tests.redis_server import RedisServer


async def test_a_script_gets_the_request_as_it_is_and_the_bases_of_its_keys(server: Server) -> None:
    everything = bytes(range(256))
    assert await server.run(ECHO, "q", everything) == everything
    keys = await server.run(lua("return KEYS[1] .. ' ' .. KEYS[2]"), "mail", b"")
    prefix = server.place.prefix
    assert keys.decode() == f"{prefix}:mail: corral:{prefix}:mail:"
    everywhere = await server.run(lua("return KEYS[1] .. ' ' .. KEYS[2]"), "", b"")
    assert everywhere.decode() == f"{prefix}:: corral:{prefix}::"


async def test_a_change_has_a_lane_and_numbers_that_go_up(server: Server) -> None:
    who = lua("return ARGV[2] .. ' ' .. ARGV[3]")
    first, second = [(await server.run(who, "q", b"")).split() for _ in range(2)]
    assert first[0] == second[0]
    assert int(second[1]) == int(first[1]) + 1
    assert await server.run(who, "q", b"", changes=False) == b" 0"


async def test_calls_under_way_at_once_have_lanes_of_their_own(server: Server) -> None:
    who = lua("return ARGV[2]")
    lanes = await asyncio.gather(*(server.run(who, "q", b"") for _ in range(50)))
    assert len(set(lanes)) == 50
    again = await asyncio.gather(*(server.run(who, "q", b"") for _ in range(50)))
    assert set(again) == set(lanes)


async def test_two_handles_never_share_a_lane(url: str) -> None:
    async with opened(url) as one, opened(url) as other:
        who = lua("return ARGV[2]")
        assert await one.run(who, "q", b"") != await other.run(who, "q", b"")


async def test_each_of_many_callers_gets_its_own_answer(server: Server) -> None:
    sizes = [1, 100, 70_000, 3, 400_000, 2] * 10
    requests = [bytes([n % 256]) * size for n, size in enumerate(sizes)]
    assert await asyncio.gather(*(server.run(ECHO, "q", request) for request in requests)) == requests


async def test_plain_commands_are_answered_together_and_as_they_are(server: Server) -> None:
    key = f"{server.place.prefix}:list"
    await server.run(lua(f"redis.call('RPUSH', '{key}', 'a', 1, 'b') return ''"), "q", b"")
    assert await server.commands(("LRANGE", key, 0, -1), ("GET", key + "x"), ("LLEN", key)) == [
        [b"a", b"1", b"b"], None, 3,
    ]  # fmt: skip


async def test_a_script_that_was_flushed_is_sent_again(server: Server) -> None:
    for n in range(3):
        await server.commands(("SCRIPT", "FLUSH"))
        assert await server.run(COUNT, "q", b"") == str(n + 1).encode()


async def test_scripts_flushed_all_the_time_run_once_each(url: str) -> None:
    async with opened(url) as server, opened(url) as other:

        async def flush() -> None:
            while True:
                await other.commands(("SCRIPT", "FLUSH"))

        flushing = asyncio.create_task(flush())
        answers = [await server.run(COUNT, "q", b"") for _ in range(300)]
        flushing.cancel()
        assert answers == [str(n + 1).encode() for n in range(300)]


async def test_blocking_reads_wait_beside_calls(server: Server) -> None:
    key = f"{server.place.prefix}:marker"
    waiting = [asyncio.create_task(server.block(("BZPOPMIN", key, 20), timeout=20)) for _ in range(3)]
    for n in range(3):
        await server.run(lua(f"redis.call('ZADD', '{key}', {n}, '{n}') return ''"), "q", b"")
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    answers = await asyncio.gather(*waiting)
    assert sorted(answers, key=str) == [[key.encode(), str(n).encode(), str(n).encode()] for n in range(3)]


async def test_a_blocking_read_comes_back_empty_handed_when_its_time_is_up(server: Server) -> None:
    key = f"{server.place.prefix}:nothing"
    assert await server.block(("BZPOPMIN", key, 0.05), timeout=0.05) is None
    assert await server.block(("XREAD", "BLOCK", 50, "STREAMS", key, "$"), timeout=0.05) is None


async def test_a_blocking_connection_bears_the_name_it_was_given(server: Server) -> None:
    name = f"{server.place.prefix}:cQ==:w:one"
    answer = await server.block(("CLIENT", "GETNAME"), timeout=30, name=name)
    assert answer == name.encode()
    assert await server.block(("CLIENT", "GETNAME"), timeout=30) is None
    assert await server.block(("CLIENT", "GETNAME"), timeout=30, name=name) == answer


async def test_a_cancelled_blocking_read_takes_nothing_that_comes_later(server: Server) -> None:
    key = f"{server.place.prefix}:marker"
    name = f"reader-of-{key}"
    waiting = asyncio.create_task(server.block(("BZPOPMIN", key, 60), timeout=60, name=name))

    async def waits() -> bool:
        (clients,) = await server.commands(("CLIENT", "LIST"))
        assert isinstance(clients, bytes)
        return any(f"name={name} ".encode() in line and b"cmd=bzpopmin" in line for line in clients.splitlines())

    async def is_gone() -> bool:
        return not await waits()

    await until(waits)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    # The server hears of it a moment later, so a pop may still meet the reader that has gone: not the next one.
    await until(is_gone)
    await server.run(lua(f"redis.call('ZADD', '{key}', 0, '0') return ''"), "q", b"")
    assert await server.commands(("ZCARD", key)) == [1]


# -- errors ------------------------------------------------------------------------------------------------------------


async def test_what_a_script_raises_becomes_the_error_its_code_stands_for(url: str) -> None:
    raisers = {
        "lost": lambda detail: LeaseLostError("q", detail),
        "nowhere": lambda detail: QueueNotFoundError(detail, ()),
    }
    async with opened(url, raisers) as server:
        with pytest.raises(LeaseLostError, match="'7\\|a>'"):
            await server.run(lua("error('CORRAL<lost|7|a>>', 0)"), "q", b"")
        with pytest.raises(QueueNotFoundError, match="'x y'"):
            await server.run(lua("error('CORRAL<nowhere|x y>', 0)"), "q", b"")
        with pytest.raises(StorageError, match="script 'test' was refused: other 1"):
            await server.run(lua("error('CORRAL<other|1>', 0)"), "q", b"")
        with pytest.raises(StorageError, match="script 'test' was refused: stale"):
            await server.run(lua("return redis.error_reply('CORRAL<stale|>')"), "q", b"")
        assert await server.run(COUNT, "q", b"") == b"1"


async def test_a_mistake_in_a_script_names_the_script(server: Server) -> None:
    with pytest.raises(StorageError, match=r"script 'broken' failed in queue 'q': .*nil value"):
        await server.run(lua("local none return none.at_all", "broken"), "q", b"")
    with pytest.raises(StorageError, match=r"script 'broken' failed in queue 'q': .*compiling"):
        await server.run(lua("return return", "broken"), "q", b"")
    with pytest.raises(StorageError, match="script 'broken' answered 3"):
        await server.run(lua("return 3", "broken"), "q", b"")


async def test_a_key_of_the_wrong_type_is_named_with_its_queue(server: Server) -> None:
    await server.run(lua("redis.call('SET', KEYS[1] .. 'wait', 'junk') return ''"), "q", b"")
    with pytest.raises(StorageCorruptError, match="queue 'q'"):
        await server.run(lua("redis.call('LPUSH', KEYS[1] .. 'wait', 1) return ''"), "q", b"")
    with pytest.raises(StorageCorruptError, match="wrong type"):
        await server.commands(("LLEN", f"{server.place.prefix}:q:wait"))
    assert await server.run(ECHO, "q", b"on") == b"on"


async def test_a_full_server_refuses_writers_and_serves_those_that_free_memory(own: RedisServer) -> None:
    async with opened(own.url) as server:
        own.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StorageFullError, match="no memory left"):
            await server.run(lua("redis.call('SET', KEYS[1] .. 'a', 1) return ''"), "q", b"")
        freeing = lua("--! flags allow-oom\nredis.call('SET', KEYS[1] .. 'a', 1) return 'freed'")
        assert await server.run(freeing, "q", b"") == b"freed"


async def test_a_command_that_does_not_exist_is_an_error(server: Server) -> None:
    with pytest.raises(StorageError, match="FROBNICATE"):
        await server.commands(("FROBNICATE", 1))
    with pytest.raises(StorageError, match="FROBNICATE"):
        await server.block(("FROBNICATE", 1), timeout=30)
    assert await server.block(("BZPOPMIN", "none", 0.01), timeout=0.01) is None


# -- callers that go away ----------------------------------------------------------------------------------------------


async def test_a_cancelled_call_disturbs_no_other(server: Server) -> None:
    random = Random(11)
    wrong: list[bytes] = []

    async def one(n: int) -> None:
        request = f"{n}".encode() * random.randint(1, 50)
        answer = await server.run(ECHO, "q", request)
        if answer != request:
            wrong.append(request)

    cancelled = 0
    for start in range(0, 5_000, 50):
        calls = [asyncio.create_task(one(n)) for n in range(start, start + 50)]
        # After one turn of the loop all are sent and none is answered; after none or several they are anywhere.
        yields = 1 if start % 100 else random.randint(0, 4)
        for _ in range(yields):
            await asyncio.sleep(0)
        for call in random.sample(calls, 25):
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        cancelled += sum(call.cancelled() for call in calls)
    assert wrong == []
    assert cancelled >= 50 * 25
    assert await server.run(ECHO, "q", b"after") == b"after"


async def test_a_cancelled_change_happens_at_most_once_and_its_lane_is_not_used_again(server: Server) -> None:
    who = lua("return ARGV[2]")
    before = await server.run(who, "q", b"")
    call = asyncio.create_task(server.run(COUNT, "q", b""))
    await asyncio.sleep(0)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    assert await server.run(who, "q", b"") != before
    assert await counted(server) <= 1


async def test_closing_waits_for_what_was_sent(url: str) -> None:
    async with opened(url) as server:
        await server.run(COUNT, "other", b"")  # a server that does not have the script yet is called a second time
        calls = [asyncio.create_task(server.run(COUNT, "q", b"")) for _ in range(20)]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*calls)
    assert sorted(int(answer) for answer in answers) == list(range(1, 21))


async def test_a_closed_handle_says_so_and_can_be_opened_again(url: str) -> None:
    async with opened(url) as server:
        blocked = asyncio.create_task(server.block(("BZPOPMIN", f"{server.place.prefix}:none", 60), timeout=60))
        await server.run(ECHO, "q", b"")
    with pytest.raises(StorageUnavailableError, match="closed"):
        await blocked
    with pytest.raises(StorageUnavailableError, match="closed"):
        await server.run(ECHO, "q", b"")
    with pytest.raises(StorageUnavailableError, match="closed"):
        await server.commands(("PING",))
    await server.open()
    assert await server.run(ECHO, "q", b"again") == b"again"
    await server.close()


async def test_a_handle_that_was_never_opened_says_so(url: str) -> None:
    with pytest.raises(StorageError, match="not opened in this process"):
        await Server(parse(url)).run(ECHO, "q", b"")


async def test_a_unix_socket_works_as_well_and_so_does_another_database(own: RedisServer) -> None:
    async with opened(f"{own.unix_url}?db=3") as server, opened(own.url) as other:
        assert await server.run(COUNT, "q", b"") == b"1"
        assert await server.run(COUNT, "q", b"") == b"2"
        assert await other.run(COUNT, "q", b"") == b"1"
    with pytest.raises(ConfigError, match="database 99"):
        async with opened(f"{own.unix_url}?db=99"):
            pass
