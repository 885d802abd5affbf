"""The README's tour, taken at its word: its files are written, its commands are run, in order."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from corral.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = README.partition("\n## A tour in five minutes\n")[2].partition("\n## ")[0]
PROGRAMS = {"python": [sys.executable], "corral": [sys.executable, "-m", "corral.cli"]}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TOUR, re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """The files of the tour. A block that begins with `# name, continued` goes on with the file."""
    found: dict[str, str] = {}
    for block in blocks("python"):
        head, _, rest = block.partition("\n")
        name = head.removeprefix("# ").removesuffix(", continued")
        found[name] = f"{found.get(name, '')}\n\n{rest}"
    return found


def commands() -> Iterator[list[str]]:
    for line in "".join(blocks("console")).splitlines():
        program, *arguments = shlex.split(line.removeprefix("$ "))
        yield [*PROGRAMS[program], *arguments]


def run(command: list[str], folder: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}", "PYTHONWARNINGS": "error"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what is installed here may have warnings of its own
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_tour_works_as_it_is_written(tmp_path: Path) -> None:
    for name, text in files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    output = [run(command, tmp_path) for command in commands()]
    assert sorted(files()) == ["add.py", "jobs.py", "result.py", "test_jobs.py"]
    assert len(output) == 9
    result = output[2].splitlines()
    assert result[0] == "{'greeting': 'Hello Dan'}"
    assert result[-1].startswith("failed ")
    assert re.search(r"1 passed", output[3])
    assert re.search(r"mail/\d+ added", output[4])
    assert "daily-digest" in output[7]
    assert "Cleaning job queues" in output[8]


def test_bob_s_priority_puts_him_before_ann_and_cleo_waits(tmp_path: Path) -> None:
    for name, text in files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    run([sys.executable, "add.py"], tmp_path)
    seen = (
        "import asyncio\nfrom jobs import app, mail\n"
        "async def main():\n    async with app:\n        page = await (await mail.open()).page()\n"
        "        print([(job.id, job.state.value) for job in page.items])\n"
        "        events, _ = await (await app.open()).events('mail', after='')\n"
        "        print([event.job_id for event in events if event.type == 'active'])\n"
        "asyncio.run(main())\n"
    )
    run([*PROGRAMS["corral"], "worker", "jobs:app", "--burst", "--concurrency", "1"], tmp_path)
    page, order = run([sys.executable, "-c", seen], tmp_path).splitlines()
    assert "('welcome-cleo', 'delayed')" in page
    assert order == "['2', '1']"


def test_the_tour_can_be_taken_in_five_minutes() -> None:
    assert len(TOUR.splitlines()) <= 130


def test_the_status_promises_what_is_there_and_nothing_else() -> None:
    assert ("dashboard" in COMMANDS) is ("**dashboard**" not in README.partition("Not yet:")[2])
