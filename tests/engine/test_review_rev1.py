"""Odd combinations of limits, groups, batches, uniqueness, flows and steps, as users meet them."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corral import (
    After,
    ConfigError,
    Corral,
    Dedup,
    EffectUncertainError,
    GroupLimits,
    JobContext,
    Queue,
    RateLimit,
    Retry,
    Step,
)
from corral.options import Hold, QueueSettings
from corral.testing import drain
from corral.timing import now_ms
from corral.worker.remote import refusal, refuse
from tests.engine.helpers import GUARD, on_clock, reason, work_off, working

Use = Callable[[Queue], Awaitable[Any]]


@pytest.fixture
async def queue(app: Corral) -> Queue:
    return await app.queue("mail").open()


# -- what a drain waits for --------------------------------------------------------------------------------------------


async def test_a_drain_moves_time_on_to_the_end_of_a_groups_window(app: Corral) -> None:
    mail = app.queue("mail", group_limits=GroupLimits(rate_limits=(RateLimit(1, per=60),)))

    @mail.job("send")
    async def send(number: int) -> None: ...

    async with on_clock(app):
        await send.add_bulk(range(3), group="a")
        await send.add_bulk(range(2), group="b")
        drained = await drain(app)
    assert drained.completed == 5
    assert drained.seconds >= 100


async def test_a_drain_moves_time_on_to_the_end_of_a_names_window(app: Corral) -> None:
    @app.queue("mail").job("send", rate_limit=RateLimit(1, per=60))
    async def send(number: int) -> None: ...

    async with on_clock(app):
        await send.add_bulk(range(3))
        drained = await drain(app)
    assert drained.completed == 3
    assert drained.seconds >= 100


async def test_a_drain_waits_for_a_group_that_the_other_side_told_to_wait(app: Corral) -> None:
    @app.queue("mail").job("send")
    async def send(ctx: JobContext) -> None:
        if ctx.fence == 1:
            raise Retry("429", after=30, pause="group")

    async with on_clock(app):
        await send.add(group="a")
        drained = await drain(app)
    assert (drained.completed, drained.other) == (1, 1)


async def test_a_drain_leaves_the_jobs_of_a_paused_group(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("send")
    async def send() -> None: ...

    async with on_clock(app):
        queue = await mail.open()
        await queue.group("a").pause()
        await send.add(group="a", delay=5)
        assert (await drain(app)).runs == 0
        assert (await queue.group("a").info()).waiting == 1


# -- what a burst waits for --------------------------------------------------------------------------------------------


async def test_a_burst_ends_although_the_window_of_an_empty_queue_is_used_up(app: Corral) -> None:
    @app.queue("mail", rate_limit=RateLimit(2, per=3_600)).job("send")
    async def send(number: int) -> None: ...

    await send.add_bulk(range(2))
    assert (await work_off(app)).reporter.finished == 2


async def test_a_burst_waits_for_the_windows_of_groups_and_names(app: Corral) -> None:
    @app.queue("mail", group_limits=GroupLimits(rate_limits=(RateLimit(1, per=0.05),))).job("send")
    async def send(number: int) -> None: ...

    @app.queue("reports").job("build", rate_limit=RateLimit(1, per=0.05))
    async def build(number: int) -> None: ...

    await send.add_bulk(range(3), group="a")
    await build.add_bulk(range(3))
    assert (await work_off(app)).reporter.finished == 6


async def test_a_burst_leaves_the_jobs_of_a_paused_group(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("send")
    async def send() -> None: ...

    queue = await mail.open()
    await queue.group("a").pause()
    await send.add(group="a")
    await send.add(group="b")
    assert (await work_off(app)).reporter.finished == 1


# -- waking at the right time ------------------------------------------------------------------------------------------


async def test_a_held_group_goes_on_by_itself_but_not_before_its_time_is_over(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("send")
    async def send() -> int:
        return now_ms()

    queue = await mail.open()
    async with working(app):
        await queue.group("a").hold(0.5)
        until = (await queue.group("a").info()).held_until
        started = await (await send.add(group="a")).result(timeout=GUARD)
    assert until is not None
    assert until <= started


# -- bad values are refused before they are stored ---------------------------------------------------------------------

BAD: dict[str, tuple[Use, str]] = {
    "no jobs at once": (lambda queue: queue.limit(concurrency=0), "concurrency must be .* not 0: .* pause the queue"),
    "text for a number": (lambda queue: queue.limit(concurrency="3"), "concurrency must be .* not '3'"),  # type: ignore[arg-type]
    "a number of adds": (lambda queue: queue.limit(adds=5), r"add_limit must be RateLimit\(…\) or None, not 5"),  # type: ignore[arg-type]
    "a number for groups": (lambda queue: queue.limit_groups(5), r"group_limits must be GroupLimits\(…\)"),  # type: ignore[arg-type]
    "a number for a group": (lambda queue: queue.group("a").limit(5), r"limits must be GroupLimits\(…\)"),  # type: ignore[arg-type]
    "a number for a reason": (lambda queue: queue.hold(1, 5), "reason of a hold must be a text, not 5"),  # type: ignore[arg-type]
    "a count to keep": (lambda queue: queue.retain(completed=5), r"keep_completed must be Keep\(…\), not 5"),  # type: ignore[arg-type]
    "a number as a name": (lambda queue: queue.limit_name(5, RateLimit(1)), "job name must be"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("use", "message"), BAD.values(), ids=BAD)
async def test_a_setting_that_cannot_be_is_refused_and_the_queue_stays_readable(
    queue: Queue, use: Use, message: str
) -> None:
    before = await queue.info()
    with pytest.raises(ConfigError, match=message):
        await use(queue)
    assert await queue.info() == before
    await queue.add("send")


def test_group_limits_take_one_rate_limit_or_a_list_of_them() -> None:
    one = RateLimit(1, per=60)
    assert GroupLimits(rate_limits=one).rate_limits == (one,)  # type: ignore[arg-type]
    assert GroupLimits(rate_limits=[one]).rate_limits == (one,)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rate_limits must be RateLimit"):
        GroupLimits(rate_limits=(5,))  # type: ignore[arg-type]


def test_settings_check_what_they_are_made_of() -> None:
    with pytest.raises(ConfigError, match="whole number or None, not True"):
        QueueSettings(concurrency=True)
    with pytest.raises(ConfigError, match="reason"):
        Hold(for_ms=1, reason=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not 'never'"):
        After("mail", "1", "never")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="from 1 to 1000, not '3'"):
        Step("charge", attempts="3")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"not 2\.5"):
        Step("charge", attempts=2.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="extend must be True or False, not 'yes'"):
        Dedup("a", extend="yes")  # type: ignore[arg-type]


async def test_what_is_no_node_is_named(app: Corral) -> None:
    @app.queue("mail").job("send")
    async def send() -> None: ...

    with pytest.raises(ConfigError, match=r"write definition.node\(…\), not <job mail/send>"):
        await app.flow.add(send)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="single one is for add"):
        await app.flow.add_bulk(send.node())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="children must be several nodes"):
        send.node(children=send.node())  # type: ignore[arg-type]


@pytest.mark.parametrize("bounds", [{"limit": 0}, {"limit": -1}, {"depth": -1}, {"depth": 1.5}])
async def test_a_look_at_a_flow_has_room_for_a_job_at_least(app: Corral, bounds: dict[str, Any]) -> None:
    for look in (app.flow.tree, app.flow.progress):
        with pytest.raises(ConfigError, match="must be a whole number of"):
            await look("mail", "1", **bounds)


async def test_unique_by_something_that_is_no_field_is_refused(queue: Queue) -> None:
    with pytest.raises(ConfigError, match=r"fields of the payload, not \[1\]"):
        await queue.add("send", {"user": 1}, unique=[1])  # type: ignore[list-item]


async def test_a_groups_id_is_checked_wherever_it_is_named(queue: Queue) -> None:
    verbs: list[Callable[..., Awaitable[object]]] = [queue.page, queue.drain, queue.clean, queue.retry]
    for verb in verbs:
        with pytest.raises(ConfigError, match="group must be a printable text"):
            await verb(group=5)


# -- effects -----------------------------------------------------------------------------------------------------------


async def test_an_effect_is_forgotten_at_once(queue: Queue) -> None:
    await queue.resolve_effect("charge", 1)
    assert await queue.forget_effect("charge")
    assert await queue.effect("charge") is None
    assert not await queue.forget_effect("charge")


async def test_an_uncertain_effect_says_what_its_function_raised(app: Corral) -> None:
    mail = app.queue("mail", attempts=3, backoff=0.01)

    def charge() -> None:
        raise ConnectionError("no answer")

    @mail.job("send")
    async def send(ctx: JobContext) -> None:
        await ctx.once("charge", charge, at_most_once=True)

    async with working(app):
        assert "ConnectionError: no answer" in await reason(await send.add())


@pytest.mark.parametrize("failed", [None, "ConnectionError: no answer"])
def test_an_uncertain_effect_crosses_the_pipe_from_a_child_process(failed: str | None) -> None:
    error = EffectUncertainError("charge", "run 1", failed)
    back = refusal(refuse(error))
    assert isinstance(back, EffectUncertainError)
    assert (str(back), back.key, back.owner, back.failed) == (str(error), "charge", "run 1", failed)
