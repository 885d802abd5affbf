"""The workbench: where commands run, with which programs, environment and limits. Shared by the three kinds of jobs."""

import asyncio
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from corral.errors import ConfigError, PayloadError
from corral.handlers.pipelines import git, texts
from corral.handlers.pipelines.artifacts import Artifact, find, keep
from corral.handlers.pipelines.command import Ended, Runner, joined
from corral.handlers.pipelines.junit import Results, ResultsError, read_results
from corral.handlers.pipelines.output import Mask, Output
from corral.handlers.pipelines.payload import Repository, Work
from corral.handlers.pipelines.programs import Programs, base_env, check_env
from corral.handlers.pipelines.settings import PipelineSettings
from corral.job import Job
from corral.worker.context import JobContext

#: A checkout that takes longer has no network or is far too large.
CHECKOUT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What the application's own code gives to commands, beside what the settings say.

    Args:
        programs: name -> absolute path.
        repositories: name -> URL or path of a repository, for payloads that name one; not checked, you wrote it.
        secrets: environment variables for every command; their values are taken out of logs and reasons.
    """

    programs: Mapping[str, str | Path] = field(default_factory=dict)
    repositories: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)


class Bench:
    """Runs commands in workspaces.

    Raises:
        ConfigError: a program that is not there, a repository or secret with a name that cannot be.
    """

    def __init__(self, settings: PipelineSettings, tools: Tools) -> None:
        self.settings = settings
        self.programs = Programs(settings, tools.programs)
        self.repositories = dict(tools.repositories)
        self.mask = Mask(secret.get_secret_value() for secret in tools.secrets.values())
        self.runner = Runner(max_output=settings.pipeline_max_output)
        self._env = base_env(settings, _checked_secrets(tools.secrets))
        self.root = settings.pipeline_folder.absolute()

    def __repr__(self) -> str:
        return f"<bench in {self.root}: {self.programs!r}>"

    # -- checks when a job is added ------------------------------------------------------------------------------------

    def check_command(self, argv: Sequence[str], values: Mapping[str, str]) -> None:
        """Raise PayloadError unless its program is allowed, and no value in it would be an option."""
        self.programs.file(texts.fill_command(argv, values)[0])

    def check_work(self, work: Work, env: Mapping[str, str], values: Mapping[str, str]) -> None:
        """Raise PayloadError unless it could be run here."""
        self.check_command(work.run, values)
        check_env({**env, **work.env}, self.settings)
        self.timeout(work)

    def check_repository(self, repository: Repository | None) -> None:
        """Raise PayloadError unless it is one of those that may be fetched."""
        if repository is not None:
            self.source(repository)

    def source(self, repository: Repository) -> git.Source:
        """Where a repository is fetched from."""
        if repository.url is not None:
            return git.Source(texts.git_url(repository.url, self.settings.pipeline_git_hosts), repository.ref)
        known = ", ".join(sorted(self.repositories)) or "none"
        if repository.name not in self.repositories:
            raise PayloadError(f"repository {repository.name!r} is not known; there are {known}")
        return git.Source(self.repositories[repository.name], repository.ref, trusted=True)

    def timeout(self, work: Work) -> float:
        """Seconds that a command may take. Raises: PayloadError."""
        if work.timeout_seconds is None:
            return self.settings.pipeline_timeout
        if work.timeout_seconds > self.settings.pipeline_max_timeout:
            raise PayloadError(
                f"timeout_seconds may be {self.settings.pipeline_max_timeout:g} at most, not {work.timeout_seconds:g}"
            )
        return work.timeout_seconds

    # -- folders -------------------------------------------------------------------------------------------------------

    @staticmethod
    def key(job: Job) -> str:
        """The name of a job's folders: the same in every attempt, and no other job's, also when its id comes again."""
        return hashlib.blake2b(f"{job.queue}\0{job.id}\0{job.created_at}".encode(), digest_size=16).hexdigest()

    def workspace(self, key: str) -> Path:
        return self.root / "workspaces" / key

    def kept(self, key: str) -> Path:
        return self.root / "artifacts" / key

    def make(self, key: str) -> Path:
        """The folders of a run, empty. Blocks."""
        self.clear(key)
        for name in ("work", "home", "tmp", "steps"):
            (self.workspace(key) / name).mkdir(parents=True, mode=0o700)
        self.kept(key).mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.workspace(key) / "work"

    def clear(self, key: str) -> None:
        """Remove a run's workspace. Blocks. What cannot be removed now is removed with the old ones."""
        shutil.rmtree(self.workspace(key), ignore_errors=True)

    def clear_old(self) -> None:
        """Remove the workspaces of runs that did not end well, when they are old. Blocks."""
        before = time.time() - self.settings.pipeline_keep_workspaces * 3_600
        with os.scandir(_there(self.root / "workspaces")) as entries:
            old = [entry.name for entry in entries if entry.stat(follow_symlinks=False).st_mtime < before]
        for name in old:
            shutil.rmtree(self.root / "workspaces" / name, ignore_errors=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        """Hold a lock on this machine; says whether it was free."""
        digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        handle = os.open(_there(self.root / "locks") / digest, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)

    # -- work ----------------------------------------------------------------------------------------------------------

    def output(self, ctx: JobContext, key: str, name: str) -> Output:
        """Where the output of one of its commands goes."""
        return Output(ctx.log, self.kept(key) / f"{name}.log", self.mask, max_log=self.settings.pipeline_max_log)

    async def checkout(self, key: str, repository: Repository | None, output: Output) -> str:
        """Put the code into an empty workspace; answers the commit, or nothing when there is no repository.

        Raises:
            CommandError: it cannot be fetched.
        """
        work = await asyncio.to_thread(self.make, key)
        if repository is None:
            return ""
        env = {**self._env, "HOME": str(self.workspace(key) / "home"), "TMPDIR": str(self.workspace(key) / "tmp")}
        return await git.checkout(self.runner, self.source(repository), work, env, CHECKOUT_SECONDS, output)

    async def execute(
        self, key: str, argv: Sequence[str], *, env: Mapping[str, str], folder: str, timeout: float,
        values: Mapping[str, str], output: Output,
    ) -> Ended:  # fmt: skip
        """Run a command in a run's workspace.

        Raises:
            PayloadError: it may not be run, or its folder is not there. CommandError: it cannot be started.
        """
        check_env(env, self.settings)
        filled = texts.fill_command(argv, values)
        own = {
            "HOME": str(self.workspace(key) / "home"),
            "TMPDIR": str(self.workspace(key) / "tmp"),
            **{name: texts.fill(text, values) for name, text in env.items()},
        }
        cwd = await asyncio.to_thread(self._folder, key, folder)
        output.say(f"$ {joined(filled)}")
        ended = await self.runner.run(
            [self.programs.file(filled[0]), *filled[1:]], cwd=cwd, env={**own, **self._env}, timeout=timeout,
            output=output,
        )  # fmt: skip
        output.say("ended well" if ended.ok else ended.reason)
        return ended

    def _folder(self, key: str, folder: str) -> Path:
        work = self.workspace(key) / "work"
        found = (work / folder).resolve()
        if not found.is_dir() or not found.is_relative_to(work.resolve()):
            raise PayloadError(f"folder {folder!r} is not in the workspace")
        return found

    async def keep(self, key: str, name: str, patterns: Sequence[str]) -> tuple[Artifact, ...]:
        """Keep what a command left behind. Raises: ArtifactError."""
        work, target = self.workspace(key) / "work", self.kept(key) / name
        return await asyncio.to_thread(keep, work, patterns, target, max_bytes=self.settings.pipeline_max_artifacts)

    async def results(self, key: str, patterns: Sequence[str]) -> tuple[int, Results]:
        """Count the tests in the files of results, and the files. Raises: ResultsError, ArtifactError."""
        return await asyncio.to_thread(_results, self.workspace(key) / "work", patterns)


def _results(work: Path, patterns: Sequence[str]) -> tuple[int, Results]:
    files, total = 0, Results()
    for name, handle in find(work, patterns):
        try:
            total = total.plus(read_results(handle, name))
            files += 1
        finally:
            os.close(handle)
        if files > 1_000:
            raise ResultsError(f"more than 1,000 files match {', '.join(patterns)}")
    return files, total


def _there(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _checked_secrets(secrets: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for key in secrets:
        if not key.isascii() or not key.replace("_", "").isalnum():
            raise ConfigError(f"secret {key!r} must be named as an environment variable is", key="secrets")
    return secrets
