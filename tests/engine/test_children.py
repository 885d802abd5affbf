"""Jobs in child processes: what comes back from them, results and every kind of error."""

import os
from collections.abc import AsyncIterator
from typing import cast

import pytest

from corral.errors import ConfigError, JobTimeoutError, PayloadError, ResultError
from corral.signals import Discard, Retry, Snooze, WaitForChildren
from corral.worker.children import Children, RemoteError
from corral.worker.talk import Line, Talk
from corral.worker.wire import MAX_FRAME, Done, FrameTooLongError, Inbox, Refused, pack, replies
from tests.engine.child_handlers import Family
from tests.engine.child_pools import Listener, Pools, belongings, request, run, spotless


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    async with spotless() as pools:
        yield pools


@pytest.fixture
def pool(pools: Pools) -> Children:
    """A pool of one child."""
    return pools()


# -- results -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["echo", "echo_async"])
async def test_the_result_of_a_handler_comes_back(pool: Children, handler: str) -> None:
    data = {"text": "zażółć 🐎", "numbers": [1, 2.5, None, True], "say": "standard output is the handler's\n"}
    assert await run(pool, handler, data) == data


async def test_a_declared_handler_runs_with_its_payload_type_and_its_other_decorators(pool: Children) -> None:
    assert await run(pool, "shout", {"text": "quiet"}) == "QUIET"
    with pytest.raises(PayloadError) as caught:
        await run(pool, "shout", {"txt": "quiet"})
    assert caught.value.errors == ("Object missing required field `text`",)


async def test_large_data_goes_through_in_both_directions(pool: Children) -> None:
    data = {"text": "x" * 900_000}
    assert await run(pool, "echo", data) == data


@pytest.mark.parametrize("handler", ["report", "report_async"])
async def test_progress_and_log_arrive_in_order_before_the_result(pool: Children, handler: str) -> None:
    listener = Listener()
    assert await run(pool, handler, listener=listener) == 1
    assert (listener.progress, listener.logs) == ([10, {"step": "zwei"}], ["half way"])


async def test_a_flood_of_lines_arrives_whole_and_in_order(pool: Children) -> None:
    listener = Listener()
    await run(pool, "flood", {"lines": 5_000}, listener=listener)
    assert listener.logs == [f"line {number}" for number in range(5_000)]


async def test_a_result_that_is_not_json_is_a_result_error(pool: Children) -> None:
    with pytest.raises(ResultError, match="result is not JSON"):
        await run(pool, "return_bytes")


async def test_progress_that_is_not_json_fails_in_the_handler(pool: Children) -> None:
    with pytest.raises(PayloadError, match="progress is not JSON"):
        await run(pool, "report_nonsense")


async def test_a_payload_that_does_not_fit_into_one_message_is_refused(pool: Children) -> None:
    with pytest.raises(PayloadError, match="16,777,216"):
        await run(pool, "echo", {"text": "x" * MAX_FRAME})


def test_a_result_that_does_not_fit_into_one_message_is_refused() -> None:
    reading, writing = os.pipe()
    Talk(Line(reading, writing)).end(Done("x" * MAX_FRAME))
    inbox = Inbox()
    inbox.feed(os.read(reading, 65_536))
    os.close(reading)
    os.close(writing)
    assert replies.decode(cast(bytes, inbox.take())) == Refused(
        "ResultError", "the result has 16,777,239 bytes, more than the 16,777,216 that fit into one message"
    )


def test_a_frame_is_put_together_from_single_bytes() -> None:
    inbox = Inbox()
    frames = []
    for byte in pack(Done("1")) + pack(Done("2")):
        inbox.feed(bytes([byte]))
        frame = inbox.take()
        frames += [] if frame is None else [replies.decode(frame)]
    assert frames == [Done("1"), Done("2")]


def test_a_frame_that_announces_too_much_is_refused_before_it_is_read() -> None:
    inbox = Inbox()
    inbox.feed((MAX_FRAME + 1).to_bytes(4, "big"))
    with pytest.raises(FrameTooLongError):
        inbox.take()


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["fail", "fail_async"])
async def test_an_exception_comes_back_with_its_name_text_and_trace(pool: Children, handler: str) -> None:
    with pytest.raises(RemoteError, match=r"^plain and simple$") as caught:
        await run(pool, handler, {"kind": "plain"})
    lines = caught.value.trace.splitlines()
    assert caught.value.type_name == "builtins.ValueError"
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith(f", in {handler}")
    assert lines[2] == '    raise _failure(data["kind"])'
    assert lines[-1] == "ValueError: plain and simple"


async def test_an_exception_is_recognised_by_its_classes_without_being_imported(pool: Children) -> None:
    with pytest.raises(RemoteError) as caught:
        await run(pool, "fail", {"kind": "family"})
    error = caught.value
    assert [error.is_a(kind) for kind in (Family, ConnectionError, OSError, Exception)] == [True] * 4
    assert [error.is_a(kind) for kind in (Family.Child, ValueError, RemoteError)] == [False] * 3


TOLD = {
    "silent": ("builtins.ValueError", "ValueError"),
    "unpicklable": ("tests.engine.child_handlers.Unpicklable", "cannot be copied"),
    "unprintable": (
        "tests.engine.child_handlers.Unprintable",
        "<Unprintable whose text cannot be had: its __str__ raises RuntimeError>",
    ),
    "nested": ("tests.engine.child_handlers.Family.Child", "deep"),
    "exit": ("builtins.SystemExit", "3"),
    "interrupt": ("builtins.KeyboardInterrupt", "stop"),
    "generator": ("builtins.GeneratorExit", "generator"),
    "group": ("builtins.ExceptionGroup", "several (2 sub-exceptions)"),
    "long": ("builtins.ValueError", "x" * 8_000 + " …"),
    "surrogate": ("builtins.ValueError", "half a pair: \\ud800"),
    "hollow": ("tests.engine.child_handlers.Hollow", "<AttributeError while the error was described>"),
    "local": ("tests.engine.child_handlers.Local", "made on the spot"),
}


@pytest.mark.parametrize("handler", ["fail", "fail_async"])
async def test_whatever_a_handler_raises_is_told_safely_and_its_child_goes_on(pool: Children, handler: str) -> None:
    await pool.warm(1)
    children = belongings()["children"]
    told = {}
    for kind in TOLD:
        with pytest.raises(RemoteError) as caught:
            await run(pool, handler, {"kind": kind})
        told[kind] = (caught.value.type_name, str(caught.value))
        assert len(caught.value.trace) <= 20_000
    assert told == TOLD
    assert belongings()["children"] == children


THEMSELVES = {
    "retry": Retry("not yet", after=90.0),
    "retry-default": Retry("not yet"),
    "snooze": Snooze(2.5, "asleep"),
    "discard": Discard("no use"),
    "children": WaitForChildren(),
    "payload": PayloadError("payload is refused", ["to: missing", "name: too long"]),
    "result": ResultError("result is not JSON"),
    "timeout": JobTimeoutError(7.5),
}


@pytest.mark.parametrize("handler", ["fail", "fail_async"])
async def test_what_steers_a_job_and_what_refuses_its_data_come_back_as_themselves(
    pool: Children, handler: str
) -> None:
    for kind, expected in THEMSELVES.items():
        with pytest.raises(type(expected)) as caught:
            await run(pool, handler, {"kind": kind})
        assert type(caught.value) is type(expected)
        assert str(caught.value) == str(expected)
        assert vars(caught.value) == vars(expected)


async def test_a_retry_after_a_senseless_time_fails_as_the_mistake_it_is(pool: Children) -> None:
    with pytest.raises(RemoteError, match="retry after must be at least 0 s, not -1") as caught:
        await run(pool, "fail", {"kind": "retry-nonsense"})
    assert caught.value.is_a(ConfigError)


@pytest.mark.parametrize(
    ("module", "handler", "problem"),
    [
        ("tests.engine.no_such_module", "echo", "No module named 'tests.engine.no_such_module'"),
        ("tests.engine.child_handlers", "test.<locals>.inner", "define it at module level"),
        ("__main__", "echo", "was typed into an interpreter"),
    ],
)
async def test_a_handler_that_cannot_be_found_fails_its_job_and_says_why(
    pool: Children, module: str, handler: str, problem: str
) -> None:
    with pytest.raises(RemoteError, match=problem):
        await pool.run(request(handler, module=module), Listener(), timeout=30)
