"""What the tests of the routes say again and again: jobs in each state, as workers leave them."""

from collections.abc import Sequence

import httpx
import pytest
from msgspec.structs import replace

from corral.event import OLDEST, EventType
from corral.job import JobId, NewJob
from corral.outcome import Completed, Failed, Failure, Outcome
from corral.storage.port import Claim, Settlement, Storage, Token, WorkerInfo
from corral.timing import now_ms
from tests.storage.helpers import new_token

QUEUE = "mail"
TIMEOUT = Failure("9f31c2a07b1e44d0", "SMTPTimeout", "connection timed out")


class Store:
    """The store under test, filled as applications and workers fill it."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    async def add(self, *names: str, queue: str = QUEUE, data: str = '{"to":"ana"}', **fields: object) -> list[JobId]:
        """Add jobs; answers their ids."""
        jobs = [replace(NewJob(queue=queue, name=name, data=data), **fields) for name in names]
        return [one.id for one in await self.storage.add(jobs)]

    async def start(self, queue: str = QUEUE) -> tuple[JobId, Token]:
        """Claim the next job; answers its id and token."""
        token = new_token()
        claimed = await self.storage.claim(queue, Claim(count=1, token=token, lease_ms=600_000, worker="w-1"))
        return claimed.jobs[0].id, token

    async def end(self, outcome: Outcome, *, queue: str = QUEUE) -> JobId:
        """Run the next job to this end; answers its id."""
        job_id, token = await self.start(queue)
        settled = await self.storage.settle(queue, [Settlement(job_id=job_id, token=token, outcome=outcome)])
        assert not settled.refused
        return job_id

    async def completed(self, name: str = "welcome", *, queue: str = QUEUE, result: str = '{"sent":true}') -> JobId:
        """A job that has completed."""
        await self.add(name, queue=queue)
        return await self.end(Completed(result=result), queue=queue)

    async def failed(
        self, name: str = "welcome", *, queue: str = QUEUE, reason: str = "SMTPTimeout: connection timed out"
    ) -> JobId:
        """A job that has failed for good."""
        await self.add(name, queue=queue)
        return await self.end(Failed(reason=reason, failure=TIMEOUT), queue=queue)

    async def told(self, kind: EventType, queue: str = QUEUE) -> None:
        """Return when an event of this kind has been written."""
        cursor = OLDEST
        while True:
            events, cursor = await self.storage.events(queue, after=cursor, timeout=30)
            if any(event.type is kind for event in events):
                return

    async def worker(self, name: str = "mailer-1", *, queues: Sequence[str] = (QUEUE,)) -> str:
        """A worker that has just been seen; answers its id."""
        info = WorkerInfo(
            id=f"id-of-{name}", name=name, host="web-1", pid=7, queues=tuple(queues), slots=5, started_at=now_ms()
        )
        await self.storage.heartbeat(info, [], lease_ms=15_000)
        return info.id


@pytest.fixture
def store(storage: Storage) -> Store:
    """The store under test."""
    return Store(storage)


def code_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    found = response.json()
    assert found["status"] == response.status_code
    return response.status_code, found["code"]


def ids_of(response: httpx.Response) -> list[str]:
    """The ids of a list."""
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["items"]]
