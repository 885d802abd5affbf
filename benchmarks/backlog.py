"""What a long queue costs: time per claim, and on Redis memory per waiting job."""

import asyncio
import json
import statistics
import time

from benchmarks import rivals
from benchmarks.catalogue import PEERS
from benchmarks.measure import Numbers, percentile, server_seconds
from benchmarks.ours import Bench, run
from benchmarks.servers import used_memory
from corral.job import NewJob
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.port import Claim, Claimed, Settlement, Storage, Token

#: Jobs per turn, as with 100 slots that all ended.
TURN = 100
#: `add_bulk` of so many.
FILL = 10_000


def on_a_file(folder: str, waiting: int, samples: int) -> Numbers:
    """Lone adds and claims, with so many jobs waiting meanwhile."""

    async def work() -> Numbers:
        bench = Bench(folder)
        async with bench.app:
            await bench.fill(waiting)
        async with connect(bench.app.url) as storage:
            return _percentiles([await _add_and_claim(storage, number) for number in range(samples)])

    return run(work())


def on_redis(folder: str, url: str, server: int, waiting: int, samples: int, turns: int) -> Numbers:
    """Memory per job, then lone adds and claims, then turns of 100, with so many jobs waiting all the time."""

    async def work() -> Numbers:
        bench = Bench(folder, url)
        async with bench.app:
            before = await _settled_memory(url)
            await bench.fill(waiting)
            size = (await _settled_memory(url) - before) / waiting
        async with connect(url) as storage:
            lone = [await _add_and_claim(storage, number) for number in range(samples)]
            figures = await _turns(storage, server, turns)
        return {"bytes": size, **_percentiles(lone), **figures}

    return run(work())


def of_a_peer(folder: str, url: str, server: int, peer: str, waiting: int, samples: int) -> Numbers:
    """The same without the turns: the peer's own calls for taking and settling a job by hand."""
    rival = PEERS[peer]
    before = run(_settled_memory(url))
    rivals.call(rival, "fill", {"folder": folder, "url": url, "jobs": waiting})
    size = (run(_settled_memory(url)) - before) / waiting
    return {"bytes": size, **rivals.call(rival, "backlog", {"folder": folder, "url": url, "samples": samples})}


async def _settled_memory(url: str) -> int:
    """Without what clients that have just gone held."""
    await asyncio.sleep(0.5)
    return used_memory(url)


async def _add_and_claim(storage: Storage, number: int) -> tuple[float, float]:
    """Seconds that a lone add and a lone claim took. The claimed job is settled, which nobody times."""
    token = Token(f"bench:{number}")
    start = time.perf_counter()
    await storage.add([NewJob(queue="bench", name="count")])
    added = time.perf_counter()
    claimed = await storage.claim("bench", Claim(count=1, token=token, lease_ms=15_000))
    ended = time.perf_counter()
    await storage.settle("bench", [Settlement(job_id=claimed.jobs[0].id, token=token, outcome=Completed())])
    return added - start, ended - added


def _percentiles(times: list[tuple[float, float]]) -> Numbers:
    """Milliseconds of `_add_and_claim`."""
    adds, claims = zip(*times, strict=True)
    return {
        f"{verb}_{name}": percentile(values, part) * 1000
        for verb, values in (("add", adds), ("claim", claims))
        for name, part in (("p50", 0.5), ("p99", 0.99))
    }


async def _turns(storage: Storage, server: int, turns: int) -> Numbers:
    """Settle 100 and claim 100 in one call, again and again. As many are added meanwhile, off the clock."""
    token = Token("bench:turn:0")
    held: Claimed = await storage.claim("bench", Claim(count=TURN, token=token, lease_ms=60_000))
    walls, servers = [], []
    for number in range(1, turns + 1):
        await storage.add([NewJob(queue="bench", name="count", data=json.dumps({"i": i})) for i in range(TURN)])
        settlements = [Settlement(job_id=job.id, token=token, outcome=Completed()) for job in held.jobs]
        token = Token(f"bench:turn:{number}")
        served, began = server_seconds(server), time.perf_counter()
        settled = await storage.settle("bench", settlements, then=Claim(count=TURN, token=token, lease_ms=60_000))
        walls.append(time.perf_counter() - began)
        servers.append(server_seconds(server) - served)
        held = settled.claimed
        if len(held.jobs) != TURN or settled.refused:
            raise SystemExit(f"a turn claimed {len(held.jobs)} of {TURN}; refused: {settled.refused}")
    return {
        "turn_us": statistics.median(walls) / TURN * 1e6,
        "turn_server_us": statistics.mean(servers) / TURN * 1e6,
    }
