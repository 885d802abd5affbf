"""What was added: looked up and asserted, with failures that tell what was added instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from corral import Bundle, Corral, JobState, Keep
from corral.errors import UnknownJobError, UnknownOptionError
from corral.testing import added, app_in_memory, assert_added, drain
from tests.engine import processes


class Order(BaseModel):
    number: int
    to: str = "ann"


@asynccontextmanager
async def shop() -> AsyncIterator[tuple[Corral, Any]]:
    app = Corral("sqlite:///:memory:")

    @app.queue("mail", attempts=2).job("receipt")
    async def receipt(data: Order) -> None: ...

    async with app_in_memory(app):
        yield app, receipt


async def test_jobs_are_found_by_what_they_are_like() -> None:
    async with shop() as (app, receipt):
        await receipt.add(Order(number=1))
        await receipt.add(Order(number=2, to="bob"), priority=1, id="order-2", attempts=5)
        await receipt.add(Order(number=3), delay=60)
        await (await app.open_queue("mail")).add("raw", [1, 2])
        assert [job.name for job in await added(app)] == ["receipt", "receipt", "receipt", "raw"]
        matches: list[dict[str, Any]] = [
            {"data": {"number": 2}}, {"data": Order(number=2, to="bob")}, {"priority": 1}, {"id": "order-2"},
            {"attempts": 5},
            {"data": {"to": "bob"}, "priority": 1, "queue": "mail", "state": JobState.WAITING, "delay": 0},
        ]  # fmt: skip
        for match in matches:
            assert [job.id for job in await assert_added(app, receipt, count=1, **match)] == ["order-2"]
        assert len(await assert_added(app, receipt, count=3)) == 3
        assert len(await assert_added(app, "raw", data=[1, 2])) == 1
        assert len(await assert_added(app, receipt, delay=60)) == 1
        await assert_added(app, receipt, count=0, data={"number": 4})
        assert await added(app, receipt, data=Order(number=2)) == []


async def test_a_failing_assertion_tells_what_was_added_and_in_what_it_differs() -> None:
    async with shop() as (app, receipt):
        with pytest.raises(AssertionError) as nothing:
            await assert_added(app, receipt)
        await receipt.add(Order(number=1))
        with pytest.raises(AssertionError) as different:
            await assert_added(app, receipt, data={"number": 2, "vip": True}, priority=1, delay=5)
        with pytest.raises(AssertionError) as counted:
            await assert_added(app, receipt, count=2)
        with pytest.raises(AssertionError) as unknown:
            await assert_added(app, "reciept")
    assert str(nothing.value) == "no job 'receipt' was added\n  nothing was added"
    assert str(different.value) == (
        "no job 'receipt' with data={'number': 2, 'vip': True}, priority=1, delay=5 was added\n"
        '  mail/receipt 1 (waiting): {"number":1,"to":"ann"}\n'
        "    priority is 0, not 1\n"
        "    delay is 0 s, not 5 s\n"
        "    data['number'] is 1, not 2\n"
        "    data has no 'vip'"
    )
    assert str(counted.value).startswith("1 job 'receipt' was added, expected 2\n")
    assert "did you mean 'receipt'" in str(unknown.value)
    assert 'mail/receipt 1 (waiting): {"number":1,"to":"ann"}' in str(unknown.value)


async def test_what_cannot_be_asked_is_refused() -> None:
    stranger = Corral().queue("mail").job("stranger")(processes.whoami)
    async with shop() as (app, receipt):
        await receipt.add(Order(number=1))
        with pytest.raises(UnknownOptionError, match="did you mean 'priority'"):
            await assert_added(app, receipt, prioriti=1)  # type: ignore[call-arg]
        with pytest.raises(UnknownJobError):
            await assert_added(app, stranger)


async def test_a_job_that_was_removed_since_was_still_added() -> None:
    app = Corral("sqlite:///:memory:")

    @app.queue("work", keep_completed=Keep(count=0)).job("work")
    async def work(data: int) -> None: ...

    async with app_in_memory(app):
        handle = await work.add(7, delay=60)
        await drain(app)
        [job] = await assert_added(app, work, data=7, delay=60)
    assert (job.id, job.data) == (handle.id, "7")


async def test_jobs_of_a_bundle_are_found_where_it_was_included() -> None:
    bundle = Bundle("email", queue="send-email")

    @bundle.job("welcome")
    async def welcome() -> None: ...

    app = Corral("sqlite:///:memory:")
    app.include(bundle, queue="mail")
    async with app_in_memory(app):
        await app.definition("mail", "welcome").add()
        await assert_added(app, welcome, queue="mail")


async def test_an_application_on_a_store_of_its_own_is_looked_at_too(url: str) -> None:
    app = Corral(url)

    @app.queue("work").job("work")
    async def work(data: int) -> None: ...

    async with app:
        await work.add_bulk(list(range(1_100)))
        await work.add(5_000, delay=60)
        assert len(await assert_added(app, work, count=1_101)) == 1_101
        await assert_added(app, work, count=1, delay=60, data=5_000)


async def test_a_long_list_is_cut(app: Corral) -> None:
    @app.queue("work").job("work")
    async def work(data: str) -> None: ...

    async with app_in_memory(app):
        for _ in range(13):
            await work.add("x" * 1_000)
        with pytest.raises(AssertionError) as failure:
            await assert_added(app, work, data="y")
    lines = str(failure.value).splitlines()
    assert len(lines) == 1 + 2 * 10 + 1
    assert lines[-1] == "  … and 3 more"
    assert max(map(len, lines)) < 300
