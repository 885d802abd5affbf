"""Fetching code with a real git, out of real repositories."""

import os
import subprocess
from pathlib import Path

import pytest

from corral.handlers.pipelines import CommandError, PipelineSettings, Repository, Tools
from corral.handlers.pipelines.bench import Bench
from corral.handlers.pipelines.output import Mask, Output

KEY = "a" * 32
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.defpath,
}  # fmt: skip


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, env=IDENTITY, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a branch, a tag, and a hook and filters that would leave a canary behind."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main", ".")
    (folder / "app.txt").write_text("one\n")
    (folder / ".gitattributes").write_text("*.txt filter=evil\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=one")
    git(folder, "tag", "v1")
    (folder / "app.txt").write_text("two\n")
    git(folder, "commit", "--quiet", "--all", "--message=two")
    git(folder, "branch", "feature/x")
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")
    hook.chmod(0o755)
    return folder


async def nowhere(entry: str) -> None:
    """A log that nobody reads."""


async def fetch(bench: Bench, repository: Repository) -> str:
    bench.kept(KEY).mkdir(parents=True)
    async with Output(nowhere, bench.kept(KEY) / "checkout.log", Mask(), max_log=0) as output:
        return await bench.checkout(KEY, repository, output)


@pytest.fixture
def bench(settings: PipelineSettings, repository: Path) -> Bench:
    return Bench(settings, Tools(repositories={"shop": str(repository)}))


@pytest.mark.parametrize(
    ("ref", "text"), [("HEAD", "two\n"), ("main", "two\n"), ("feature/x", "two\n"), ("v1", "one\n")]
)
async def test_a_branch_or_tag_is_put_into_the_workspace(
    bench: Bench, repository: Path, tmp_path: Path, ref: str, text: str
) -> None:
    commit = await fetch(bench, Repository(name="shop", ref=ref))

    assert commit == git(repository, "rev-parse", ref)
    assert (bench.workspace(KEY) / "work" / "app.txt").read_text() == text
    assert not (tmp_path / "canary").exists()


async def test_a_ref_that_is_not_there_is_said_to_be(bench: Bench) -> None:
    with pytest.raises(CommandError, match="the code could not be fetched: git fetch exited with status 128"):
        await fetch(bench, Repository(name="shop", ref="nothing"))

    assert "couldn't find remote ref nothing" in (bench.kept(KEY) / "checkout.log").read_text()


async def test_without_a_repository_the_workspace_is_empty(bench: Bench) -> None:
    bench.kept(KEY).mkdir(parents=True)
    async with Output(nowhere, bench.kept(KEY) / "checkout.log", Mask(), max_log=0) as output:
        assert await bench.checkout(KEY, None, output) == ""

    assert list((bench.workspace(KEY) / "work").iterdir()) == []


async def test_fetching_again_begins_with_an_empty_workspace(bench: Bench) -> None:
    await fetch(bench, Repository(name="shop"))
    (bench.workspace(KEY) / "work" / "left.txt").touch()
    async with Output(nowhere, bench.kept(KEY) / "checkout.log", Mask(), max_log=0) as output:
        await bench.checkout(KEY, Repository(name="shop"), output)

    assert not (bench.workspace(KEY) / "work" / "left.txt").exists()


@pytest.mark.parametrize("url", ["ext::sh -c touch% canary", "file:///etc", "/etc"])
async def test_git_itself_refuses_what_a_check_might_have_let_through(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """The allow-list of transports is git's own: the second fence behind the check of the URL."""
    monkeypatch.setattr("corral.handlers.pipelines.texts.git_url", lambda url, hosts: url)

    with pytest.raises(CommandError, match="git fetch exited with status 128"):
        await fetch(bench, Repository(url=url))

    assert "not allowed" in (bench.kept(KEY) / "checkout.log").read_text()
    assert not list(tmp_path.rglob("canary"))


async def test_the_repository_of_an_application_may_not_smuggle_others_in(
    bench: Bench, repository: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet", ".")
    (repository / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% {tmp_path}/canary\n'
    )
    git(repository, "add", ".gitmodules")
    git(repository, "commit", "--quiet", "--message=three")

    await fetch(bench, Repository(name="shop"))

    assert not (tmp_path / "canary").exists()


async def test_without_git_there_is_a_clear_word(settings: PipelineSettings, repository: Path, programs: Path) -> None:
    lonely = settings.model_copy(update={"pipeline_path": str(programs), "pipeline_programs": ("teller",)})
    bench = Bench(lonely, Tools(repositories={"shop": str(repository)}))

    with pytest.raises(CommandError, match="git is not on"):
        await fetch(bench, Repository(name="shop"))
