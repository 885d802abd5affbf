"""Odd combinations: letters of sealed queues, complaints about sensitive fields, letters that nobody takes."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from pydantic import BaseModel, Field, field_validator

from corral import (
    Children,
    Corral,
    Encrypted,
    Event,
    EventType,
    JobContext,
    JobDefinition,
    JobFailedError,
    JobState,
    PayloadError,
    RateLimit,
    Sensitive,
    connect,
)
from corral.codec.chain import SEALED
from corral.compat import BullJob, BullQueues
from corral.flow.read import FlowTree
from corral.options import QueueSettings
from corral.storage.port import Claim, JobPatch, Token
from corral.testing import app_in_memory, drain
from corral.timing import now_ms
from corral.worker import executor
from corral.worker.hooks import HookCalls, Hooks
from corral.worker.upkeep import Recovery
from tests.engine.helpers import GUARD, ending, reason, work_off

CANARY = "4111-1111-canary"

# -- dead letters ------------------------------------------------------------------------------------------------------


def sealed_shop(url: str, **letters: Any) -> tuple[Corral, JobDefinition[dict[str, str], str]]:
    """A queue with codecs whose letters go to one without."""
    app = Corral(url)
    queue = app.queue("pay", codecs=[Encrypted({"a": b"k" * 32}, current="a")], dead_letter="dead")
    app.queue("dead", **letters)

    @queue.job("charge")
    async def charge(ctx: JobContext, data: dict[str, str]) -> str:
        if ctx.job.attempts_started == 1:
            raise RuntimeError("no line")
        return data["card"]

    return app, charge


async def test_a_letter_of_a_sealed_queue_stays_sealed_in_a_queue_without_codecs(url: str) -> None:
    app, charge = sealed_shop(url)
    async with app, connect(url) as raw:
        handle = await charge.add({"card": CANARY})
        await work_off(app)
        dead = await app.open_queue("dead")
        [stored] = (await raw.page("dead", [JobState.WAITING])).items
        assert (stored.data.startswith(SEALED), CANARY in stored.data) == (True, False)
        [letter] = (await dead.page(JobState.WAITING)).items
        assert letter.data == f'{{"card":"{CANARY}"}}'
        await app.open()
        await (await app.open()).update("dead", [JobPatch(job_id=letter.id, data='{"card":"other"}')])
        [changed] = await raw.get("dead", [letter.id])
        assert changed is not None
        assert changed.data.startswith(SEALED)
        assert await dead.redrive() == [("pay", handle.id)]
        await work_off(app)
        assert await handle.result(timeout=GUARD) == CANARY


async def test_a_sealed_letter_whose_job_is_gone_is_added_again_and_runs(url: str) -> None:
    app, charge = sealed_shop(url)
    async with app:
        handle = await charge.add({"card": CANARY}, id="order-7", keep_failed=False, attempts=1)
        await work_off(app)
        await (await app.open_queue("pay")).remove("order-7")
        assert await (await app.open_queue("dead")).redrive() == [("pay", "order-7")]
        assert (await handle.get()).data == f'{{"card":"{CANARY}"}}'


async def test_a_letter_is_never_too_long_for_its_queue(url: str) -> None:
    app, charge = sealed_shop(url, max_payload=20)
    async with app:
        handle = await charge.add({"card": CANARY})
        await work_off(app)
        assert await reason(handle) == "RuntimeError: no line"
        assert (await (await app.open_queue("dead")).counts()).waiting == 1
        assert (await (await app.open_queue("pay")).failures()).total == 1


async def test_a_job_that_nobody_knows_leaves_a_letter_and_a_kind_of_failure(
    app: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "UNKNOWN_TRIES", 1)
    work, dead = app.queue("work"), app.queue("dead")
    handle = await (await work.open()).add("nope", {}, dead_letter="dead")
    async with await app.worker(queues={"work": 1}):
        with pytest.raises(JobFailedError, match="UnknownJobError: queue 'work' has no handler named 'nope'"):
            await handle.result(timeout=GUARD)
    assert (await (await dead.open()).counts()).waiting == 1
    assert [kind.type for kind in (await (await work.open()).failures()).items] == ["corral.errors.UnknownJobError"]


async def test_a_quarantined_jobs_letter_goes_where_its_handler_says_and_waits_for_room(app: Corral) -> None:
    work, dead = app.queue("work"), app.queue("dead")

    @work.job("pay", dead_letter="dead", at_most_once=True)
    async def pay() -> None:
        raise AssertionError("it never runs")

    store, queue = await app.open(), await work.open()
    handle = await queue.add("pay", {}, max_crashes=1)  # by its name: without the handler's options
    await store.claim("work", Claim(count=1, token=Token("lost"), lease_ms=1_000), now=now_ms() - 60_000)
    worker = await app.worker(queues={"work": 1})
    recovery = Recovery(
        store, ["work"], HookCalls(Hooks()), lease=1, failed_at=lambda: 0.0, dead_letter=worker._dead_letter
    )
    await store.configure("dead", QueueSettings(add_limit=RateLimit(1, per=3_600)))
    await (await dead.open()).add("note", {})
    await recovery()
    assert (await (await dead.open()).counts()).waiting == 1
    await store.configure("dead", QueueSettings(add_limit=None))
    await recovery()
    [letter] = (await (await dead.open()).page(JobState.WAITING, name="pay")).items
    assert letter.options.letter is not None
    assert letter.options.letter.id == handle.id


async def test_a_letter_that_fails_leaves_no_letter(app: Corral) -> None:
    one, other = app.queue("one", dead_letter="other"), app.queue("other", dead_letter="one")

    async def fail() -> None:
        raise ValueError("no line")

    job = one.job("pay")(fail)
    other.job("pay")(fail)
    await job.add()
    await work_off(app)
    counts = [await (await queue.open()).counts() for queue in (one, other)]
    assert [(count.failed, count.waiting) for count in counts] == [(1, 0), (1, 0)]


async def test_drain_leaves_letters_that_no_worker_would_take() -> None:
    app = Corral("sqlite:///:memory:")
    work, dead = app.queue("work", dead_letter="dead"), app.queue("dead")

    @work.job("pay")
    async def pay() -> None:
        raise ValueError("no line")

    async with app_in_memory(app):
        await pay.add()
        assert (await drain(app)).failed == 1
        assert (await (await dead.open()).counts()).waiting == 1


# -- sensitive fields --------------------------------------------------------------------------------------------------


class Brand(Enum):
    VISA = "visa"


class Old(BaseModel):
    kind: Literal["old"]


class New(BaseModel):
    kind: Literal["new"]


class Payment(BaseModel):
    card: Annotated[str, Sensitive] = ""
    brand: Annotated[Brand, Sensitive] = Brand.VISA
    how: Annotated[Old | New, Sensitive, Field(discriminator="kind")] | None = None
    password: str = ""
    note: str = ""

    @field_validator("card", "password", "note")
    @classmethod
    def never(cls, value: str) -> str:
        raise ValueError(f"{value} is not what I want")


class Packed(msgspec.Struct):
    brand: Annotated[Brand, Sensitive] = Brand.VISA
    brands: dict[str, Annotated[Brand, Sensitive]] = {}
    plain: Brand = Brand.VISA


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("payment", {"card": CANARY}),
        ("payment", {"brand": CANARY}),
        ("payment", {"how": {"kind": CANARY}}),
        ("payment", {"password": CANARY}),
        ("packed", {"brand": CANARY}),
        ("packed", {"brands": {"first": CANARY}}),
    ],
)
async def test_a_complaint_about_a_sensitive_field_does_not_quote_it(
    app: Corral, kind: str, data: dict[str, Any]
) -> None:
    queue = app.queue("pay")
    types: dict[str, Any] = {"payment": Payment, "packed": Packed}

    async def handler(data: Any) -> None: ...

    handler.__annotations__["data"] = types[kind]
    job = queue.job(kind)(handler)
    with pytest.raises(PayloadError) as refused:
        job.new(data)
    handle = await (await queue.open()).add(kind, data)
    await work_off(app)
    failed = await ending(handle)
    [seen] = (await (await queue.open()).failures()).items
    told = f"{refused.value} {failed.failed_reason} {failed.traces} {seen.message}"
    assert "refused" in told
    assert CANARY not in told
    assert next(iter(data)) in str(refused.value)


def test_other_complaints_still_say_what_is_wrong() -> None:
    app = Corral("sqlite:///:memory:")

    @app.queue("pay").job("payment")
    async def payment(data: Payment) -> None: ...

    @app.queue("packs").job("packed")
    async def packed(data: Packed) -> None: ...

    with pytest.raises(PayloadError, match="note: x is not what I want"):
        payment.new({"note": "x"})  # type: ignore[arg-type]
    with pytest.raises(PayloadError, match=r"Invalid enum value 'x' - at `\$.plain`"):
        packed.new({"plain": "x"})  # type: ignore[arg-type]


def test_results_stand_in_no_repr() -> None:
    text = f'{{"card":"{CANARY}"}}'
    event = Event(type=EventType.COMPLETED, queue="q", at=1, job_id="1", detail=text)
    seen = (event, Children(completed={"1": text}), FlowTree(queue="q", id="1", result=text))
    assert CANARY not in repr(seen)
    assert "'1'" in repr(seen[1])
    assert "no line" in repr(Event(type=EventType.FAILED, queue="q", at=1, detail='"no line"'))


# -- locks on the file -------------------------------------------------------------------------------------------------

#: Whether another process could take the lock of the last one to close: bytes 510 from 0x40000002 on.
LAST = """
import fcntl, os, sys
try:
    fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
except OSError:
    print("held")
else:
    print("free")
"""


def lock_of(path: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", LAST, str(path)], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


async def test_opening_a_store_twice_in_a_process_keeps_the_locks_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "corral.db"
    async with connect(f"sqlite:///{path}"):
        assert lock_of(path) == "held"
        async with connect(f"sqlite:///{path}"):
            assert lock_of(path) == "held"
        assert lock_of(path) == "held"
        path.open("rb").close()  # what reading it by a descriptor of one's own does
        assert lock_of(path) == "free"


# -- translated from Bull ----------------------------------------------------------------------------------------------


class Kind(str, Enum):  # noqa: UP042  # as older code writes it: str() of a member is not its value
    WELCOME = "welcome"
    EMAIL = "email"


async def test_names_may_be_members_of_an_enum_and_data_may_have_dates(app: Corral) -> None:
    queues = BullQueues(app)
    seen: list[object] = []
    queues.processJobs(Kind.EMAIL, Kind.WELCOME, lambda job: seen.append(job.data), 2)
    at = datetime(2026, 10, 24, 12, tzinfo=timezone(timedelta(hours=2)))
    job = await queues.addJob(Kind.EMAIL, Kind.WELCOME, {"date": at, "days": [datetime(2026, 1, 2, tzinfo=UTC)]})
    await work_off(app)
    assert seen == [{"date": "2026-10-24T10:00:00.000Z", "days": ["2026-01-02T00:00:00.000Z"]}]
    assert (job.name, list(app.queues)) == ("welcome", ["email"])


async def test_all_failed_jobs_are_run_again_once_though_they_fail_again(app: Corral) -> None:
    queues = BullQueues(app)
    runs: list[str] = []

    def fail(job: BullJob) -> None:
        runs.append(job.id)
        raise ValueError("no line")

    queues.processJobs("email", "welcome", fail, 5)
    jobs = [await queues.addJob("email", "welcome", {}) for _ in range(3)]
    await work_off(app)
    async with await app.worker():
        async with asyncio.timeout(GUARD):
            assert await queues.retryAllFailedJobs("email") <= 3
            for job in jobs:
                with pytest.raises(JobFailedError):
                    await job.finished()
