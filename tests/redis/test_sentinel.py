"""Three sentinels, a master and a replica: the master dies, and the handle goes where the sentinels say."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.redis.fake import FakeServer, hello
from tests.redis.helpers import COUNT, ECHO, blocked, opened, refused, until
from tests.redis_server import RedisServer

#: A failover takes two seconds. A sentinel that was not given the processor for two seconds looks on for thirty.
FAILOVER = 90


@dataclass
class Guarded:
    """A replicated server under guard."""

    master: RedisServer
    replica: RedisServer
    sentinels: list[RedisServer]

    def url(self, user: str = "", settings: str = "") -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{user}{hosts}/jobs?timeout={FAILOVER}{settings}"

    async def settled(self) -> bool:
        """Whether everybody knows everybody and the replica has all of the master."""
        views = [await asyncio.to_thread(one.ask, "SENTINEL", "MASTER", "jobs") for one in self.sentinels]
        known = all(
            b"num-slaves\r\n$1\r\n1\r\n" in view and b"num-other-sentinels\r\n$1\r\n2" in view for view in views
        )
        seen = [await asyncio.to_thread(one.ask, "SENTINEL", "REPLICAS", "jobs") for one in self.sentinels]
        return known and all(b"master-link-status\r\n$2\r\nok" in view for view in seen)


@pytest.fixture
def guarded(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """The five of them; a parameter is one more rule for the sentinels."""
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer())
        replica = stack.enter_context(RedisServer("--replicaof", "127.0.0.1", str(master.port)))
        rules = (
            f"sentinel monitor jobs 127.0.0.1 {master.port} 2",
            "sentinel down-after-milliseconds jobs 1000",
            "sentinel failover-timeout jobs 3000",
            getattr(request, "param", ""),
        )
        sentinels = [stack.enter_context(RedisServer(sentinel="\n".join(rules))) for _ in range(3)]
        yield Guarded(master, replica, sentinels)


async def test_when_the_master_dies_calls_wait_for_the_next_one_and_happen_once(guarded: Guarded) -> None:
    await until(guarded.settled)
    async with opened(guarded.url()) as server:
        for n in range(3):
            assert await server.run(COUNT, "q", b"") == str(n + 1).encode()
        await until(lambda: _has(guarded.replica, b"3"))
        waiting = asyncio.create_task(server.block(("BZPOPMIN", "none", 60), timeout=60))
        await until(lambda: blocked(server))
        await asyncio.to_thread(guarded.master.kill)
        answers = await asyncio.gather(*(server.run(COUNT, "q", b"") for _ in range(10)))
        assert sorted(map(int, answers)) == list(range(4, 14))
        assert await waiting is None
        assert await _has(guarded.replica, b"13")


async def test_a_sentinel_that_is_gone_is_passed_over(guarded: Guarded) -> None:
    guarded.sentinels[0].kill()
    async with opened(guarded.url()) as server:
        assert await server.run(ECHO, "q", b"x") == b"x"


@pytest.mark.parametrize("guarded", ["requirepass gu4rd"], indirect=True)
async def test_sentinels_with_a_password_of_their_own_are_asked_with_it(guarded: Guarded) -> None:
    async with opened(guarded.url(settings="&sentinel_password=gu4rd")) as server:
        assert await server.run(ECHO, "q", b"x") == b"x"
    hosts = guarded.url().partition("?")[0]
    for settings in ("", "?sentinel_password=wr0ng"):
        assert "wr0ng" not in await refused(hosts + settings, "name no master 'jobs'")


async def test_a_service_that_the_sentinels_do_not_know_is_an_error_naming_it(guarded: Guarded) -> None:
    hosts = guarded.url().partition("/jobs")[0]
    await refused(f"{hosts}/jbos", "name no master 'jbos'")


async def test_a_server_that_is_no_master_yet_is_not_worked_with() -> None:
    async with FakeServer(HELLO=hello().replace(b"$6\r\nmaster", b"$5\r\nslave")) as replica:
        state = {
            "name": "jobs",
            "ip": "127.0.0.1",
            "port": str(replica.port),
            "flags": "master",
            "num-other-sentinels": "0",
        }
        words = [word for pair in state.items() for word in pair]
        masters = f"*1\r\n*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        async with FakeServer(SENTINEL=masters.encode()) as sentinel:
            await refused(
                f"redis+sentinel://127.0.0.1:{sentinel.port}/jobs", "is a slave: the sentinels have not settled"
            )
        assert sentinel.seen["SENTINEL"] > 1


async def _has(server: RedisServer, count: bytes) -> bool:
    return await asyncio.to_thread(server.ask, "GET", "bull:q:count") == b"$%d\r\n%s\r\n" % (len(count), count)
