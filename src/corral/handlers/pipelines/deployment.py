"""Deployments: a command, a look at whether all is well, and the way back when it is not."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from corral.errors import CorralError, PayloadError
from corral.handlers.kit.mail import SendMail
from corral.handlers.pipelines.artifacts import Artifact, ArtifactError
from corral.handlers.pipelines.bench import Bench
from corral.handlers.pipelines.command import CommandError
from corral.handlers.pipelines.mails import deployment_mail, notify
from corral.handlers.pipelines.output import Output
from corral.handlers.pipelines.payload import Deploy, HealthCheck
from corral.handlers.pipelines.records import DeploymentEnded, DeploymentRun
from corral.handlers.pipelines.rounds import current_round, end_round
from corral.signals import Snooze
from corral.timing import Clock
from corral.worker.context import JobContext
from corral.worker.steps import Step

#: How long a deployment steps aside while another one to the same place runs.
BUSY_SECONDS = 5.0


class Reply(Protocol):
    """What an address answered."""

    @property
    def status(self) -> int: ...

    @property
    def text(self) -> str: ...


class Probe(Protocol):
    """Asks addresses: `corral.handlers.kit.web.Web` is one. Errors of its own are the address's not being well."""

    async def request(self, method: str, url: str, *, timeout: float | None = None) -> Reply: ...


class Checked(Struct, frozen=True, rename="camel"):
    """What the looks at a deployment found."""

    reason: str = ""  #: why it is not well; empty when it is
    looks: int = 0


class Kept(Struct, frozen=True):
    """What a deployment's command left behind."""

    artifacts: tuple[Artifact, ...] = ()


class Deployments:
    """The handler."""

    def __init__(
        self, bench: Bench, clock: Clock, send: SendMail | None, ended: DeploymentEnded | None, probe: Probe | None,
    ) -> None:  # fmt: skip
        self.bench = bench
        self._clock = clock
        self._send = send
        self._ended = ended
        self._probe = probe

    def check(self, data: Deploy) -> Deploy:
        """What a payload has to meet here. Raises: PayloadError."""
        self.bench.check_repository(data.repository)
        values = self._values(data, commit="")
        self.bench.check_work(data, {}, values)
        health = data.health_check
        for argv in (data.rollback, None if health is None else health.run):
            if argv is not None:
                self.bench.check_command(argv, values)
        if health is not None and health.url is not None and self._probe is None:
            raise PayloadError("health checks by url need deployment_bundle(web=Web(trusted=[…]))")
        return data

    async def deploy(self, ctx: JobContext, data: Deploy) -> DeploymentRun:
        """Deploy; look whether it is well; if it is not, take it back.

        Each part is a step of the job, so that a second run goes on where the first one stopped. A command whose worker
        died in the middle of it is run again: it has to bear that. One deployment at a time goes to one place; on
        several machines a group says so (`group=deployment_group`).
        """
        with self.bench.lock(f"{data.project_name}\0{data.environment}") as free:
            if not free:
                raise Snooze(BUSY_SECONDS, f"another deployment of {data.project_name!r} to {data.environment!r} runs")
            number = await current_round(ctx)
            run = await self._deploy(ctx, data, number)
        if self._ended is not None:
            await self._ended(ctx.id, run)
        await notify(ctx, self._send, run.key, deployment_mail(data, run))
        await ctx.progress(100)
        if run.status != "deployed":
            reason = f"deployment of {data.version!r} to {data.environment!r} failed: {run.reason}"
            raise await end_round(ctx, number, reason)
        return run

    async def _deploy(self, ctx: JobContext, data: Deploy, number: int) -> DeploymentRun:
        key = self.bench.key(ctx.job)
        began = await ctx.step(Step("begin", number), self._now)
        self.bench.kept(key).mkdir(parents=True, exist_ok=True, mode=0o700)
        commit = await ctx.step(Step("checkout", number), self._checkout, ctx, data, key)
        await ctx.progress(20)
        values = self._values(data, commit)
        reason = await ctx.step(Step("deploy", number), self._command, ctx, data, key, data.run, values, "deploy")
        kept = await ctx.step(Step("artifacts", number), self._keep, data, key)
        checked = Checked(reason)
        if not reason:
            await ctx.progress(50)
            checked = await ctx.step(Step("check", number), self._look, ctx, data, key, values)
        status, why = "deployed", checked.reason
        if why:
            status, why = await self._take_back(ctx, data, key, values, why, number)
        await asyncio.to_thread(self.bench.clear, key)
        return await ctx.step(
            Step("end", number), self._record, data, key, began, commit, status, why, checked.looks, kept
        )

    async def _take_back(
        self, ctx: JobContext, data: Deploy, key: str, values: Mapping[str, str], reason: str, number: int
    ) -> tuple[str, str]:  # fmt: skip
        """What became of it, and the whole reason."""
        if data.rollback is None:
            return "failed", f"{reason}; there is no command to take it back"
        await ctx.progress(70)
        failed = await ctx.step(
            Step("roll back", number), self._command, ctx, data, key, data.rollback, values, "rollback"
        )
        if failed:
            return "failed", f"{reason}; taking it back failed, too: {failed}"
        after = await ctx.step(Step("check after rolling back", number), self._look, ctx, data, key, values)
        target = f" to {data.previous_version}" if data.previous_version else ""
        if after.reason:
            return "failed", f"{reason}; it was rolled back{target}, and is still not well: {after.reason}"
        return "rolled-back", f"{reason}; rolled back{target}"

    @staticmethod
    def _values(data: Deploy, commit: str) -> Mapping[str, str]:
        previous = {"previousVersion": data.previous_version} if data.previous_version else {}
        own = {"version": data.version, "environment": data.environment, "commit": commit}
        return {**data.variables, **own, **previous}

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return self._clock()

    async def _checkout(self, ctx: JobContext, data: Deploy, key: str) -> str:
        async with self.bench.output(ctx, key, "checkout") as output:
            return await self.bench.checkout(key, data.repository, output)

    async def _command(
        self, ctx: JobContext, data: Deploy, key: str, argv: Sequence[str], values: Mapping[str, str], name: str
    ) -> str:
        """Run one of its commands; answers why it failed, or nothing."""
        async with self.bench.output(ctx, key, name) as output:
            try:
                if not await asyncio.to_thread((self.bench.workspace(key) / "work").is_dir):
                    await self.bench.checkout(key, data.repository, output)  # another machine began
                ended = await self.bench.execute(
                    key, argv, env=data.env, folder=data.folder, timeout=self.bench.timeout(data), values=values,
                    output=output,
                )  # fmt: skip
            except CommandError as error:
                return str(error)
        return "" if ended.ok else ended.reason

    async def _keep(self, data: Deploy, key: str) -> Kept:
        try:
            return Kept(await self.bench.keep(key, "deploy", data.artifacts))
        except ArtifactError:  # what is deployed is deployed; its files are not a reason to take it back
            return Kept()

    async def _look(self, ctx: JobContext, data: Deploy, key: str, values: Mapping[str, str]) -> Checked:
        """Look until it is well so many times in a row, or until there are no looks left."""
        health = data.health_check
        if health is None:
            return Checked()
        row, reason = 0, ""
        async with self.bench.output(ctx, key, "health") as output:
            for look in range(1, health.attempts + 1):
                reason = await self._ask(health, data, key, values, output)
                row = 0 if reason else row + 1
                output.say(f"health check {look} of {health.attempts}: {reason or 'well'}")
                if row == health.successes:
                    return Checked("", look)
                if look < health.attempts:
                    await asyncio.sleep(health.interval_seconds)
        return Checked(
            f"not well after {health.attempts} looks: {reason or 'not often enough in a row'}", health.attempts
        )

    async def _ask(self, health: HealthCheck, data: Deploy, key: str, values: Mapping[str, str], output: Output) -> str:
        if health.run is not None:
            try:
                ended = await self.bench.execute(
                    key, health.run, env=data.env, folder=data.folder, timeout=health.timeout_seconds, values=values,
                    output=output,
                )  # fmt: skip
            except CommandError as error:
                return str(error)
            return "" if ended.ok else ended.reason
        assert health.url is not None
        assert self._probe is not None
        try:
            reply = await self._probe.request("GET", health.url, timeout=health.timeout_seconds)
        except CorralError as error:
            return str(error)
        if reply.status not in health.status:
            return f"it answered {reply.status}"
        if health.contains is not None and health.contains not in reply.text:
            return "its answer lacks the expected text"
        return ""

    def _record(
        self, data: Deploy, key: str, began: int, commit: str, status: str, reason: str, looks: int,
        kept: Kept,
    ) -> DeploymentRun:  # fmt: skip
        return DeploymentRun(
            deployment_id=data.deployment_id, project_name=data.project_name, project_id=data.project_id,
            environment=data.environment, version=data.version, previous_version=data.previous_version, status=status,
            reason=reason, started_at=began, finished_at=self._clock(), commit=commit, triggered_by=data.triggered_by,
            key=key, health_checks=looks, artifacts=kept.artifacts,
        )  # fmt: skip


def deployment_group(payload: object) -> str:
    """The group of a deployment, for `add(data, group=deployment_group)`: one project's one environment."""
    if not isinstance(payload, dict):
        raise PayloadError("a deployment is an object")
    project = payload.get("projectName", payload.get("project_name"))
    return f"{project}/{payload.get('environment')}"[:256]
