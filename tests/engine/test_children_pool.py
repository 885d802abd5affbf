"""What a handler in a child process can see, and how children are started, used again and cleared away."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from corral.errors import ConfigError, CorralError
from corral.worker import supervised
from corral.worker.children import Children, RemoteError
from corral.worker.talk import Line
from tests.engine.child_pools import Listener, Pools, belongings, request, run, spotless


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    async with spotless() as pools:
        yield pools


@pytest.fixture
def pool(pools: Pools) -> Children:
    """A pool of one child."""
    return pools()


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
    monkeypatch.delenv("PYTHONPATH", raising=False)  # a relative one would keep any interpreter from starting there
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
    first = await run(pool, "leave_threads")
    listener = Listener()
    results = [cast(list[int], await run(pool, "count", listener=listener)) for _ in range(100)]
    assert listener.logs == []
    assert {pid for pid, _ in results} == {first}


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

async def main():
    children = Children(limit=1)
    print(await children.run(request("name"), None, timeout=None))
    try:
        await children.run(request("fail"), None, timeout=None)
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


async def test_closing_idle_children_is_not_reported_as_their_death(
    pool: Children, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.warm(1)
    await pool.close()
    assert caplog.messages == []


async def test_what_a_finished_job_still_writes_is_not_charged_to_the_next_one(pool: Children, tmp_path: Path) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    os.mkfifo(gate)
    os.mkfifo(done)
    await run(pool, "garble_later", {"gate": str(gate), "done": str(done)})
    gate.write_text("open")
    assert done.read_text() == "done"
    assert await run(pool, "echo") == {}


def test_a_request_that_waits_is_not_taken_for_a_hang_up() -> None:
    reading, writing = os.pipe()
    line = Line(reading, writing)
    os.write(writing, b"request")
    waiting = line.hung_up()
    os.close(writing)
    hung_up = line.hung_up()
    os.close(reading)
    assert (waiting, hung_up) == (False, True)


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
    with pytest.raises(CorralError, match=r"module was not imported within 0\.1 s"):
        await pool.run(request("echo", module="endless"), Listener(), timeout=0.05)


async def test_a_child_that_ends_before_its_first_job_is_not_a_crash_of_the_job(
    pool: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(CorralError, match="exited with status 1 before it could take a job"):
        await run(pool, "echo")


@pytest.mark.parametrize(
    ("limit", "memory_limit", "grace", "key"),
    [(0, None, 1.0, "limit"), (1, 2**20, 1.0, "memory_limit"), (1, None, -1.0, "grace")],
)
def test_a_senseless_setting_is_refused(limit: int, memory_limit: int | None, grace: float, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Children(limit=limit, memory_limit=memory_limit, grace=grace)
    assert caught.value.key == key


def test_many_threads_may_ask_at_once_whether_the_worker_has_hung_up() -> None:
    reading, writing = os.pipe()
    line = Line(reading, writing)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: line.hung_up(), range(20_000)))
    os.close(writing)
    assert not any(answers)
    assert line.hung_up()
    os.close(reading)
