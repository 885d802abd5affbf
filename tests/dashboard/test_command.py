"""`corral dashboard`: a real process that nobody has configured, and somebody who logs in by its link."""

import re
import signal
from pathlib import Path

import httpx

from tests.cli.helpers import Command

from .surfing import Surfer


async def test_the_printed_link_logs_in_once(tmp_path: Path) -> None:
    with Command("dashboard", "--url", "sqlite:///jobs.db", "--port", "0", cwd=tmp_path, env={}) as server:
        link = re.search(r"http://\S+/login\?token=\S+", server.line("/login?token="))
        assert link is not None
        server.line("Ctrl-C")
        async with httpx.AsyncClient(timeout=60) as client:
            somebody = Surfer(client)
            form = await somebody.get(link[0])
            page = await somebody.press(form, "Log in")
            assert (page.status, page.headings) == (200, ["Overview"])
            assert "Log out" in page.words
            left = await somebody.press(page, "Log out")
            assert left.headings == ["Log in"]
        async with httpx.AsyncClient(timeout=60) as client:
            again = await Surfer(client).press(await Surfer(client).get(link[0]), "Log in")
            assert again.status == 401
            assert again.headings == ["Log in"]
        server.signal(signal.SIGTERM)
        assert server.end() == 0
