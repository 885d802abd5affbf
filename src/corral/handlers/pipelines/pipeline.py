"""Pipelines: a job that fetches the code, adds a job for every step, steps aside, and says at the end how it went."""

import asyncio
import json
from collections.abc import Mapping

import msgspec

from corral.app.definition import JobDefinition
from corral.errors import CorralError, PayloadError
from corral.handlers.kit.mail import SendMail
from corral.handlers.pipelines.artifacts import Artifact, ArtifactError
from corral.handlers.pipelines.bench import Bench
from corral.handlers.pipelines.command import Ended
from corral.handlers.pipelines.junit import Results, ResultsError
from corral.handlers.pipelines.mails import notify, pipeline_mail
from corral.handlers.pipelines.payload import RunPipeline, RunStep, Step
from corral.handlers.pipelines.records import PipelineEnded, PipelineRun, StepRun
from corral.job import After
from corral.keywords import AddKeywords
from corral.options import Exponential, ParentPolicy
from corral.plurals import plural
from corral.signals import Discard, WaitForChildren
from corral.storage.port import Children
from corral.timing import Clock
from corral.worker.context import JobContext

#: Beyond the command's own time: fetching results and keeping artifacts.
AROUND_SECONDS = 300.0


class StepFailedError(CorralError):
    """A step failed and has attempts left."""


class Pipelines:
    """The two handlers."""

    def __init__(
        self, bench: Bench, clock: Clock, send: SendMail | None, ended: PipelineEnded | None,
    ) -> None:  # fmt: skip
        self.bench = bench
        self._clock = clock
        self._send = send
        self._ended = ended
        self.step: JobDefinition[RunStep, StepRun] | None = None  #: the declared job of a step, once there is one

    def check(self, data: RunPipeline) -> RunPipeline:
        """What a payload has to meet here. Raises: PayloadError, with the step's name."""
        self.bench.check_repository(data.repository)
        for step in data.steps:
            try:
                self.bench.check_work(step, data.env, self._values(data, step, commit=""))
            except PayloadError as error:
                raise PayloadError(f"step {step.name!r}: {error}") from None
        return data

    # -- the pipeline --------------------------------------------------------------------------------------------------

    async def pipeline(self, ctx: JobContext, data: RunPipeline) -> PipelineRun:
        """Run a pipeline.

        A second run finds what the first one has done: the checkout is a step of the job, its children have ids of
        their own, and whoever is told of the end is told under the job's id.
        """
        key = self.bench.key(ctx.job)
        began = await ctx.step("begin", self._now)
        commit = await ctx.step("checkout", self._checkout, ctx, data, key)
        ids = await self._add_steps(ctx, data, key, commit)
        children = await ctx.children()
        if children.pending:
            raise WaitForChildren
        runs = await asyncio.to_thread(self._read, data, key, ids, children)
        run = self._record(data, key, began, commit, runs)
        await self._tell(ctx, data, run)
        await ctx.progress(100)
        if run.status == "failed":
            raise Discard(f"pipeline {data.pipeline_name!r} failed: {run.reason}")
        await asyncio.to_thread(self.bench.clear, key)
        return run

    def _now(self) -> int:
        return self._clock()

    async def _checkout(self, ctx: JobContext, data: RunPipeline, key: str) -> str:
        await asyncio.to_thread(self.bench.clear_old)
        self.bench.kept(key).mkdir(parents=True, exist_ok=True, mode=0o700)
        async with self.bench.output(ctx, key, "checkout") as output:
            return await self.bench.checkout(key, data.repository, output)

    async def _add_steps(self, ctx: JobContext, data: RunPipeline, key: str, commit: str) -> Mapping[str, str]:
        """A child for every step, after those that it needs; answers their ids. Adds none twice."""
        assert self.step is not None
        ids: dict[str, str] = {}
        steps = {step.name: step for step in data.steps}
        for step in data.steps:
            after = [After(ctx.queue, ids[need], _policy(step, steps[need])) for need in data.needs(step)]
            options: AddKeywords = {
                "attempts": step.retries + 1,
                "backoff": Exponential(2),
                "timeout": self.bench.timeout(step) + AROUND_SECONDS,
                "priority": ctx.job.priority,
                "on_failure": ParentPolicy.IGNORE,  # all of them end, and then the pipeline says how it went
            }
            if after:
                options["after"] = after
            payload = RunStep(
                pipeline_id=data.pipeline_id, run_key=key, step=step, env=data.env,
                variables=self._values(data, step, commit),
            )  # fmt: skip
            ids[step.name] = (await ctx.add_child(self.step, payload, **options)).id
        return ids

    @staticmethod
    def _values(data: RunPipeline, step: Step, commit: str) -> Mapping[str, str]:
        return {**data.variables, "pipelineId": data.pipeline_id, "step": step.name, "commit": commit}

    def _read(self, data: RunPipeline, key: str, ids: Mapping[str, str], children: Children) -> tuple[StepRun, ...]:
        runs: dict[str, StepRun] = {}
        steps = {step.name: step for step in data.steps}
        for step in data.steps:
            blocked = [
                need for need in data.needs(step)
                if runs[need].status != "passed" and _policy(step, steps[need]) is ParentPolicy.FAIL
            ]  # fmt: skip
            if ids[step.name] in children.completed:
                runs[step.name] = msgspec.json.decode(children.completed[ids[step.name]], type=StepRun)
            elif blocked:
                runs[step.name] = StepRun(name=step.name, status="skipped", reason=f"{blocked[0]} did not pass")
            else:
                reason = children.failed.get(ids[step.name], "it was removed")
                runs[step.name] = self._noted(key, step.name, reason) or StepRun(
                    name=step.name, status="failed", reason=reason
                )
        return tuple(runs.values())

    def _record(
        self, data: RunPipeline, key: str, began: int, commit: str, runs: tuple[StepRun, ...]
    ) -> PipelineRun:  # fmt: skip
        forgiven = {step.name for step in data.steps if step.allow_failure}
        bad = [run for run in runs if run.status == "failed" and run.name not in forgiven]
        return PipelineRun(
            pipeline_id=data.pipeline_id, pipeline_name=data.pipeline_name, project_name=data.project_name,
            project_id=data.project_id, status="failed" if bad else "passed",
            reason="; ".join(f"step {run.name!r}: {run.reason}" for run in bad)[:1_000],
            started_at=began, finished_at=self._clock(), commit=commit, triggered_by=data.triggered_by, key=key,
            steps=runs,
        )  # fmt: skip

    async def _tell(self, ctx: JobContext, data: RunPipeline, run: PipelineRun) -> None:
        if self._ended is not None:
            await self._ended(ctx.id, run)
        await notify(ctx, self._send, run.key, pipeline_mail(data, run))

    # -- a step --------------------------------------------------------------------------------------------------------

    async def run_step(self, ctx: JobContext, data: RunStep) -> StepRun:
        """Run one step in its pipeline's workspace.

        A command whose worker died, or was stopped, is run again: it has to bear that.
        """
        step, key = data.step, data.run_key
        if not await asyncio.to_thread((self.bench.workspace(key) / "work").is_dir):
            raise Discard(f"the workspace of pipeline {data.pipeline_id!r} is gone: run the pipeline anew")
        async with self.bench.output(ctx, key, step.name) as output:
            if ctx.attempt > 1:
                output.say(f"attempt {ctx.attempt} of {ctx.attempts}")
            ended = await self.bench.execute(
                key, step.run, env={**data.env, **step.env}, folder=step.folder, timeout=self.bench.timeout(step),
                values=data.variables, output=output,
            )  # fmt: skip
            run = await self._judge(ctx, key, step, ended)
            if run.artifacts:
                size = sum(file.size for file in run.artifacts)
                output.say(f"kept {plural(len(run.artifacts), 'file')} of {plural(size, 'byte')}")
        await asyncio.to_thread(self._note, key, run)
        if run.status == "failed":
            reason = f"step {step.name!r} failed: {run.reason}"
            raise Discard(reason) if ctx.is_last_attempt else StepFailedError(reason)
        return run

    async def _judge(self, ctx: JobContext, key: str, step: Step, ended: Ended) -> StepRun:
        """A step passes when its command does, and what it was to leave behind can be read and kept."""
        reason = "" if ended.ok else ended.reason
        tests: Results | None = None
        artifacts: tuple[Artifact, ...] = ()
        try:
            if step.results:
                files, tests = await self.bench.results(key, step.results)
                reason = reason or (f"no test results match {', '.join(step.results)}" if not files else "")
            artifacts = await self.bench.keep(key, step.name, step.artifacts)
        except (ResultsError, ArtifactError) as error:
            reason = reason or str(error)
        if tests is not None and tests.bad and (not reason or ended.status > 0):
            reason = f"{tests.bad} of {tests.tests} tests failed"
        return StepRun(
            name=step.name, status="failed" if reason else "passed", seconds=ended.seconds, exit_code=ended.status,
            reason=reason, attempts=ctx.attempt, tests=tests, artifacts=artifacts,
        )  # fmt: skip

    # A job that failed has a reason and no result. How its command ended is left beside the workspace.

    def _note(self, key: str, run: StepRun) -> None:
        file = self.bench.workspace(key) / "steps" / f"{run.name}.json"
        file.write_bytes(msgspec.json.encode(run))

    def _noted(self, key: str, name: str, reason: str) -> StepRun | None:
        try:
            noted = msgspec.json.decode(
                (self.bench.workspace(key) / "steps" / f"{name}.json").read_bytes(), type=StepRun
            )
        except (OSError, msgspec.MsgspecError, json.JSONDecodeError):
            return None
        # An earlier attempt's note tells nothing about a later one that was cancelled.
        return noted if noted.status == "failed" and noted.reason in reason else None


def _policy(step: Step, need: Step) -> ParentPolicy:
    """What the failure of a step means for one that comes after it."""
    return ParentPolicy.IGNORE if step.always or need.allow_failure else ParentPolicy.FAIL
