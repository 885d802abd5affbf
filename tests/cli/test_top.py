"""`corral top`, seen by itself and on a terminal of its own; completion; probes; a bench."""

import contextlib
import http.server
import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from corral.cli.backend.direct import Direct
from corral.cli.course import POINTS, Courses, arranged, spark
from corral.cli.live import Top
from corral.job import NewJob
from corral.storage.port import Storage

from .helpers import FAILED, PATIENCE, call, finish, put, surroundings


def drawn(top: Top, width: int = 140, height: int = 40) -> str:
    console = Console(width=width, height=height, no_color=True, record=True, file=io.StringIO())
    console.print(top.screen(width, height))
    return console.export_text()


async def test_everything_is_on_one_screen(storage: Storage, storage_url: str) -> None:
    await storage.add([NewJob(queue="mail", name="x")] * 3 + [NewJob(queue="reports", name="y")])
    top = Top()
    await top.refresh(Direct(storage, storage_url))
    text = drawn(top)
    assert "4 waiting" in text
    assert all(word in text for word in ("mail", "reports", "no failures within a day", "no worker is alive", "q ends"))


async def test_a_wide_screen_has_sixty_points_of_a_queues_course(storage: Storage, storage_url: str) -> None:
    await storage.add([NewJob(queue="mail", name="x")])
    top = Top()
    await top.refresh(Direct(storage, storage_url))
    assert top.seen is not None
    for _ in range(POINTS):
        top.courses.look(top.seen.queues)
    lines = {width: next(line for line in drawn(top, width).splitlines() if " mail " in line) for width in (200, 100)}
    assert lines[200].count("█") == POINTS
    assert 10 <= lines[100].count("█") < POINTS


async def test_the_keys_stop_it_sort_it_and_end_it(storage: Storage, storage_url: str) -> None:
    await storage.add([NewJob(queue="a", name="x"), *[NewJob(queue="b", name="x")] * 5])
    top = Top()
    await top.refresh(Direct(storage, storage_url))
    top.press("s")
    assert (top.sort, "sorts (by waiting)" in drawn(top)) == ("waiting", True)
    top.press("p")
    assert "goes on" in drawn(top)
    top.press("q")
    assert top.ended.is_set()


def test_queues_stand_in_the_order_that_is_wanted() -> None:
    queues = [{"queue": name, "attention": a, "waiting": w, "failed": f} for name, a, w, f in
              (("a", 0, 5, 1), ("b", 3, 1, 0), ("c", 0, 1, 9))]  # fmt: skip
    orders = {sort: "".join(str(row["queue"]) for row in arranged(queues, sort)) for sort in
              ("attention", "waiting", "failed", "name")}  # fmt: skip
    assert orders == {"attention": "bac", "waiting": "abc", "failed": "cab", "name": "abc"}


def test_a_course_is_drawn_as_bars() -> None:
    courses = Courses()
    for waiting in (0, 1, 4, 8):
        courses.look([{"queue": "mail", "waiting": waiting}])
    assert spark(courses.of("mail"), 30) == "·▁▄█"
    courses.look([])
    assert spark(courses.of("mail"), 30) == ""


@pytest.mark.parametrize("shown", [("top",), ("queues", "list", "--watch", "1h")])
def test_it_is_shown_on_a_terminal_until_q_is_pressed(url: str, folder: Path, shown: tuple[str, ...]) -> None:
    put(url, NewJob(queue="send-email", name="x"))
    finish(url, "send-email", 1, FAILED)
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "corral.cli", *shown, "--url", url]
    with subprocess.Popen(
        words, cwd=folder, env=surroundings(TERM="xterm", COLUMNS="140", LINES="40"), stdin=theirs, stdout=theirs,
        stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        seen = b""
        with contextlib.suppress(OSError):  # the other end of a terminal is closed with an error
            while part := os.read(ours, 65_536):
                seen += part
                if b"q ends" in seen:
                    os.write(ours, b"q")
        assert process.wait(PATIENCE) == 0
        guard.cancel()
    os.close(ours)
    assert b"send-email" in seen


def test_elsewhere_it_says_what_to_use_instead(url: str) -> None:
    result = call("top", "--url", url)
    assert result.exit_code == 2
    assert "corral stats --watch" in result.stderr


# -- completion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str) -> None:
    text = call("completion", shell).stdout
    assert "_CORRAL_COMPLETE" in text
    assert "corral" in text


def completed(folder: Path, typed: str, **env: str) -> list[str]:
    words = typed.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", "from corral.cli.main import main; main()"],
        cwd=folder,
        env=surroundings(_CORRAL_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1), **env),
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_the_tab_key_knows_commands_and_names_of_queues(url: str, folder: Path) -> None:
    put(url, NewJob(queue="send-email", name="x"), NewJob(queue="reports", name="x"))
    assert completed(folder, "corral que") == ["queues"]
    assert completed(folder, "corral queues pause se", CORRAL_URL=url) == ["send-email"]
    assert completed(folder, "corral jobs list --queue ", CORRAL_URL=url) == ["reports", "send-email"]
    assert completed(folder, "corral queues pause x", CORRAL_URL="sqlite:///nothing.db") == []


# -- probes ------------------------------------------------------------------------------------------------------------


class Probed(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        well = self.path == "/livez"
        self.send_response(200 if well else 503)
        self.end_headers()
        self.wfile.write(b"ok" if well else b"store: down")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's own name
        return None


@pytest.fixture
def probed() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Probed) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_probe_tells_by_its_exit_code(probed: str) -> None:
    assert call("healthcheck", "live", "--url", probed).exit_code == 0
    unwell = call("healthcheck", "ready", "--url", probed)
    assert (unwell.exit_code, "503 store: down" in unwell.stderr) == (8, True)
    assert call("healthcheck", "live", "--url", "http://127.0.0.1:1").exit_code == 3
    assert call("healthcheck", "live", "--url", "ftp://x").exit_code == 2


def test_a_file_that_is_touched_is_a_sign_of_life(folder: Path) -> None:
    sign = folder / "alive"
    assert call("healthcheck", "--file", str(sign)).exit_code == 8
    sign.touch()
    assert call("healthcheck", "--file", str(sign)).exit_code == 0
    os.utime(sign, (1, 1))
    assert call("healthcheck", "--file", str(sign), "--max-age", "30s").exit_code == 8


# -- a bench -----------------------------------------------------------------------------------------------------------


def test_a_bench_measures_asserts_and_leaves_nothing(storage_url: str) -> None:
    result = call("bench", "--jobs", "50", "--report", "json", "--assert", "throughput>0.1", "--url", storage_url)
    figures = json.loads(result.stdout)
    assert (figures["jobs"], figures["throughput"] > 0, result.exit_code) == (50, True, 0)
    assert "cleaned up queue corral-bench-" in result.stderr
    assert json.loads(call("queues", "list", "-o", "json", "--url", storage_url).stdout) == []
    missed = call("bench", "--jobs", "10", "--assert", "throughput>1000000000", "--url", storage_url)
    assert (missed.exit_code, "throughput is" in missed.stderr) == (8, True)
    assert call("bench", "--jobs", "10", "--assert", "speed>1", "--url", storage_url).exit_code == 2
