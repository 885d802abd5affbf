"""The harness itself: what it records reads the same elsewhere, and what goes wrong in Node is told here."""

import pytest

from .dumps import golden
from .keys import Keys
from .look import look
from .node import Bull, Node, NodeError
from .scenes import Scene, scenes

#: Version 6 hides jobs in version 5's list of paused jobs, and its scheduler getters tidy up what they read.
PLAIN = [scene for scene in scenes() if "5" not in scene.name]


@pytest.mark.parametrize("scene", PLAIN[::6], ids=str)
async def test_a_loaded_dump_is_to_bullmq_what_it_was(scene: Scene, keys: Keys, bull: Bull) -> None:
    recorded = golden(scene, keys.prefix)
    await keys.load(recorded.keys)
    assert await keys.names() == sorted(recorded.keys)
    for queue, seen in recorded.queues.items():
        assert await look(bull, queue) == seen


@pytest.mark.parametrize("scene", scenes()[::9], ids=str)
async def test_the_recorded_keys_keep_the_invariants(scene: Scene, keys: Keys) -> None:
    recorded = golden(scene)
    await keys.load(recorded.keys)
    for queue in recorded.queues:
        assert await keys.faults(queue) == []


async def test_what_a_call_raises_in_node_is_raised_here(bull: Bull) -> None:
    queue = await bull.queue()
    with pytest.raises(NodeError, match="Custom Id cannot be integers"):
        await queue.add("welcome", jobId="17")
    with pytest.raises(NodeError, match="has no job 99"):
        await queue.job("99", "retry", "failed")


async def test_a_node_that_dies_says_so_to_whoever_waits(node_program: str) -> None:
    node = Node(node_program)
    node.kill()
    with pytest.raises(NodeError, match="Node has gone"):
        await node.ask("make", kind="Queue")
    node.stop()


async def test_broken_keys_are_found(keys: Keys) -> None:
    base = f"{keys.prefix}:mail"
    await keys.client.rpush(f"{base}:wait", "1", "2")
    await keys.client.zadd(f"{base}:delayed", {"1": 4096})
    await keys.client.hset(f"{base}:1", "name", "a")
    await keys.client.set(f"{base}:1:lock", "token")
    await keys.client.rpush(f"{base}:9:logs", "left behind")
    assert await keys.faults("mail", idle=True) == [
        "1 is in 2 places", "2 has no hash", "9:logs belongs to nobody", "1:lock is left",
    ]  # fmt: skip
