"""The read model and the HTTP API, and Bull Board beside them on the same Redis. Each function is one measurement.

`url` names the store: empty for a SQLite file in that folder, else an empty Redis. The API and Bull Board are processes
of their own, asked over one connection that stays open.
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.catalogue import BOARD, DRIVERS
from benchmarks.measure import Numbers, cpu_seconds, server_seconds
from benchmarks.ours import FILL, run
from corral.job import JobState, NewJob
from corral.monitor.monitor import Monitor
from corral.outcome import Completed, Failed, Outcome
from corral.storage.connect import connect
from corral.storage.port import BATCH, Claim, Settlement, Storage, Token

QUEUE = "bench"
#: Jobs of each queue of the overview: so many added, claimed, completed and failed.
ADDED, CLAIMED, COMPLETED, FAILED = 20, 10, 5, 3
#: What an overview says may be a second old; whoever wants to see one made has to wait.
STALE_SECONDS = 1.1
LISTED = 50
#: Seconds that a server may take until it says where it is, and for an answer.
PATIENCE = 120.0
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


def overview(folder: str, queues: int, samples: int, url: str = "", server: int = 0) -> Numbers:
    """All queues with their figures and findings: made anew each time, which the API does once a second at most."""
    names = [f"queue-{number:03}" for number in range(queues)]

    async def work(storage: Storage) -> Numbers:
        for name in names:
            await _live_a_little(storage, name)
        monitor = Monitor(storage)

        async def look() -> None:
            monitor.forget()
            if len((await monitor.queues(limit=queues)).items) != queues:
                raise SystemExit("the overview does not have all queues")

        return await _timed(look, samples, server)

    figures = run(_with_store(_url(folder, url), work))
    path = f"/api/v1/queues?limit={queues}"
    figures |= _over_http(folder, url, path, "/api/queues", names, samples, server, STALE_SECONDS)
    with _api(folder, url) as api:  # a page of totals, as a dashboard asks for
        api.get("/api/v1/stats")
        figures["stats_ms"] = _median(api, "/api/v1/stats", samples, STALE_SECONDS, server)["ms"]
    return figures


def payloads(folder: str, size: int, samples: int, url: str = "", server: int = 0) -> Numbers:
    """A list of 50 jobs with payloads of `size` bytes."""

    async def work(storage: Storage) -> Numbers:
        for number in range(LISTED):
            data = json.dumps({"i": number, "text": "x" * size})
            await storage.add([NewJob(queue=QUEUE, name="big", data=data)])
        return await _timed(lambda: _page(storage, JobState.WAITING), samples, server)

    return _list(folder, url, work, "waiting", samples, server)


def failed(folder: str, jobs: int, samples: int, url: str = "", server: int = 0) -> Numbers:
    """The first page over so many failed jobs."""

    async def work(storage: Storage) -> Numbers:
        for start in range(0, jobs, FILL):
            count = min(FILL, jobs - start)
            await storage.add([_job(QUEUE, start + number) for number in range(count)])
            await _settle(storage, QUEUE, count, Failed("ValueError: no such address"))
        return await _timed(lambda: _page(storage, JobState.FAILED), samples, server)

    return _list(folder, url, work, "failed", samples, server)


# -- what is read ------------------------------------------------------------------------------------------------------


def _job(queue: str, number: int) -> NewJob:
    return NewJob(queue=queue, name="count", data=f'{{"i":{number}}}')


async def _live_a_little(storage: Storage, queue: str) -> None:
    await storage.add([_job(queue, number) for number in range(ADDED)])
    await _settle(storage, queue, COMPLETED, Completed())
    await _settle(storage, queue, FAILED, Failed("ValueError: no such address"))
    left = CLAIMED - COMPLETED - FAILED
    await storage.claim(queue, Claim(count=left, token=Token(f"{queue}:left"), lease_ms=600_000))


async def _settle(storage: Storage, queue: str, count: int, outcome: Outcome) -> None:
    """Let so many waiting jobs end like this."""
    for start in range(0, count, BATCH):
        token = Token(f"{queue}:{outcome.__class__.__name__}:{start}")
        claim = Claim(count=min(BATCH, count - start), token=token, lease_ms=600_000)
        jobs = (await storage.claim(queue, claim)).jobs
        await storage.settle(queue, [Settlement(job_id=job.id, token=token, outcome=outcome) for job in jobs])


async def _page(storage: Storage, state: JobState) -> None:
    found = await Monitor(storage).jobs(queue=QUEUE, states=[state], limit=LISTED)
    if len(found.items) != LISTED:
        raise SystemExit(f"the list has {len(found.items)} jobs, not {LISTED}")


# -- by whom -----------------------------------------------------------------------------------------------------------


async def _with_store(url: str, work: Callable[[Storage], Awaitable[Numbers]]) -> Numbers:
    async with connect(url) as storage:
        return await work(storage)


async def _timed(read: Callable[[], Awaitable[None]], samples: int, server: int) -> Numbers:
    """What the read model takes, the first one aside; and processor time, which a busy machine changes less."""
    await read()
    times, cpu, served = [], cpu_seconds(), server_seconds(server)
    for _ in range(samples):
        began = time.perf_counter()
        await read()
        times.append((time.perf_counter() - began) * 1000)
    spent = cpu_seconds() - cpu + server_seconds(server) - served
    return {"monitor_ms": statistics.median(times), "monitor_cpu_ms": spent / samples * 1000}


def _list(
    folder: str, url: str, work: Callable[[Storage], Awaitable[Numbers]], state: str, samples: int, server: int
) -> Numbers:
    path = f"/api/v1/queues/{QUEUE}/jobs?state={state}&limit={LISTED}"
    board = f"/api/queues?activeQueue={QUEUE}&status={state}&page=1&jobsPerPage={LISTED}"
    return run(_with_store(_url(folder, url), work)) | _over_http(folder, url, path, board, [QUEUE], samples, server)


def _over_http(
    folder: str, url: str, path: str, board_path: str, queues: Sequence[str], samples: int, server: int,
    pause: float = 0.0,
) -> Numbers:  # fmt: skip
    """The API, and Bull Board where it has the same store."""
    with _api(folder, url) as api:
        api.get(path)
        figures = {f"http_{name}": value for name, value in _median(api, path, samples, pause, server).items()}
    if url:
        with _served(_board(url, queues), folder, BOARD.surroundings()) as board:
            board.get(board_path)
            theirs = _median(board, board_path, samples, 0.0, server)
            figures |= {f"board_{name}": value for name, value in theirs.items()}
    return figures


class Site:
    """A server that answers on one connection."""

    def __init__(self, address: str, pid: int, log: Path) -> None:
        self.pid = pid
        self._log = log
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)

    def get(self, path: str) -> tuple[float, int]:
        """Milliseconds until the whole answer was there, and its bytes. Raises: SystemExit when it is none."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers={"Accept": "application/json"})
        answer = self._connection.getresponse()
        body = answer.read()
        spent = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise SystemExit(f"GET {path}: {answer.status} {body[:500]!r}\n{self._log.read_text()}")
        return spent, len(body)


def _median(site: Site, path: str, samples: int, pause: float, server: int) -> Numbers:
    times, size, spent = [], 0, 0.0
    for _ in range(samples):
        time.sleep(pause)
        before = server_seconds(site.pid) + server_seconds(server)
        taken, size = site.get(path)
        spent += server_seconds(site.pid) + server_seconds(server) - before
        times.append(taken)
    return {"ms": statistics.median(times), "cpu_ms": spent / samples * 1000, "kb": size / 1000}


def _api(folder: str, url: str) -> AbstractContextManager[Site]:
    store = ("--url", _url(folder, url))
    command = [sys.executable, "-m", "corral.cli", *store, "api", "--port", "0", "--insecure-no-auth"]
    return _served(command, folder, os.environ)


def _board(url: str, queues: Sequence[str]) -> list[str]:
    return ["node", str(DRIVERS / "board.mjs"), json.dumps({"url": url, "queues": list(queues)})]


@contextmanager
def _served(command: Sequence[str], folder: str, environment: Mapping[str, str]) -> Iterator[Site]:
    """A server process until it is done with. Raises: SystemExit when it does not say where it is."""
    log = Path(folder, "server.log")
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as process,
    ):
        try:
            until = time.monotonic() + PATIENCE
            while not (found := ADDRESS.search(log.read_text())):
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"{command[:4]} did not start:\n{log.read_text()}")
                time.sleep(0.05)
            site = Site(found[0], process.pid, log)
            _await(site, until)
            yield site
        finally:
            process.kill()


def _await(site: Site, until: float) -> None:
    """Its address may be told before it listens."""
    while True:
        try:
            site._connection.connect()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _url(folder: str, url: str) -> str:
    return url or f"sqlite:///{folder}/corral.db"
