"""Fetching code: one commit of one repository, over the transports that run nothing of the repository's choice."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from corral.handlers.pipelines.command import CommandError, Ended, Runner
from corral.handlers.pipelines.output import Output

#: Nothing of a repository is run by fetching it, and nothing of this machine's configuration takes part.
_HARMLESS = (
    "-c", f"core.hooksPath={Path('/dev/null')}", "-c", "core.fsmonitor=false", "-c", "credential.helper=",
    "-c", "protocol.ext.allow=never", "-c", "submodule.recurse=false", "-c", "advice.detachedHead=false",
    "-c", "core.symlinks=true", "-c", "gc.auto=0",
)  # fmt: skip


class Source(Struct, frozen=True):
    """A repository and what is wanted of it."""

    url: str
    ref: str
    trusted: bool = False  #: the application wrote the URL, which may be a folder of this machine


async def checkout(
    runner: Runner, source: Source, work: Path, env: Mapping[str, str], timeout: float, output: Output
) -> str:
    """Put one commit into an empty folder; answers its id.

    Raises:
        CommandError: it cannot be fetched, or there is no git.
    """
    program = shutil.which("git", path=env["PATH"])
    if program is None:
        raise CommandError(f"git is not on {env['PATH']}: it is needed to fetch repositories")
    allowed = "https:ssh:file" if source.trusted else "https:ssh"
    env = {**env, "GIT_ALLOW_PROTOCOL": allowed, "GIT_ASKPASS": "/bin/false", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}

    async def run(*words: str) -> Ended:
        ended = await runner.run(
            [program, *_HARMLESS, *words], cwd=work, env=env, timeout=timeout, output=output
        )  # fmt: skip
        if not ended.ok:
            raise CommandError(f"the code could not be fetched: {_named(words)} {ended.reason.partition(' ')[2]}")
        return ended

    output.say(f"fetching {source.ref} of {source.url}")
    await run("init", "--quiet", "--initial-branch=checkout", ".")
    # The URL and the ref are checked already; behind -- they could not be options even if they were not.
    await run("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", source.url, source.ref)
    await run("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD", "--")
    head = (work / ".git" / "HEAD").read_text(encoding="ascii", errors="replace").strip()
    output.say(f"commit {head}")
    return head


def _named(words: Sequence[str]) -> str:
    return f"git {words[0]}"
