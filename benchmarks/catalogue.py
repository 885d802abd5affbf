"""Who corral is measured against, and with what each may choose its best."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.case import ROOT
from benchmarks.environments import Environment

DRIVERS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Peer:
    """Someone to measure against."""

    name: str
    title: str
    environment: Environment
    driver: str  #: a file in `peers/`
    variant: str = ""
    store: str = "redis"
    slots: tuple[int, ...] = (100,)  #: the concurrencies among which it may choose its best
    best: int = 100  #: the one of a quick run, and of everything but the drain
    jobs: int = 10_000  #: in a drain: so many that it takes seconds
    adds: int = 2_000
    bulk: tuple[int, ...] = ()  #: sizes among which it may choose, when it has a call for adding many
    waits: bool = True  #: whether so many slots can wait at once: threads and batches cannot

    def command(self, verb: str, parameters: dict[str, object]) -> list[str]:
        """The command line of one verb of its driver."""
        text = json.dumps(parameters | {"variant": self.variant})
        if self.environment.node:
            return ["node", str(DRIVERS / f"{self.driver}.mjs"), verb, text]
        return [str(self.environment.python), "-m", f"benchmarks.peers.{self.driver}", verb, text]

    def surroundings(self) -> dict[str, str]:
        """Where its driver finds this package, and in Node its own modules."""
        return {**os.environ, "PYTHONPATH": str(ROOT), "PEER_HOME": str(self.environment.folder)}


# The fast parser for everyone on redis-py, and uvloop for everyone on asyncio: corral runs with both.
_FAST = ("redis[hiredis]", "uvloop")
_BULLMQ = Environment("bullmq", ("bullmq@6", "ioredis@5", "redis@5"), node=True)
_BULL = Environment("bull", ("bull@4",), node=True)
_BULLMQ_PYTHON = Environment("bullmq", ("bullmq", *_FAST))
_DRAMATIQ = Environment("dramatiq", ("dramatiq", "redis[hiredis]"))
_TASKIQ = Environment("taskiq", ("taskiq", "taskiq-redis", *_FAST))
_HUEY = Environment("huey", ("huey", "redis[hiredis]"))
_SAQ = Environment("saq", ("saq[redis]", "typing_extensions", *_FAST))
_ARQ = Environment("arq", ("arq", *_FAST))
_CELERY = Environment("celery", ("celery[redis]", "redis[hiredis]"))
_RQ = Environment("rq", ("rq", "redis[hiredis]"))
_PGQUEUER = Environment("pgqueuer", ("pgqueuer[asyncpg]", "uvloop"))

#: What people look at BullMQ's queues with. It takes part in nothing but the part about the API.
BOARD = Peer(
    "bull-board",
    "Bull Board (npm)",
    Environment("board", ("@bull-board/api@9", "@bull-board/express@9", "express@5", "bullmq@6", "ioredis@5"), True),
    "board",
)

_NODE_SLOTS, _NODE_BULKS = (50, 100, 200), (250, 1_000, 5_000)

_ALL = (
    Peer("bullmq", "BullMQ (npm)", _BULLMQ, "bullmq", slots=_NODE_SLOTS, jobs=20_000, adds=5_000, bulk=_NODE_BULKS),
    Peer("bull", "bull 4 (npm)", _BULL, "bull", slots=_NODE_SLOTS, jobs=20_000, adds=5_000, bulk=_NODE_BULKS),
    Peer(
        "bullmq-py", "bullmq (PyPI)", _BULLMQ_PYTHON, "bullmq_python",
        slots=(10, 25, 50), best=10, jobs=5_000, adds=5_000, bulk=(250, 1_000),
    ),
    Peer("dramatiq", "dramatiq", _DRAMATIQ, "dramatiq_", slots=(16, 32), best=32, jobs=8_000, waits=False),
    Peer("taskiq-stream", "taskiq (stream)", _TASKIQ, "taskiq_", "stream", slots=(10, 100), best=10),
    Peer("taskiq-list", "taskiq (list)", _TASKIQ, "taskiq_", "list", slots=(10, 100), best=10),
    Peer("huey", "huey (Redis)", _HUEY, "huey_", slots=(1, 2, 4), best=2, jobs=8_000, waits=False),
    Peer("saq", "saq", _SAQ, "saq_", slots=(10, 50, 100), best=50, jobs=5_000),
    Peer("arq", "arq", _ARQ, "arq_", slots=(50, 100), jobs=5_000),
    Peer("celery-solo", "celery (solo)", _CELERY, "celery_", "solo", slots=(1,), best=1, jobs=2_000, waits=False),
    Peer(
        "celery-threads", "celery (threads)", _CELERY, "celery_", "threads",
        slots=(4, 8), best=8, jobs=2_000, waits=False,
    ),
    Peer("rq", "rq (no fork)", _RQ, "rq_", slots=(1,), best=1, jobs=500, adds=1_000, bulk=(1_000,), waits=False),
    Peer(
        "pgqueuer", "pgqueuer (PostgreSQL)", _PGQUEUER, "pgqueuer_",
        store="postgres", slots=(100, 250, 500), best=500, jobs=20_000, bulk=(1_000,), waits=False,
    ),
)  # fmt: skip

PEERS = {peer.name: peer for peer in _ALL}
