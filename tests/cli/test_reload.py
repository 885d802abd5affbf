"""M-TS-14: a worker that starts again when the code changes."""

import importlib.util
import signal
from pathlib import Path

import pytest

from corral.cli import supervise

from .helpers import MAILER, READY, Command, call, succeed

pytestmark = pytest.mark.slow  # each test starts interpreters, and files must be seen to change

APP = """
import logging
from corral import Corral

app = Corral(name="shop")
queue = app.queue("orders")


@queue.job("ship")
async def ship() -> None:
    logging.getLogger("shop").info("shipped by {carrier}")
"""


def write(folder: Path, carrier: str) -> None:
    (folder / "shop.py").write_text(APP.format(carrier=carrier))


@pytest.mark.mission("M-TS-14")
def test_m_ts_14_a_changed_file_starts_the_worker_again_with_the_new_code(folder: Path, url: str) -> None:
    write(folder, "bicycle")
    with Command("worker", "shop", "--reload", "--url", url, cwd=folder) as worker:
        worker.line(READY)
        succeed("add", "orders", "ship", "--url", url)
        worker.line("shipped by bicycle")
        write(folder, "airship")
        worker.line("shop.py changed, starting again")
        worker.line("worker stopped")
        worker.line(READY)
        succeed("add", "orders", "ship", "--url", url)
        worker.line("shipped by airship")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


@pytest.mark.mission("M-TS-14")
def test_m_ts_14_a_mistake_in_a_file_waits_for_its_correction(folder: Path, url: str) -> None:
    (folder / "shop.py").write_text("def broken(")
    with Command("worker", "shop", "--reload", "--url", url, cwd=folder) as worker:
        worker.line("SyntaxError")
        worker.line("worker 0 ended with exit code 2; it starts again when a file changes")
        write(folder, "bicycle")
        worker.line(READY)
        worker.signal(signal.SIGINT)
        assert worker.end() == 0


@pytest.mark.mission("M-TS-14")
def test_m_ts_14_dev_reloads_too(folder: Path) -> None:
    write(folder, "bicycle")
    with Command("dev", "shop", "--port", "0", cwd=folder) as worker:
        worker.line(READY)
        write(folder, "airship")
        worker.line(READY)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


def test_reloading_without_watchfiles_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    def nothing(name: str) -> None:
        assert name == "watchfiles"

    monkeypatch.setattr(supervise, "find_spec", nothing)
    assert importlib.util.find_spec("watchfiles") is not None, "only the supervisor's eyes are shut"
    result = call("worker", MAILER, "--reload", "--url", url)
    assert result.exit_code == 2
    assert "pip install 'corral[cli]'" in result.stderr
