"""What is looked at once, when a handle is opened."""

import logging

from corral.storage.redis.dial import ask
from corral.storage.redis.link import Answer, Link
from corral.storage.redis.url import Place

log = logging.getLogger("corral.storage")
SAFE = "noeviction"


async def check_server(link: Link, place: Place) -> None:
    """Warn when the server may throw jobs away to make room. A server that does not tell is believed."""
    info, config = await ask(link, ("INFO", "memory"), ("CONFIG", "GET", "maxmemory-policy"))
    policy = _from_info(info) or _from_config(config)
    if policy and policy != SAFE:
        log.warning(
            "the Redis server at %s evicts keys when its memory is full (maxmemory-policy %s) and would lose jobs; "
            "set maxmemory-policy %s", place, policy, SAFE,
        )  # fmt: skip


def _from_info(answer: Answer) -> str:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
    return next(
        (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("maxmemory_policy:")), ""
    )


def _from_config(answer: Answer) -> str:
    match answer:
        case [bytes(), bytes() as policy]:
            return policy.decode(errors="replace")
    return ""
