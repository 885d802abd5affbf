"""Test suites: a command, and the results that it leaves behind."""

import asyncio

from corral.handlers.kit.mail import SendMail
from corral.handlers.pipelines.artifacts import ArtifactError
from corral.handlers.pipelines.bench import Bench
from corral.handlers.pipelines.command import Ended
from corral.handlers.pipelines.junit import Results, ResultsError
from corral.handlers.pipelines.mails import notify, suite_mail
from corral.handlers.pipelines.payload import RunTests
from corral.handlers.pipelines.records import SuiteEnded, SuiteRun
from corral.handlers.pipelines.rounds import current_round, end_round
from corral.plurals import plural
from corral.signals import Discard
from corral.timing import Clock, Millis
from corral.worker.context import JobContext
from corral.worker.steps import Step


class Suites:
    """The handler."""

    def __init__(self, bench: Bench, clock: Clock, send: SendMail | None, ended: SuiteEnded | None) -> None:
        self.bench = bench
        self._clock = clock
        self._send = send
        self._ended = ended

    def check(self, data: RunTests) -> RunTests:
        """What a payload has to meet here. Raises: PayloadError."""
        self.bench.check_repository(data.repository)
        self.bench.check_work(data, {}, {**data.variables, "commit": ""})
        return data

    async def run_tests(self, ctx: JobContext, data: RunTests) -> SuiteRun:
        """Run a test suite and count its tests.

        Each run has a workspace that is made anew, so a second one begins like the first. Once the tests have been
        counted they are not run again: the counts are a step of the job, and whoever is told is told under its id.
        """
        key = self.bench.key(ctx.job)
        number = await current_round(ctx)
        run = await ctx.step(Step("tests", number), self._run, ctx, data, key)
        await ctx.progress(90)
        if self._ended is not None:
            await self._ended(ctx.id, run)
        await notify(ctx, self._send, key, suite_mail(data, run))
        await asyncio.to_thread(self.bench.clear, key)
        await ctx.progress(100)
        if run.results.bad and data.fail_job:
            named = ", ".join(test.name for test in run.results.told[:5])
            raise await end_round(
                ctx, number, f"{run.results.bad} of {plural(run.results.tests, 'test')} failed: {named}"
            )
        return run

    async def _run(self, ctx: JobContext, data: RunTests, key: str) -> SuiteRun:
        began = self._clock()
        self.bench.kept(key).mkdir(parents=True, exist_ok=True, mode=0o700)
        async with self.bench.output(ctx, key, "tests") as output:
            commit = await self.bench.checkout(key, data.repository, output)
            await ctx.progress(10)
            ended = await self.bench.execute(
                key, data.run, env=data.env, folder=data.folder, timeout=self.bench.timeout(data),
                values={**data.variables, "commit": commit}, output=output,
            )  # fmt: skip
        await ctx.progress(70)
        return await self._judge(data, key, began, commit, ended)

    async def _judge(self, data: RunTests, key: str, began: Millis, commit: str, ended: Ended) -> SuiteRun:
        """A runner that ends badly although no test failed has not run them all: that is no result."""
        try:
            files, results = await self.bench.results(key, data.results)
            artifacts = await self.bench.keep(key, "tests", (*data.artifacts, *data.results))
        except (ResultsError, ArtifactError) as error:
            raise Discard(f"suite {data.suite_name!r}: {error}") from None
        self._trust(data, ended, files, results)
        return SuiteRun(
            suite_name=data.suite_name, project_name=data.project_name, project_id=data.project_id,
            status="failed" if results.bad else "passed", started_at=began, finished_at=self._clock(),
            seconds=ended.seconds, exit_code=ended.status, commit=commit, triggered_by=data.triggered_by, key=key,
            results=results, artifacts=artifacts,
        )  # fmt: skip

    @staticmethod
    def _trust(data: RunTests, ended: Ended, files: int, results: Results) -> None:
        if ended.stopped or ended.status < 0 or (ended.status and not results.bad):
            raise Discard(f"suite {data.suite_name!r} was not run to its end: {ended.reason}")
        if not files:
            raise Discard(f"suite {data.suite_name!r} left no test results that match {', '.join(data.results)}")
