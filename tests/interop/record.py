"""Plays the scenes with the real BullMQ and writes the golden dumps: `python -m tests.interop.record [topic …]`."""

import asyncio
import json
import secrets
import shutil
import sys
import time
from typing import Any

import redis.asyncio

from tests.redis_server import shared_server

from . import dumps, npm
from .conftest import node_connection
from .keys import Keys
from .look import look
from .node import HERE, Bull, Node
from .scenes import TOPICS, Scene, scenes

#: Traces name files; whose machine they were made on is nobody's business.
ELSEWHERE = "/srv/app"


async def main(topics: list[str]) -> None:
    program = shutil.which("node")
    assert program is not None, npm.missing_program()
    npm.install()
    with shared_server() as url:
        node = Node(program)
        try:
            async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
                for topic in topics:
                    recorded = {
                        one.name: await record(one, node, client, url) for one in scenes() if one.topic == topic
                    }
                    path = dumps.write(topic, versions(), recorded)
                    print(f"{path.name}: {len(recorded)} scenes, {path.stat().st_size:,} bytes")
        finally:
            node.stop()


async def record(scene: Scene, node: Node, client: redis.asyncio.Redis, url: str) -> dict[str, Any]:
    """Play one scene; what is in its keys, and what BullMQ says about them."""
    keys = Keys(client, f"golden{secrets.token_hex(4)}")
    bull = Bull(node, node_connection(url), keys)
    await scene.play(bull)
    at = time.time_ns() // 1_000_000
    dump = await keys.dump()
    seen = {queue: await look(bull, queue) for queue in await keys.queues()}
    for name, state in scene.jobs.items():
        queue, _, job_id = name.rpartition("/") if name.split("/")[0] in seen else ("", "", name)
        found = seen.get(queue or "mail", {}).get("jobs", {}).get(job_id, {}).get("state", "unknown")
        assert found == state, f"{scene}: {name} is {found}, not {state}"
    errors = await bull.close()
    assert not errors, f"{scene}: {errors}"
    await keys.clear()
    text = json.dumps({"at": at, "keys": dump, "queues": seen})
    return json.loads(text.replace(str(HERE), ELSEWHERE).replace(keys.prefix, "{prefix}"))  # type: ignore[no-any-return]


def versions() -> dict[str, str]:
    """The exact versions that are installed."""
    return {
        name: json.loads((HERE / "node_modules" / name / "package.json").read_text())["version"]
        for name in ("bullmq", "bullmq5")
    }


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or list(TOPICS)))
