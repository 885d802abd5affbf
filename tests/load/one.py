"""One platform under load, in this process: its worker, demo and hurried schedules, and the closing of the books."""

import argparse
import asyncio
import json
import secrets
import sys
import time
from pathlib import Path

import httpx2
import msgspec

from corral import Corral, WorkerOptions
from corral.dashboard import create_dashboard
from corral.http import ApiSettings
from examples.demo.serving import listening, served, site_of
from examples.demo.stage import Act, Stage, api_of, load

from .again import Again
from .hurry import Hurry
from .ledger import Ledger
from .plan import Plan, Verdict

#: Seconds between two looks at the store.
LOOK = 0.2


class Run:
    """A platform's run, from its first job to its verdict."""

    def __init__(self, act: Act, app: Corral, stage: Stage, plan: Plan) -> None:
        self._act = act
        self._app = app
        self._stage = stage
        self._plan = plan
        self.ledger = Ledger(app, stage)
        self.hurry = Hurry(app, plan)
        self.again = Again(app, stage, self.ledger, plan.again)
        self.problems: list[str] = []

    async def live(self) -> None:
        """Work until every schedule has run as often as it should, the demo is over and every job has ended."""
        await self.ledger.begin()
        names = [f"load-{number}" for number in range(self._plan.workers)]
        workers = [await self._app.worker(options=WorkerOptions(name=name, stats_interval=0)) for name in names]
        working = [asyncio.create_task(worker.run()) for worker in workers]
        living = asyncio.create_task(self._act.life(self._app, self._stage))
        try:
            await self._follow(working, living)
            await self._compare()
        finally:
            for worker in workers:
                worker.stop()
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            await asyncio.gather(*working)

    async def _follow(self, working: "list[asyncio.Task[int]]", living: "asyncio.Task[None]") -> None:
        began = looked = time.monotonic()
        while not any(task.done() for task in working):
            await self.ledger.look()
            await self.hurry.look(time.time_ns() // 1_000_000)
            now = time.monotonic()
            if living.done():
                living.result()  # what went wrong in it goes wrong here
            if not self.hurry.over:
                await self.again.go(now - looked)
            elif living.done() and self.ledger.settled:
                return
            if now - began > self._plan.patience:
                self.problems.append(f"not over after {self._plan.patience:.0f} s")
                return
            looked = now
            await asyncio.wait(working, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        self.problems.append("a worker ended by itself")

    async def _compare(self) -> None:
        """The dashboard and the API behind it have to show what the events say."""
        settings = ApiSettings(insecure_no_auth=True, rate_limits=False, read_timeout=60)
        site = create_dashboard(self._app, settings=settings)
        await self.ledger.look()
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=site), base_url="http://127.0.0.1:8800"
        ) as web:
            answer = await web.get("/api/v1/queues", params={"limit": 100}, timeout=60)
            answer.raise_for_status()
            shown = {row["name"]: row["counts"]["completed_total"] for row in answer.json()["items"]}
            for name, line in self.ledger.lines.items():
                events, total = self.ledger.completions[name], line.completed
                if total and (events != total or shown.get(str(name)) != total):
                    self.problems.append(f"{name}: {events} completions, {total} counted, the API shows {shown}")
            page = (await web.get("/", timeout=60)).text
            missing = [name for name, line in self.ledger.lines.items() if line.completed and str(name) not in page]
            self.problems += [f"the dashboard does not show {name}" for name in missing]

    async def verdict(self, platform: str, seconds: float) -> Verdict:
        """Close the books."""
        result = await self.ledger.result()
        problems = [
            *self.problems,
            *(f"failed, and was not meant to: {job}" for job in result.failed),
            *(f"was meant to fail, and did not: {job}" for job in result.spared),
            *(f"lost: {job}" for job in (*result.gone, *result.pending)),
            *self.hurry.problems(),
            *self.ledger.problems(self._plan.workers),
        ]
        return Verdict(
            platform=platform, seconds=round(seconds, 1), completed=result.completed, retried=result.retried,
            intended=result.intended, schedules=self.hurry.fired, busiest=dict(self.ledger.busiest),
            fullest=self.ledger.fullest(), again=self.again.count, problems=problems,
        )  # fmt: skip


async def run(platform: str, url: str, folder: Path, plan: Plan) -> Verdict:
    """Let one platform live through the plan."""
    began = time.monotonic()
    act = load(platform)
    folder.mkdir(parents=True, exist_ok=True)
    act.prepare(folder)
    stage = Stage(folder, url, plan.burst, secret=secrets.token_urlsafe(32))
    async with stage.open:
        app = await act.build(stage)
        async with app:
            api = api_of(act)
            if api is not None:
                sock = listening(0)
                stage.site = site_of(sock)
                await stage.keep(served(api(app, stage), sock))
            one = Run(act, app, stage, plan)
            await one.live()
            return await one.verdict(platform, time.monotonic() - began)


def main() -> int:
    """Run by the crew; the plan comes as JSON, the verdict goes the same way."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.one")
    parser.add_argument("platform")
    parser.add_argument("--url", required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--plan", default="{}")
    given = parser.parse_args()
    plan = msgspec.json.decode(given.plan, type=Plan)
    verdict = asyncio.run(run(given.platform, given.url, given.dir, plan))
    print(json.dumps(msgspec.to_builtins(verdict)), flush=True)
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
