"""Commands: what they get, and how each of them ends with everything that it started."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from corral.handlers.pipelines.command import CommandError, Ended, Runner
from corral.handlers.pipelines.leftovers import end_leftovers
from corral.handlers.pipelines.output import Mask, Output

#: For whatever has to happen sooner or later; a slow machine may take its time.
PATIENCE = 90.0
ENV = {"PATH": os.defpath}

Run = Callable[..., Awaitable[Ended]]


async def nowhere(entry: str) -> None:
    """A log that nobody reads."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs Python code as a command; what it prints is in `output.log`."""

    async def run(
        code: str, *arguments: str, timeout: float = PATIENCE, max_output: int = 1_000_000,
        env: Mapping[str, str] = ENV,
    ) -> Ended:  # fmt: skip
        async with Output(nowhere, tmp_path / "output.log", Mask(), max_log=0) as output:
            return await Runner(max_output=max_output).run(
                [sys.executable, "-c", code, *arguments], cwd=tmp_path, env=env, timeout=timeout, output=output
            )

    return run


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def eventually(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.02)


def pids(file: Path) -> list[int]:
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def family(options: str = "", then: str = "time.sleep(600)") -> str:
    """Code that starts a shell with a program in it, writes the ids of all three down, and waits for ever."""
    return f"""
import os, subprocess, sys, time
shell = ["sh", "-c", "sleep 600 & echo $!; wait"]
child = subprocess.Popen(shell, stdout=subprocess.PIPE, {options})
text = f"{{os.getpid()}} {{child.pid}} {{int(child.stdout.readline())}}"
with open(sys.argv[1] + ".new", "w") as file:
    file.write(text)
os.rename(sys.argv[1] + ".new", sys.argv[1])
{then}
"""


STAYING = family()
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAYING
LEAVING = family(then="")
RUNAWAY = family(options="start_new_session=True", then="")


async def test_a_command_gets_its_arguments_as_they_are(run: Run, tmp_path: Path) -> None:
    ended = await run("import sys; print(sys.argv[1:])", "a b", "$(touch canary)", "", "*", "--", "ünï")

    assert ended.ok
    assert (tmp_path / "output.log").read_text() == "['a b', '$(touch canary)', '', '*', '--', 'ünï']\n"


async def test_a_command_has_no_input_and_only_the_environment_that_it_is_given(run: Run, tmp_path: Path) -> None:
    os.environ["A_SECRET_OF_THE_WORKER"] = "hunter2"
    try:
        await run("import os, sys; print(sys.stdin.read() == '', sorted(os.environ))")
    finally:
        del os.environ["A_SECRET_OF_THE_WORKER"]

    said = (tmp_path / "output.log").read_text()
    assert said.startswith("True")
    assert "A_SECRET_OF_THE_WORKER" not in said


async def test_no_open_file_of_the_worker_reaches_a_command(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        await run("import os; print(sorted(int(name) for name in os.listdir('/proc/self/fd')))")

    assert (tmp_path / "output.log").read_text() == "[0, 1, 2, 3]\n"  # the fourth is the listing's own


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("", 0, "exited with status 0"),
        ("raise SystemExit(3)", 3, "exited with status 3"),
        ("import os; os.kill(os.getpid(), 9)", -9, "was killed by signal 9 (SIGKILL)"),
    ],
)
async def test_how_a_command_ended_is_told(run: Run, code: str, status: int, reason: str) -> None:
    ended = await run(code)

    assert (ended.status, ended.ok) == (status, status == 0)
    assert ended.reason == f"{Path(sys.executable).name} {reason}"


async def test_a_program_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    async with Output(nowhere, tmp_path / "output.log", Mask(), max_log=0) as output:
        with pytest.raises(CommandError, match="nothing cannot be started"):
            await Runner(max_output=1_000).run(
                ["/nonexistent/nothing"], cwd=tmp_path, env=ENV, timeout=5, output=output
            )


async def test_what_is_said_on_the_way_out_is_not_lost(run: Run, tmp_path: Path) -> None:
    await run("import sys\nfor n in range(20000): print(n)\nprint('last', file=sys.stderr)")

    said = (tmp_path / "output.log").read_text().splitlines()
    assert len(said) == 20_001
    assert "last" in said


@pytest.mark.slow  # the time of a command really runs out
@pytest.mark.parametrize("code", [STAYING, DEAF], ids=["hears SIGTERM", "is deaf to SIGTERM"])
async def test_at_its_time_out_a_command_ends_with_its_whole_family(run: Run, tmp_path: Path, code: str) -> None:
    # The time has to suffice for the family to start on a slow machine; then it has to run out.
    ended = await run(code, str(tmp_path / "pids"), timeout=8)

    assert not ended.ok
    assert ended.stopped == "ran longer than 8 s"
    started = pids(tmp_path / "pids")
    assert len(started) == 3
    await eventually(lambda: not any(map(alive, started)))


async def test_a_cancelled_command_ends_with_its_whole_family(run: Run, tmp_path: Path) -> None:
    task = asyncio.ensure_future(run(STAYING, str(tmp_path / "pids")))
    await eventually(lambda: len(pids(tmp_path / "pids")) == 3)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not any(map(alive, pids(tmp_path / "pids")))


async def test_what_a_command_leaves_running_ends_with_it(run: Run, tmp_path: Path) -> None:
    ended = await run(LEAVING, str(tmp_path / "pids"))

    assert ended.ok
    await eventually(lambda: not any(map(alive, pids(tmp_path / "pids"))))


async def test_a_program_that_ran_away_into_a_session_of_its_own_ends_too(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = await run(RUNAWAY, str(tmp_path / "pids"))

    assert ended.ok
    await eventually(lambda: not any(map(alive, pids(tmp_path / "pids"))))
    assert "had gone out of its group" in caplog.text


async def test_a_program_that_ran_away_and_holds_on_to_the_output_does_not_hold_on_to_the_job(
    run: Run, tmp_path: Path
) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); print('done')"

    async with asyncio.timeout(PATIENCE):
        ended = await run(code)

    assert ended.ok
    assert (tmp_path / "output.log").read_text() == "done\n"


async def test_a_command_that_prints_without_end_is_killed(run: Run, tmp_path: Path) -> None:
    ended = await run("while True: print('x' * 1000)", max_output=200_000)

    assert ended.stopped == "printed more than 200,000 bytes"
    assert 200_000 < ended.printed < 400_000
    assert (tmp_path / "output.log").stat().st_size <= ended.printed


async def test_one_that_prints_all_the_time_does_not_keep_the_loop_from_others(run: Run) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await run("import os\nfor n in range(200): os.write(1, b'x' * 60000)", max_output=100_000_000)
    other.cancel()

    assert turns > 100


async def test_a_stopped_command_can_be_ended(run: Run) -> None:
    ended = await run("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", timeout=2)

    assert ended.stopped == "ran longer than 2 s"


async def test_no_zombie_and_no_pipe_is_left(run: Run, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await run("import os; print(os.getpid())")

    assert len(os.listdir("/proc/self/fd")) <= before + 1
    said = (tmp_path / "output.log").read_text().split()
    assert [pid for pid in said if Path("/proc", pid).exists()] == []


WORKER = """
import asyncio, os, sys
from pathlib import Path
from corral.handlers.pipelines.command import Runner
from corral.handlers.pipelines.output import Mask, Output

async def log(entry): ...

async def main():
    folder = Path(sys.argv[1])
    async with Output(log, folder / "output.log", Mask(), max_log=0) as output:
        await Runner(max_output=1000).run(
            [sys.executable, "-c", sys.argv[2], str(folder / "pids")], cwd=folder, env={"PATH": os.defpath},
            timeout=600, output=output,
        )

asyncio.run(main())
"""


def start_worker(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder), STAYING])


async def test_when_the_worker_itself_is_killed_a_command_ends_with_its_whole_family(tmp_path: Path) -> None:
    worker = start_worker(tmp_path)
    try:
        await eventually(lambda: len(pids(tmp_path / "pids")) == 3)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    await eventually(lambda: not any(map(alive, pids(tmp_path / "pids"))))


def test_looking_for_leftovers_where_there_is_no_proc_finds_none(tmp_path: Path) -> None:
    assert end_leftovers("mark", tmp_path / "nothing") == 0
