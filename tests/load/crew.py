"""Processes, one for each platform: at once or one by one."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from .plan import Plan, Verdict

ROOT = Path(__file__).resolve().parents[2]


async def play(platform: str, url: str, folder: Path, plan: Plan) -> Verdict:
    """One platform in a process of its own. Whatever goes wrong is a problem of its verdict."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
    }
    arguments = ["--url", url, "--dir", str(folder / "files"), "--plan", msgspec.json.encode(plan).decode()]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.load.one", platform, *arguments, cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(plan.patience + 120):
            out, err = await process.communicate()
    except TimeoutError:
        return _broken(platform, f"no verdict within {plan.patience + 120:.0f} s")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = out.decode().splitlines()
    try:
        verdict = msgspec.json.decode(lines[-1] if lines else "", type=Verdict)
    except msgspec.DecodeError:
        return _broken(platform, f"ended with {process.returncode}: {err.decode()[-2_000:]}")
    return verdict


async def together(platforms: Iterable[str], url_of: Callable[[str], str], folder: Path, plan: Plan) -> list[Verdict]:
    """All of them at the same time."""
    return await asyncio.gather(*(play(one, url_of(one), folder / one, plan) for one in platforms))


async def in_turn(platforms: Iterable[str], url_of: Callable[[str], str], folder: Path, plan: Plan) -> list[Verdict]:
    """One after the other."""
    return [await play(one, url_of(one), folder / one, plan) for one in platforms]


def _broken(platform: str, problem: str) -> Verdict:
    return Verdict(
        platform=platform, seconds=0, completed=0, retried=0, intended=0, schedules={}, busiest={}, fullest={}, again=0,
        problems=[problem],
    )  # fmt: skip
