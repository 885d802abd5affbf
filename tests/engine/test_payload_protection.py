"""Payload protection on both engines: the store has envelopes, handlers and results have plain values."""

import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from corral import (
    NOW,
    Compressed,
    Corral,
    Encrypted,
    Event,
    Every,
    Job,
    JobContext,
    JobFailedError,
    JobState,
    PayloadError,
    RegistrationError,
    Sensitive,
    Signed,
    Storage,
    connect,
    new_key,
)
from corral.codec.chain import SEALED
from corral.errors import ConfigError, ResultError
from corral.storage.port import JobPatch
from corral.testing import app_in_memory, drain

from .helpers import ending, reason, work_off

KEY, OTHER, SIGN = new_key(), new_key(), new_key()
CANARY = "4111-1111-canary"


class Payment(BaseModel):
    card: Annotated[str, Sensitive]
    amount: int = 1


def paying(url: str, *codecs: Any, **options: Any) -> Corral:
    """An application that takes payments."""
    app = Corral(url, codecs=codecs)
    queue = app.queue("pay", **options)

    @queue.job("charge")
    async def charge(ctx: JobContext, data: Payment) -> dict[str, str]:
        await ctx.progress({"card": data.card})
        await ctx.note("receipt", data.card)
        assert await ctx.recall("receipt") == data.card
        return {"charged": data.card}

    @queue.job("nothing")
    async def nothing() -> str:
        return "done"

    return app


@pytest.fixture
async def raw(url: str) -> AsyncIterator[Storage]:
    """The store without codecs: what somebody sees who may read it."""
    async with connect(url) as storage:
        yield storage


async def stored(raw: Storage, job_id: str) -> Job:
    [job] = await raw.get("pay", [job_id])
    assert job is not None
    return job


def texts(job: Job) -> str:
    return f"{job.data} {job.result} {job.progress}"


@pytest.mark.mission("M-TS-54")
async def test_payload_result_progress_and_notes_are_stored_sealed(url: str, raw: Storage) -> None:
    async with paying(url, Compressed(above=10), Encrypted({"k": KEY}), Signed(SIGN)) as app:
        handle = await app.definition("pay", "charge").add(Payment(card=CANARY))
        await work_off(app)
        assert await handle.result(timeout=15) == {"charged": CANARY}
        kept = await stored(raw, handle.id)
        assert [text.startswith(SEALED) for text in (kept.data, str(kept.result), str(kept.progress))] == [True] * 3
        assert CANARY not in texts(kept)
        assert CANARY in texts(await handle.get())
        page = await (await app.open_queue("pay")).page(JobState.COMPLETED)
        assert CANARY in texts(page.items[0])
        note = await raw.remember("pay", f"{handle.id}@{kept.created_at}/receipt")
        assert note is not None
        assert note.startswith(SEALED)


async def test_events_are_sealed_in_the_store_and_open_in_the_application(url: str, raw: Storage) -> None:
    async with paying(url, Encrypted(KEY)) as app:
        storage = await app.open()
        _, start = await storage.events("pay", after=NOW)
        await app.definition("pay", "charge").add(Payment(card=CANARY))
        await work_off(app)
        opened, _ = await storage.events("pay", after=start)
        sealed, _ = await raw.events("pay", after=start)
    assert CANARY not in str([event.detail for event in sealed])
    told = {str(event.type): event.detail for event in opened}
    assert json.loads(str(told["completed"])) == {"charged": CANARY}
    assert json.loads(str(told["progress"])) == {"card": CANARY}


async def test_hooks_and_middleware_see_the_plain_payload(url: str) -> None:
    seen: list[str] = []
    app = paying(url, Encrypted(KEY))

    @app.on("completed")
    def ended(event: Event, job: Job) -> None:
        seen.append(f"{job.data} {event.detail}")

    @app.middleware
    async def around(ctx: JobContext, call_next: Any) -> object:
        seen.append(ctx.job.data)
        return await call_next()

    async with app:
        await app.definition("pay", "charge").add(Payment(card=CANARY))
        await work_off(app)
    assert [CANARY in one for one in seen] == [True, True]


async def test_a_percentage_stays_readable_for_everybody(url: str, raw: Storage) -> None:
    app = Corral(url, codecs=[Encrypted(KEY)])
    queue = app.queue("pay")

    @queue.job("half")
    async def half(ctx: JobContext) -> None:
        await ctx.progress(50.5)

    async with app:
        handle = await half.add()
        await work_off(app)
        assert (await stored(raw, handle.id)).progress == "50.5"
        assert (await handle.get()).progress == "50.5"


async def fails_at_once(app: Corral, storage: Storage, job: tuple[str, str], data: str) -> str:
    """Store this text as a job's payload, whatever it is, and say why the job failed."""
    queue, name = job
    handle = await app.definition(queue, name).add(Payment(card=CANARY) if name == "charge" else None, attempts=5)
    await storage.update(queue, [JobPatch(job_id=handle.id, data=data)])
    await work_off(app)
    ended = await ending(handle)
    assert (ended.state, ended.attempts_made) == (JobState.FAILED, 1)
    return str(ended.failed_reason)


@pytest.mark.parametrize("name", ["charge", "nothing"])
async def test_what_is_forged_moved_or_plain_fails_at_once_and_says_why(url: str, raw: Storage, name: str) -> None:
    async with paying(url, Encrypted({"k": KEY})) as app:
        charge = app.definition("pay", name)
        good = (await stored(raw, (await charge.add(Payment(card=CANARY) if name == "charge" else None)).id)).data
        other = (await stored(raw, (await app.definition("pay", "nothing" if name == "charge" else "charge").add(
            None if name == "charge" else Payment(card=CANARY))).id)).data  # fmt: skip
        tied = await charge.add(Payment(card=CANARY) if name == "charge" else None, id="once")
        replayed = (await stored(raw, tied.id)).data
        envelope = json.loads(good)
        body = bytearray(base64.b64decode(envelope["body"]))
        body[-1] ^= 1
        forged = json.dumps({**envelope, "body": base64.b64encode(body).decode()}, separators=(",", ":"))
        lost = json.dumps({**envelope, "steps": ["A256GCM:gone"]}, separators=(",", ":"))
        found = {
            why: await fails_at_once(app, raw, ("pay", name), text)
            for why, text in {
                "forged": forged, "another job": other, "for another job": replayed, "'gone' is not here": lost,
                "without A256GCM": '{"card":"plain-canary"}',
            }.items()
        }  # fmt: skip
    for why, told in found.items():
        assert told.startswith("PayloadError: payload cannot be opened: ")
        assert why in told
        assert "canary" not in told


async def test_a_worker_without_the_codecs_refuses_a_sealed_job_instead_of_running_it(url: str) -> None:
    async with paying(url, Signed(KEY)) as app:
        handle = await app.definition("pay", "nothing").add()
    async with paying(url) as without:
        await work_off(without)
        job = await (await without.open_queue("pay")).get(handle.id)
    assert job.failed_reason == "PayloadError: payload is sealed, and this worker has no codecs for its queue"


async def test_a_result_that_somebody_changed_is_not_handed_out(url: str, raw: Storage) -> None:
    async with paying(url, Signed(KEY)) as app, paying(url, Signed(OTHER)) as stranger:
        handle = await app.definition("pay", "nothing").add()
        await work_off(app)
        assert await handle.result(timeout=15) == "done"
        live = await stranger.open_queue("pay")
        with pytest.raises(PayloadError, match="cannot be opened"):
            await live.result(handle.id, timeout=15)
        shown = await live.get(handle.id)
        assert shown.result is not None
        assert shown.result.startswith('{"corral:unreadable":"its signature')


async def test_keys_rotate_without_losing_a_job(url: str, raw: Storage) -> None:
    async with paying(url, Encrypted({"old": KEY})) as app:
        charge = app.definition("pay", "charge")
        waiting = await charge.add(Payment(card=CANARY))
        tied = await charge.add(Payment(card=CANARY), id="tied", delay=3_600)
        app.schedule("weekly", Every(604_800), charge, Payment(card=CANARY))
        await app.sync_schedules()
    both = {"old": KEY, "new": OTHER}
    async with paying(url, Encrypted(both, current="new")) as app:
        done = await app.reseal("pay")
        assert (done.changed, done.current, done.unreadable) == (3, 0, ())
        assert (await app.reseal("pay")).changed == 0
        assert '"A256GCM:new"' in (await stored(raw, waiting.id)).data
        [schedule] = (await raw.schedules(queue="pay")).items
        assert '"A256GCM:new"' in schedule.data
    async with paying(url, Encrypted({"new": OTHER})) as app:
        live = await app.open_queue("pay")
        await live.promote("tied")
        await work_off(app)
        assert await live.result(waiting.id, timeout=15) == {"charged": CANARY}
        assert await live.result(tied.id, timeout=15) == {"charged": CANARY}
        assert (await app.reseal("pay")).unreadable == ()


async def test_reseal_says_what_no_key_opens(url: str) -> None:
    async with paying(url, Encrypted({"lost": KEY})) as app:
        handle = await app.definition("pay", "charge").add(Payment(card=CANARY))
    async with paying(url, Encrypted({"new": OTHER})) as app:
        assert (await app.reseal("pay")).unreadable == (handle.id,)


async def test_codecs_can_be_turned_on_while_plain_jobs_wait(url: str) -> None:
    async with paying(url) as app:
        handle = await app.definition("pay", "charge").add(Payment(card=CANARY))
    async with paying(url, Encrypted(KEY, strict=False)) as app:
        assert (await app.reseal("pay")).changed == 1
    async with paying(url, Encrypted(KEY)) as app:
        await work_off(app)
        assert await (await app.open_queue("pay")).result(handle.id, timeout=15) == {"charged": CANARY}


async def test_a_queue_has_codecs_of_its_own_or_none(url: str, raw: Storage) -> None:
    app = Corral(url, codecs=[Encrypted(KEY)])
    for name, codecs in (("pay", None), ("signed", [Signed(KEY)]), ("plain", [])):
        queue = app.queue(name) if codecs is None else app.queue(name, codecs=codecs)

        @queue.job("echo")
        async def echo(data: dict[str, str]) -> None: ...

    async with app:
        found = {}
        for name in app.queues:
            handle = await app.definition(name, "echo").add({"a": "b"})
            [job] = await raw.get(name, [handle.id])
            assert job is not None
            found[name] = json.loads(job.data).get("steps")
    assert found == {"pay": ["A256GCM:1"], "signed": ["HS256:1"], "plain": None}


async def test_codecs_are_declared_before_the_store_is_opened(local_url: str) -> None:
    async with Corral(local_url) as app:
        with pytest.raises(RegistrationError, match="before the store is opened"):
            app.queue("pay", codecs=[Signed(KEY)])
        app.queue("plain")
    app.queue("pay", codecs=[Signed(KEY)])


async def test_the_testing_kit_has_the_codecs_too() -> None:
    async with app_in_memory(paying("sqlite:///never-opened.db", Encrypted(KEY))) as app:
        handle = await app.definition("pay", "charge").add(Payment(card=CANARY))
        assert (await drain(app)).completed == 1
        assert await handle.result() == {"charged": CANARY}


async def test_handlers_in_processes_get_the_plain_payload(url: str, raw: Storage) -> None:
    from .sealed_handlers import add_up

    app = Corral(url, codecs=[Encrypted(KEY)])
    add = app.queue("pay").job("add", process=True)(add_up)
    async with app:
        handle = await add.add({"a": 1, "b": 2})
        await work_off(app)
        assert await handle.result(timeout=30) == 3
        assert (await stored(raw, handle.id)).data.startswith(SEALED)


async def test_parents_get_the_plain_results_of_children_in_other_queues(url: str, raw: Storage) -> None:
    app = Corral(url, codecs=[Encrypted({"k": KEY})])
    signed = app.queue("signed", codecs=[Signed(SIGN)])

    @signed.job("child")
    async def child(data: dict[str, str]) -> dict[str, str]:
        return {"from": data["who"]}

    @app.queue("pay").job("parent")
    async def parent(ctx: JobContext) -> list[str]:
        return sorted((await ctx.children()).completed.values())

    async with app:
        first = await child.add({"who": "a"})
        second = await child.add({"who": "b"})
        handle = await parent.add(after=[first, second])
        await work_off(app)
        assert await handle.result(timeout=15) == ['{"from":"a"}', '{"from":"b"}']
        assert all(text.startswith(SEALED) for text in (await raw.children("pay", handle.id)).completed.values())


async def test_what_a_step_has_done_is_sealed_and_remembered(url: str, raw: Storage) -> None:
    app = Corral(url, codecs=[Encrypted({"k": KEY})])
    calls: list[str] = []

    @app.queue("pay").job("steps", attempts=2)
    async def steps(ctx: JobContext) -> str:
        def look_up() -> str:
            calls.append("looked up")
            return CANARY

        found = await ctx.step("look up", look_up)
        if ctx.attempt == 1:
            raise ConnectionError
        return str(found)

    async with app:
        handle = await steps.add()
        await work_off(app)
        assert await handle.result(timeout=15) == CANARY
    assert calls == ["looked up"]


# -- sizes -------------------------------------------------------------------------------------------------------------


async def test_a_payload_may_be_as_long_as_its_queue_says_and_no_longer(url: str) -> None:
    app = Corral(url)
    small, large = app.queue("small", max_payload=100), app.queue("large", max_payload=3_000_000)

    @small.job("a")
    async def a(data: dict[str, str]) -> None: ...

    @large.job("b")
    async def b(data: dict[str, str]) -> int:
        return len(data["x"])

    async with app:
        await a.add({"x": "y" * 90})
        with pytest.raises(PayloadError, match="limit of 100"):
            await a.add({"x": "y" * 100})
        with pytest.raises(PayloadError, match="more than the 100 that queue 'small' takes"):
            await (await app.open_queue("small")).add("a", {"x": "y" * 100})
        handle = await b.add({"x": "y" * 2_000_000})
        with pytest.raises(PayloadError, match="3,000,000"):
            await b.add({"x": "y" * 3_000_000})
        await work_off(app)
        assert await handle.result(timeout=15) == 2_000_000


async def test_the_limit_holds_for_what_is_stored_after_the_codecs(url: str) -> None:
    app = Corral(url)
    queue = app.queue("small", max_payload=1_000, codecs=[Encrypted(KEY)])

    @queue.job("a")
    async def a(data: dict[str, str]) -> None: ...

    async with app:
        with pytest.raises(PayloadError, match="as it is stored"):
            await a.add({"x": "y" * 900})
        assert (await (await app.open_queue("small")).counts()).waiting == 0


@pytest.mark.parametrize("process", [False, True])
async def test_a_result_may_be_as_long_as_its_queue_says(url: str, process: bool) -> None:
    from .sealed_handlers import repeated

    app = Corral(url)
    handler = app.queue("results", max_result=50).job("long", process=process)(repeated)
    async with app:
        short, long = await handler.add(10), await handler.add(50)
        await work_off(app)
        assert await short.result(timeout=30) == "x" * 10
        assert (await reason(long)).startswith(ResultError.__name__)


@pytest.mark.parametrize("option", [{"max_payload": 0}, {"max_result": "1 MB"}, {"codecs": ["zlib"]}])
def test_sizes_and_codecs_that_cannot_be_meant_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Corral("sqlite:///x.db").queue("q", **option)


# -- what is shown -----------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-54")
async def test_marked_fields_are_known_with_the_job_and_stay_out_of_logs(
    url: str, raw: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with paying(url, sensitive=["amount"]) as app:
        handle = await app.definition("pay", "charge").add(Payment(card=CANARY), sensitive=["charged"])
        await work_off(app)
        job = await handle.get()
    assert set(job.options.sensitive) == {"card", "amount", "charged"}
    assert CANARY not in repr(job)
    assert CANARY not in caplog.text
    assert CANARY not in str([vars(record) for record in caplog.records])


async def test_a_failure_is_told_and_the_payload_is_not(url: str) -> None:
    app = Corral(url)

    @app.queue("pay").job("charge")
    async def charge(data: Payment) -> None:
        raise ValueError("declined")

    async with app:
        handle = await charge.add(Payment(card=CANARY))
        await work_off(app)
        with pytest.raises(JobFailedError) as caught:
            await handle.result(timeout=15)
    assert CANARY not in str(caught.value)
