"""Children that die, do not end, or lose their worker: each trouble stays with the one job that made it."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from corral.errors import JobTimeoutError, ResultError, WorkerCrashedError
from corral.worker.children import Children
from tests.engine.child_pools import Listener, Pools, Watched, belongings, request, run, spotless


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    async with spotless() as pools:
        yield pools


@pytest.fixture
def pool(pools: Pools) -> Children:
    """A pool of one child."""
    return pools()


DEATHS = [
    ("exit_with", {"status": 0}, "the process running it exited with status 0"),
    ("exit_with", {"status": 3}, "the process running it exited with status 3"),
    ("signal_self", {"signal": 9}, "the process running it was killed by signal 9 (SIGKILL)"),
    ("signal_self", {"signal": 34}, "the process running it was killed by signal 34"),
    ("segfault", {}, "the process running it was killed by signal 11 (SIGSEGV)"),
    ("abort", {}, "the process running it was killed by signal 6 (SIGABRT)"),
    ("fork_and_die", {}, "the process running it exited with status 4"),
    ("close_everything", {}, "the process running it closed its pipe to the worker"),
    ("garble", {"bytes": [0, 0, 0, 1, 255]}, "the process running it wrote into the worker's pipe"),
    ("garble", {"bytes": [0, 0, 0, 12, 129, 164, 116, 121, 112, 101, 165, 114, 101, 97, 100, 121]}, "out of turn"),
]


@pytest.mark.parametrize(("handler", "data", "text"), DEATHS)
async def test_a_death_fails_the_job_that_ran_there_and_no_other(
    pools: Pools, tmp_path: Path, handler: str, data: object, text: str
) -> None:
    pool, gate, ears = pools(limit=2), tmp_path / "gate", Listener()
    os.mkfifo(gate)
    neighbour = asyncio.ensure_future(run(pool, "wait_at_gate", {"gate": str(gate)}, listener=ears))
    await ears.heard.wait()
    with pytest.raises(WorkerCrashedError) as caught:
        await run(pool, handler, data)
    assert text in str(caught.value)
    assert await run(pool, "echo", {"in": "a new child"}) == {"in": "a new child"}
    gate.write_text("open")
    assert await neighbour == "open"


async def test_a_message_longer_than_allowed_is_refused_and_ends_the_child(pool: Children) -> None:
    with pytest.raises(ResultError, match="4,294,967,295 bytes"):
        await run(pool, "garble", {"bytes": [255, 255, 255, 255]})


async def test_a_death_is_known_within_a_second(pool: Children) -> None:
    ears = Listener()
    job = asyncio.ensure_future(run(pool, "ignore_everything", listener=ears))
    await ears.heard.wait()
    loop = asyncio.get_running_loop()
    killed = loop.time()
    os.kill(cast(int, ears.progress[0]), signal.SIGKILL)
    with pytest.raises(WorkerCrashedError, match="signal 9"):
        await job
    assert loop.time() - killed < 1


async def test_without_a_pidfd_deaths_are_noticed_too(pool: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    for handler in ("abort", "fork_and_die"):
        with pytest.raises(WorkerCrashedError):
            await run(pool, handler)
    assert await run(pool, "echo") == {}


async def test_a_fork_is_ended_with_the_process_that_made_it(pool: Children) -> None:
    ears = Ears()
    with pytest.raises(WorkerCrashedError):
        await run(pool, "fork_and_die", listener=ears)
    await ears.process.ended()


class Ears(Listener):
    """Watches the process whose id a handler reports, from that very moment on."""

    process: Watched

    async def progress_json(self, text: str) -> None:
        self.process = Watched(int(text))
        await super().progress_json(text)


class Silent(Listener):
    """Hears a question and never answers."""

    async def progress_json(self, text: str) -> None:
        await super().progress_json(text)
        await asyncio.Event().wait()


# -- time-outs and cancellation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["spin", "ignore_everything", "start_program"])
async def test_a_time_out_ends_the_whole_group_within_the_grace(pool: Children, handler: str) -> None:
    ears, loop = Ears(), asyncio.get_running_loop()
    await pool.warm(1)
    started = loop.time()
    with pytest.raises(JobTimeoutError, match=r"^timed out after 0\.5 s$"):
        await run(pool, handler, timeout=0.5, listener=ears)
    # 0.5 s and the pool's grace of 0.3 s; the rest is for a busy machine.
    assert 0.5 <= loop.time() - started < 0.5 + 0.3 + 0.7
    await ears.process.ended()


@pytest.mark.parametrize("handler", ["wait_and_tidy", "wait_and_tidy_async"])
async def test_a_handler_that_is_stopped_may_tidy_up(pools: Pools, tmp_path: Path, handler: str) -> None:
    note, ears = tmp_path / "note", Listener()
    job = asyncio.ensure_future(run(pools(grace=10), handler, {"note": str(note)}, listener=ears))
    await ears.heard.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert note.read_text() == "tidied up"


@pytest.mark.parametrize("handler", ["spin", "ignore_everything", "start_program"])
async def test_cancelling_ends_the_whole_group(pool: Children, handler: str) -> None:
    ears = Ears()
    job = asyncio.ensure_future(run(pool, handler, listener=ears))
    await ears.heard.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    await ears.process.ended()
    assert await run(pool, "echo") == {}


@pytest.mark.parametrize("handler", ["report", "report_async"])
async def test_a_time_out_ends_a_handler_that_waits_for_an_answer(pool: Children, handler: str) -> None:
    with pytest.raises(JobTimeoutError, match=r"^timed out after 0\.2 s$"):
        await run(pool, handler, timeout=0.2, listener=Silent())
    assert await run(pool, "echo") == {}


@pytest.mark.parametrize("handler", ["report", "report_async"])
async def test_cancelling_ends_a_handler_that_waits_for_an_answer_without_a_kill(pools: Pools, handler: str) -> None:
    pool, ears = pools(grace=30), Silent()
    job = asyncio.ensure_future(run(pool, handler, listener=ears))
    await ears.heard.wait()
    job.cancel()
    async with asyncio.timeout(10):  # a third of the grace: it ends by itself
        with pytest.raises(asyncio.CancelledError):
            await job


async def test_a_second_cancellation_returns_at_once_and_does_not_cut_the_tidying_short(
    pools: Pools, tmp_path: Path
) -> None:
    pool, gate, note, ears = pools(grace=10), tmp_path / "gate", tmp_path / "note", Listener()
    os.mkfifo(gate)
    key = os.open(gate, os.O_RDWR)
    job = asyncio.ensure_future(run(pool, "tidy_at_gate", {"gate": str(gate), "note": str(note)}, listener=ears))
    await ears.heard.wait()
    for _ in range(2):
        job.cancel()
        await asyncio.wait([job], timeout=0.05)
    assert job.cancelled()
    os.write(key, b"tidied up\n")
    await pool.close()
    os.close(key)
    assert note.read_text() == "tidied up\n"


async def test_the_import_of_the_handler_is_not_charged_to_its_time(
    pool: Children, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "slow.py").write_text(f"open({str(gate)!r}).read()\ndef answer(): return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    job = asyncio.ensure_future(pool.run(request("answer", module="slow"), Listener(), timeout=0.5))
    await asyncio.wait([job], timeout=0.6)
    assert not job.done()
    opening = threading.Thread(target=gate.write_text, args=("open",))  # waits for the reader, who may need this loop
    opening.start()
    assert await job == "42"
    opening.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_that_is_not_the_workers_does_not_disturb_the_job(
    pool: Children, tmp_path: Path, number: signal.Signals
) -> None:
    """A service manager that stops a unit signals every process in it; the worker lets its jobs finish."""
    gate, ears = tmp_path / "gate", Listener()
    os.mkfifo(gate)
    others = belongings()["children"]  # such as a server that tests of this process share
    job = asyncio.ensure_future(run(pool, "wait_at_gate", {"gate": str(gate)}, listener=ears))
    await ears.heard.wait()
    for pid in belongings()["children"] - others:
        os.kill(int(pid), number)
    gate.write_text("finished all the same")
    assert await job == "finished all the same"


# -- the end of the worker ---------------------------------------------------------------------------------------------


async def test_closing_the_pool_ends_what_still_runs(pools: Pools) -> None:
    pool, ears = pools(limit=3), [Ears(), Ears(), Ears()]
    handlers = ("spin", "ignore_everything", "start_program")
    jobs = [asyncio.ensure_future(run(pool, name, listener=ear)) for name, ear in zip(handlers, ears, strict=True)]
    await asyncio.gather(*(ear.heard.wait() for ear in ears))
    await pool.close()
    for ear in ears:
        await ear.process.ended()
    for job in jobs:
        with pytest.raises(WorkerCrashedError, match="because its worker closes"):
            await job


async def test_closing_does_not_wait_for_a_question_that_hangs(pools: Pools) -> None:
    pool, ears = pools(), Silent()
    job = asyncio.ensure_future(run(pool, "spin", timeout=None, listener=ears))
    await ears.heard.wait()
    await asyncio.wait_for(pool.close(), 5)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_a_killed_warden_is_replaced_with_the_next_child(pool: Children) -> None:
    others = belongings()["children"]  # such as a server that tests of this process share
    await pool.warm(1)
    before = belongings()["children"] - others
    for pid in before:
        process = Watched(int(pid))
        os.kill(int(pid), signal.SIGKILL)
        await process.ended()
    assert await run(pool, "echo") == {}
    after = belongings()["children"] - others
    assert (len(before), len(after), before & after) == (2, 2, set())


WORKER = """
import asyncio, os, re, signal, subprocess, sys
from corral.job import Job, JobState
from corral.worker.children import ChildRequest, Children, HandlerRef

def tell(ctx):
    program = subprocess.Popen(["sleep", "1000"])
    ctx.progress([os.getpid(), program.pid])

def wait(ctx):
    tell(ctx)
    signal.pause()

def ignore(ctx):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(ctx)
    while True:
        signal.pause()

def hold_the_interpreter(ctx):
    tell(ctx)
    re.match(r"(a+)+$", "a" * 60 + "b")

class Speaker:
    async def progress_json(self, text):
        print(text, flush=True)

async def main():
    job = Job(id="1", queue="q", name="n", state=JobState.ACTIVE, data="{}")
    request = ChildRequest(HandlerRef("__main__", sys.argv[1], __file__), job, 1)
    await Children(limit=1).run(request, Speaker(), timeout=None)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize("handler", ["wait", "ignore", "hold_the_interpreter"])
async def test_a_killed_worker_takes_its_children_and_their_programs_along(tmp_path: Path, handler: str) -> None:
    program = tmp_path / "worker.py"
    program.write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    worker = await asyncio.create_subprocess_exec(
        sys.executable, program, handler, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert worker.stdout is not None
    line = await worker.stdout.readline()
    processes = [Watched(int(pid)) for pid in line.strip(b"[]\n").split(b",")]
    worker.kill()
    await worker.wait()
    for process in processes:
        await process.ended()
