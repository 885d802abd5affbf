"""A store with an API in front of it, for the tests of the remote back end."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corral.flow.flow import Flow
from corral.flow.node import node
from corral.job import NewJob
from corral.outcome import Failed, Failure
from corral.schedule import Cron, Every, Schedule
from corral.scheduler import Scheduler
from corral.storage.port import Storage, WorkerInfo
from corral.timing import now_ms

from .helpers import HOUR, Command, call, finish, put, with_store

TOKEN = "a-token-of-the-tests-0123456789012345678901234567890"
VIEWER = "another-token-of-the-tests-012345678901234567890123"
#: What is another number at each look.
MOVING = ("age_s", "last_s", "up_s", "seen_s", "oldest_s", "wait_s", "run_s", "overdue_s")
MAIL = "mail"


class Both:
    """One store, and an API in front of it."""

    def __init__(self, store: str, api: str) -> None:
        self.store = store
        self.api = api

    def direct(self, *words: str) -> object:
        return self._told(*words, "--url", self.store)

    def remote(self, *words: str) -> object:
        return self._told(*words, "--api", self.api, "--token", TOKEN)

    def _told(self, *words: str) -> object:
        result = call(*words, "-o", "json")
        assert result.exit_code == 0, result.output
        return still(json.loads(result.stdout)) if result.stdout else None


def still(value: object) -> object:
    """A value without what moves."""
    if isinstance(value, dict):
        return {key: still(one) for key, one in value.items() if key not in MOVING}
    return [still(one) for one in value] if isinstance(value, list) else value


@contextmanager
def served(store: str, folder: Path) -> Iterator[Both]:
    """A store in which there is something of everything, and `corral api` in a process of its own."""
    fill(store)
    # How fast one may go is shown elsewhere; here it would only be waited for.
    env = {"CORRAL_API_TOKENS": f"cli:admin:{TOKEN},guest:viewer:{VIEWER}", "CORRAL_API_BULK_RATE": "600/min"}
    env["CORRAL_API_DRAIN_DELAY"] = "0"
    with Command("api", "--url", store, "--port", "0", cwd=folder, env=env) as server:
        line = server.line("http://")
        server.line("Ctrl-C")
        yield Both(store, line[line.index("http://") :].split()[0].removesuffix("/api/v1"))
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def failed(kind: str, message: str, fingerprint: str) -> Failed:
    reason = f"{kind}: {message}"
    return Failed(reason, trace=f"Traceback\n{reason}", failure=Failure(fingerprint, kind, message))


def fill(url: str) -> None:
    """A store in which there is something of everything."""
    put(url, NewJob(queue=MAIL, name="welcome", data='{"to": "ann", "token": "s3cret"}', priority=10))
    put(url, NewJob(queue=MAIL, name="later", delay_ms=HOUR), NewJob(queue="reports", name="weekly"))
    finish(url, MAIL, 3, ran=100)
    finish(url, MAIL, 2, failed("SMTPTimeout", "550 no such mailbox", "f1"))

    async def more(storage: Storage) -> None:
        scheduler = Scheduler(storage)
        await scheduler.put(
            Schedule(key="weekly", queue="reports", name="weekly", timing=Cron("0 9 * * 1", "Europe/Oslo"))
        )
        await scheduler.put(Schedule(key="often", queue="reports", name="weekly", timing=Every(300), limit=9))
        await storage.log(MAIL, "1", ["one", "two", "three"])
        await Flow(storage).add(node("top", "sum", id="sum-1", children=[node("parts", "part"), node("parts", "part")]))
        worker = WorkerInfo(
            id="w1", name="mailer-1", host="here", pid=7, queues=(MAIL,), slots=5, started_at=now_ms() - HOUR,
            handlers=(f"{MAIL}/welcome",),
        )  # fmt: skip
        await storage.heartbeat(worker, [], lease_ms=HOUR)

    with_store(url, more)
