"""Three nodes in a cluster: a handle finds the owner of its slot, follows it, and waits while the slot moves."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from corral.errors import ConfigError
from corral.storage.connect import connect
from corral.storage.records import EntryChange
from corral.storage.redis.slots import SLOTS, slot_of
from tests.redis.fake import FakeServer
from tests.redis.helpers import COUNT, ECHO, PATIENCE, fails, hasty, insisting, opened, refused, until
from tests.redis_server import RedisServer


def owned(number: int) -> range:
    """The slots that a node is given at first."""
    return range(number * SLOTS // 3, (number + 1) * SLOTS // 3)


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[RedisServer]]:
    """A cluster. A node that is slow is not held for dead within a minute."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "60000")
    with ExitStack() as stack:
        yield [stack.enter_context(RedisServer(*options)) for _ in range(3)]


@pytest.fixture
async def cluster(nodes: list[RedisServer]) -> list[RedisServer]:
    """The cluster, joined and whole."""
    if b"cluster_known_nodes:1\r" in nodes[0].ask("CLUSTER", "INFO"):
        for number, node in enumerate(nodes):
            node.ask("CLUSTER", "ADDSLOTS", *map(str, owned(number)))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", str(node.port))

    async def whole() -> bool:
        infos = [await asyncio.to_thread(node.ask, "CLUSTER", "INFO") for node in nodes]
        return all(b"cluster_state:ok" in info and b"cluster_known_nodes:3\r" in info for info in infos)

    await until(whole)
    return nodes


def url_of(prefix: str, *nodes: RedisServer) -> str:
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    return f"redis+cluster://{hosts}?prefix={prefix}"


@pytest.mark.parametrize("prefix", ["{a}", "{b}", "{c}", "x{d}y", "{e}"])
async def test_a_handle_finds_the_owner_of_its_slot_from_any_node(cluster: list[RedisServer], prefix: str) -> None:
    for node in cluster:
        async with opened(url_of(prefix, node)) as server:
            before = int(await server.run(COUNT, "q", b""))
            assert int(await server.run(COUNT, "other", b"")) == before
            assert await server.commands(("GET", f"{prefix}:q:count")) == [str(before).encode()]
            assert await server.block(("BZPOPMIN", f"{prefix}:q:marker", 0.01), timeout=0.01) is None


async def test_a_seed_that_is_gone_is_passed_over(cluster: list[RedisServer]) -> None:
    with RedisServer() as gone:
        pass
    async with opened(url_of("{a}", gone, cluster[1])) as server:
        assert await server.run(ECHO, "q", b"x") == b"x"


async def test_a_node_by_a_plain_url_is_refused_with_the_right_one(cluster: list[RedisServer]) -> None:
    with pytest.raises(ConfigError, match=r"redis\+cluster:// and a prefix in braces"):
        async with opened(cluster[0].url):
            pass


async def test_while_a_slot_moves_calls_wait_and_then_follow_it(cluster: list[RedisServer]) -> None:
    prefix = "{moving}"
    slot = str(slot_of(prefix))
    (source,) = [node for number, node in enumerate(cluster) if slot_of(prefix) in owned(number)]
    target = cluster[(cluster.index(source) + 1) % 3]
    names = [node.ask("CLUSTER", "MYID").split()[1].decode() for node in cluster]
    there, here = names[cluster.index(target)], names[cluster.index(source)]
    async with (
        opened(url_of(prefix, *cluster) + f"&timeout={PATIENCE}") as server,
        hasty(url_of(prefix, source)) as other,
    ):
        assert await server.run(COUNT, "q", b"") == b"1"
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        await fails(lambda: other.run(COUNT, "q", b""), "ASK")
        calls = [asyncio.create_task(server.run(COUNT, "q", b"")) for _ in range(5)]
        await asyncio.sleep(0)
        for key in keys_of(source, slot):
            source.ask("MIGRATE", "127.0.0.1", str(target.port), key, "0", "30000")
        for node in (target, source, *cluster):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", there)
        assert sorted(map(int, await asyncio.gather(*calls))) == [2, 3, 4, 5, 6]
        assert await insisting(lambda: other.run(ECHO, "q", b"x")) == b"x"
        assert await server.block(("BZPOPMIN", f"{prefix}:q:marker", 0.01), timeout=0.01) is None


async def test_a_redirection_is_followed_even_when_the_map_is_old() -> None:
    async with FakeServer(EVALSHA=b"$3\r\nnew\r\n") as new:
        slots = "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:{}\r\n"
        async with FakeServer(EVALSHA=f"-MOVED 1 127.0.0.1:{new.port}\r\n".encode()) as old:
            old.answers["CLUSTER"] = slots.format(old.port).encode()
            async with opened(f"redis+cluster://127.0.0.1:{old.port}?prefix={{a}}&timeout={PATIENCE}") as server:
                assert await server.run(ECHO, "q", b"x") == b"new"
            assert (old.seen["EVALSHA"], new.seen["EVALSHA"]) == (1, 1)


async def test_a_cluster_with_a_hole_is_waited_for() -> None:
    hole = b"*1\r\n*3\r\n:0\r\n:0\r\n*2\r\n$9\r\n127.0.0.1\r\n:1\r\n"
    async with FakeServer(CLUSTER=hole) as fake:
        await refused(f"redis+cluster://127.0.0.1:{fake.port}?prefix={{a}}", "nobody serves slot 15495")


def keys_of(node: RedisServer, slot: str) -> list[str]:
    """The keys of a slot, from the raw answer: every second line."""
    return node.ask("CLUSTER", "GETKEYSINSLOT", slot, "100").decode().split("\r\n")[2::2]


async def test_entries_of_all_kinds_are_in_the_slot_of_their_prefix(cluster: list[RedisServer]) -> None:
    async with connect(url_of("{kinds}", cluster[0])) as storage:
        for kind in ("audit", "orders:w-1", "alert"):
            assert await storage.write_entries(kind, [EntryChange(id="a", text=kind, ttl_ms=60_000)], keep=1) == [1]
            assert [one.text for one in await storage.entries(kind)] == [kind]
