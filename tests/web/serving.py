"""Starts a real `corral api` process, and waits for what it says."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


class Process:
    """`corral api …` in a folder of its own; killed at the end, whatever happens."""

    def __init__(self, folder: Path, *words: str, env: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._folder = folder
        self._words = words
        self._env = dict(env or {})

    def __enter__(self) -> Self:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "corral.cli", "api", *self._words],
            cwd=self._folder, env={**kept, "PYTHONPATH": f"{ROOT / 'src'}", "PYTHONUNBUFFERED": "1", **self._env},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        self.process.stdout.close()
        self.process.wait(PATIENCE)

    def line(self, word: str) -> str:
        """The next line with this word in it; fails when the process ends without one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if word in line:
                return self.lines[-1]
        raise AssertionError(f"{word!r} was not said:\n" + "\n".join(self.lines))

    def url(self) -> str:
        """Where it serves."""
        return self.line("http://").strip().removesuffix("/api/v1")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def code(self) -> int:
        """The exit code, once it has ended."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        return self.process.wait(PATIENCE)


def fetch(url: str, token: str | None = None, *, body: object = None) -> tuple[int, str]:
    """Status and text of an answer over a real connection."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={**headers, "Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(url: str, status: int, token: str | None = None) -> str:
    """Ask until the answer has this status."""
    end = time.monotonic() + PATIENCE
    found: tuple[int, str] = (0, "")
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            found = fetch(url, token)
        if found[0] == status:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"{url} did not answer {status} but {found}")
