"""Jobs in child processes: what comes back, what a handler there can see, and how children are used again."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from corral.errors import ConfigError, CorralError, JobTimeoutError, PayloadError, ResultError
from corral.signals import Discard, Retry, Snooze, WaitForChildren
from corral.worker import supervised
from corral.worker.child import Line, Talk
from corral.worker.children import Children, RemoteError
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
        "result", "the result has 16,777,239 bytes, more than the 16,777,216 that fit into one message"
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


@pytest.mark.parametrize(
    ("kind", "type_name", "text"),
    [
        ("silent", "builtins.ValueError", "ValueError"),
        ("unpicklable", "tests.engine.child_handlers.Unpicklable", "cannot be copied"),
        (
            "unprintable",
            "tests.engine.child_handlers.Unprintable",
            "<Unprintable whose text cannot be had: its __str__ raises RuntimeError>",
        ),
        ("nested", "tests.engine.child_handlers.Family.Child", "deep"),
        ("exit", "builtins.SystemExit", "3"),
        ("interrupt", "builtins.KeyboardInterrupt", "stop"),
        ("generator", "builtins.GeneratorExit", "generator"),
        ("group", "builtins.ExceptionGroup", "several (2 sub-exceptions)"),
        ("long", "builtins.ValueError", "x" * 8_000 + " …"),
        ("surrogate", "builtins.ValueError", "half a pair: \\ud800"),
        ("hollow", "tests.engine.child_handlers.Hollow", "<AttributeError while the error was described>"),
        ("local", "tests.engine.child_handlers.Local", "made on the spot"),
    ],
)
@pytest.mark.parametrize("handler", ["fail", "fail_async"])
async def test_whatever_a_handler_raises_is_told_safely_and_its_child_goes_on(
    pool: Children, handler: str, kind: str, type_name: str, text: str
) -> None:
    with pytest.raises(RemoteError) as caught:
        await run(pool, handler, {"kind": kind})
    children = belongings()["children"]
    await run(pool, "echo")
    assert (caught.value.type_name, str(caught.value)) == (type_name, text)
    assert len(caught.value.trace) <= 20_000
    assert belongings()["children"] == children


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("retry", Retry("not yet", after=90.0)),
        ("retry-default", Retry("not yet")),
        ("snooze", Snooze(2.5, "asleep")),
        ("discard", Discard("no use")),
        ("children", WaitForChildren()),
        ("payload", PayloadError("payload is refused", ["to: missing", "name: too long"])),
        ("result", ResultError("result is not JSON")),
        ("timeout", JobTimeoutError(7.5)),
    ],
)
@pytest.mark.parametrize("handler", ["fail", "fail_async"])
async def test_what_steers_a_job_and_what_refuses_its_data_come_back_as_themselves(
    pool: Children, handler: str, kind: str, expected: Exception
) -> None:
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
    ears = Listener()
    lost = request(handler, module=module)
    with pytest.raises(RemoteError, match=problem):
        await pool.run(lost, on_progress=ears.on_progress, on_log=ears.on_log, timeout=30)


async def test_a_report_that_cannot_be_delivered_ends_the_child_and_is_raised(pool: Children) -> None:
    async def refuse(_: str) -> None:
        raise TimeoutError("the store does not answer")

    with pytest.raises(TimeoutError, match=r"^the store does not answer$"):
        await pool.run(request("spin"), on_progress=refuse, on_log=refuse, timeout=30)


# -- the child's surroundings ------------------------------------------------------------------------------------------


async def test_a_child_inherits_only_the_listed_variables(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "REDIS_URL", "LC_TIME", "TZ", "CORRAL_URL"):
        monkeypatch.setenv(name, f"value of {name}")
    monkeypatch.setenv("PYTHONPATH", "/srv/application")
    seen = cast(dict[str, dict[str, str]], await run(pools(env={"SMTP_HOST": "mail.example"}), "surroundings"))
    expected = {
        "LC_TIME": "value of LC_TIME",
        "TZ": "value of TZ",
        "CORRAL_URL": "value of CORRAL_URL",
        "SMTP_HOST": "mail.example",
        "PYTHONPATH": "/srv/application",
    }
    assert {name: seen["env"].get(name) for name in expected} == expected
    allowed = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "SMTP_HOST"}
    others = {name for name in seen["env"] if not name.startswith(("LC_", "PYTHON", "CORRAL_"))}
    assert others <= allowed


async def test_a_child_leads_its_own_group_with_one_thread_a_private_mask_and_no_input(pool: Children) -> None:
    seen = cast(dict[str, object], await run(pool, "surroundings"))
    del seen["env"]
    assert seen == {"umask": 0o077, "leads": True, "threads": 1, "input": ""}


async def test_a_child_has_two_pipes_and_no_other_file_of_the_worker(pools: Pools, tmp_path: Path) -> None:
    pool = pools(limit=2)
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        await pool.warm(2)
        files = await asyncio.gather(run(pool, "open_files"), run(pool, "open_files"))
    pipes = [cast(list[str], found) for found in files]
    assert [[link.partition(":")[0] for link in found] for found in pipes] == [["pipe", "pipe"]] * 2
    assert set(pipes[0]).isdisjoint(pipes[1])


async def test_a_program_started_by_a_handler_does_not_get_the_pipes(pool: Children) -> None:
    assert await run(pool, "files_of_a_program") == ["0", "1", "2"]


async def test_a_job_finds_the_process_as_if_it_were_the_first_one(pool: Children, tmp_path: Path) -> None:
    seen = [await run(pool, "move_around", {"to": str(tmp_path)}) for _ in range(2)]
    assert seen == [[os.getcwd(), 0o077, True]] * 2


async def test_memory_beyond_the_limit_fails_the_job_and_not_the_child(pools: Pools) -> None:
    pool = pools(memory_limit=512 * 2**20)
    assert await run(pool, "memory_limit") == 512 * 2**20
    with pytest.raises(RemoteError) as caught:
        await run(pool, "eat_memory")
    assert caught.value.is_a(MemoryError)
    assert await run(pool, "memory_limit") == 512 * 2**20


async def test_endless_recursion_fails_the_job_and_not_the_child(pool: Children) -> None:
    with pytest.raises(RemoteError) as caught:
        await run(pool, "recurse")
    assert caught.value.is_a(RecursionError)
    assert await run(pool, "echo") == {}


async def test_a_worker_whose_directory_was_removed_still_has_children(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A deployment may replace the directory under a running worker."""
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert await run(pools(), "echo") == {}


async def test_a_child_may_not_have_children(pool: Children) -> None:
    with pytest.raises(RemoteError, match="may not have child processes of its own"):
        await run(pool, "start_children")


async def test_a_fork_that_comes_out_of_the_handler_does_not_answer_for_it(pool: Children) -> None:
    pids = [await run(pool, "fork_and_return") for _ in range(2)]
    assert pids[0] == pids[1]


async def test_threads_left_behind_cannot_speak_for_the_next_job_nor_keep_the_child(pool: Children) -> None:
    await run(pool, "leave_threads")
    listener = Listener()
    for _ in range(100):
        await run(pool, "echo", listener=listener)
    assert listener.logs == []


MAIN_PROGRAM = """
import asyncio
import sys
from corral.job import Job, JobState
from corral.worker.children import ChildRequest, Children, HandlerRef, RemoteError

class Ours(Mine):
    pass

def name():
    return [__name__, sys.flags.optimize, sys.flags.dev_mode]

def fail():
    raise Ours

def request(qualname):
    job = Job(id="1", queue="q", name="n", state=JobState.ACTIVE, data="{}")
    return ChildRequest(HandlerRef("__main__", qualname, __file__), job, 1)

async def hear(text):
    pass

async def main():
    children = Children(limit=1)
    print(await children.run(request("name"), on_progress=hear, on_log=hear, timeout=None))
    try:
        await children.run(request("fail"), on_progress=hear, on_log=hear, timeout=None)
    except RemoteError as error:
        print(error.type_name, error.is_a(Ours), error.is_a(Mine), error.is_a(ValueError))
    await children.close()

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("command", "names", "options"),
    [
        (["shop/program.py"], "names", [0, False]),
        (["-m", "shop.program"], ".names", [0, False]),
        (["-OO", "-Xdev", "-Wdefault", "shop/program.py"], "names", [2, True]),
    ],
)
async def test_a_handler_in_the_main_file_is_found_without_running_the_program(
    tmp_path: Path, command: list[str], names: str, options: list[object]
) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "names.py").write_text("class Mine(Exception):\n    pass\n")
    (package / "program.py").write_text(f"from {names} import Mine\n{MAIN_PROGRAM}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, env=environment, cwd=tmp_path
    )
    output, _ = await process.communicate()
    answer, error = output.decode().splitlines()
    assert json.loads(answer) == ["__mp_main__", *options]
    assert error == "__main__.Ours True True False"


# -- the pool ----------------------------------------------------------------------------------------------------------


async def test_one_child_runs_one_job_after_another(pool: Children) -> None:
    results = [cast(list[int], await run(pool, "count")) for _ in range(20)]
    assert [number for _, number in results] == list(range(1, 21))
    assert len({pid for pid, _ in results}) == 1


async def test_two_hundred_jobs_share_two_children(pools: Pools) -> None:
    pool = pools(limit=2)
    results = await asyncio.gather(*(run(pool, "count") for _ in range(200)))
    runs: dict[int, list[int]] = {}
    for pid, number in cast(list[list[int]], results):
        runs.setdefault(pid, []).append(number)
    assert len(runs) == 2
    assert sum(max(numbers) for numbers in runs.values()) == 200


async def test_warm_children_are_there_before_the_first_job(pools: Pools) -> None:
    pool = pools(limit=2)
    await asyncio.gather(pool.warm(5), pool.warm(1))
    children = belongings()["children"]
    await asyncio.gather(run(pool, "echo"), run(pool, "echo"))
    assert belongings()["children"] == children


async def test_an_idle_child_that_dies_is_replaced_and_charged_to_nobody(pool: Children) -> None:
    for _ in range(10):
        pid, _ = cast(list[int], await run(pool, "count"))
        os.kill(pid, signal.SIGKILL)
        # At once: the worker may or may not have heard of the death, and the job must run either way.
        assert await run(pool, "echo", {"after": pid}) == {"after": pid}


async def test_an_idle_child_that_dies_is_cleared_away_at_once(pool: Children) -> None:
    pid, _ = cast(list[int], await run(pool, "count"))
    noticed = asyncio.Event()
    bell = logging.Handler()
    bell.emit = lambda record: noticed.set()  # type: ignore[method-assign]  # one line for the only record
    logging.getLogger("corral.worker").addHandler(bell)
    os.kill(pid, signal.SIGKILL)
    await noticed.wait()
    logging.getLogger("corral.worker").removeHandler(bell)
    assert str(pid) not in belongings()["children"]


async def test_a_closed_pool_takes_no_more_jobs(pool: Children) -> None:
    await pool.close()
    await pool.close()
    with pytest.raises(CorralError, match="closed"):
        await run(pool, "echo")


async def test_an_interpreter_that_cannot_start_is_not_a_crash_of_the_job(
    pool: Children, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(CorralError, match="no child process could be started"):
        await run(pool, "echo")


async def test_an_interpreter_that_is_gone_fails_only_the_job_that_needs_a_new_child(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pool = pools(limit=2)
    await pool.warm(1)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    first, second = await asyncio.gather(run(pool, "echo"), run(pool, "echo"), return_exceptions=True)
    assert first == {}
    assert isinstance(second, CorralError)


async def test_an_interpreter_that_does_not_get_ready_is_given_up(
    pool: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "START_SECONDS", 0.001)
    with pytest.raises(CorralError, match=r"a child process was not ready within 0\.001 s"):
        await run(pool, "echo")


async def test_a_module_whose_import_never_ends_is_given_up(
    pool: Children, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "endless.py").write_text("import signal\nsignal.pause()\n")
    monkeypatch.syspath_prepend(tmp_path)
    await pool.warm(1)
    monkeypatch.setattr(supervised, "START_SECONDS", 0.1)
    ears, lost = Listener(), request("echo", module="endless")
    with pytest.raises(CorralError, match=r"module was not imported within 0\.1 s"):
        await pool.run(lost, on_progress=ears.on_progress, on_log=ears.on_log, timeout=0.05)


async def test_a_child_that_ends_before_its_first_job_is_not_a_crash_of_the_job(
    pool: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(CorralError, match="exited with status 1 before it could take a job"):
        await run(pool, "echo")


@pytest.mark.parametrize("options", [{"limit": 0}, {"memory_limit": 2**20}, {"grace": -1.0}])
async def test_a_senseless_setting_is_refused(pools: Pools, options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        pools(**options)
