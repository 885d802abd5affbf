"""Settings: where they come from, and what is refused before anything runs."""

import os
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from corral.errors import ConfigError
from corral.handlers.pipelines import PipelineSettings, Tools, bundle
from corral.handlers.pipelines.bench import Bench
from corral.handlers.pipelines.records import duration


def test_lists_are_written_with_commas_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_PROGRAMS", "make, npm,/opt/tools/deploy")
    monkeypatch.setenv("PIPELINE_ENV", "APP_*,MODE")

    settings = PipelineSettings.load()

    assert settings.pipeline_programs == ("make", "npm", "/opt/tools/deploy")
    assert settings.pipeline_env == ("APP_*", "MODE")


def test_a_table_of_the_file_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "corral.toml").write_text('[pipelines]\npipeline_programs = ["make"]\npipeline_timeout = 60\n')

    settings = PipelineSettings.load()

    assert (settings.pipeline_programs, settings.pipeline_timeout) == (("make",), 60)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"pipeline_env": "path"}, "is no variable"),
        ({"pipeline_env": "*"}, "is no variable"),
        ({"pipeline_env": "A*B"}, "is no variable"),
        ({"pipeline_git_hosts": "-oProxyCommand=x"}, "is no host"),
        ({"pipeline_git_hosts": "github.com/a"}, "is no host"),
        ({"pipeline_timeout": 0}, "greater than 0"),
        ({"pipeline_timeout": 7_200}, "may not be above pipeline_max_timeout"),
        ({"pipeline_max_output": 1}, "greater than or equal to 1000"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        PipelineSettings.load(**values)


@pytest.mark.parametrize("program", ["sh", "bash", "env", "xargs", "sudo", "ssh", "git", "find"])
def test_a_program_that_runs_any_other_is_not_allowed_by_its_name(program: str) -> None:
    with pytest.raises(ConfigError, match="so it would allow everything"):
        bundle(PipelineSettings(pipeline_programs=(program,)))


def test_one_that_is_written_out_is_meant() -> None:
    assert Bench(PipelineSettings(pipeline_programs=("/bin/sh",)), Tools()).programs.file("sh") == "/bin/sh"


@pytest.mark.parametrize("program", ["no-such-program", "bin/true", "a b", "", "-c"])
def test_a_program_that_is_not_there_is_said_to_be(program: str) -> None:
    with pytest.raises(ConfigError):
        Bench(PipelineSettings(pipeline_programs=(program,)), Tools())


@pytest.mark.parametrize("path", ["relative/program", "/nonexistent", "/etc/passwd", "/tmp"])
def test_a_program_of_the_applications_own_has_to_be_one(path: str) -> None:
    with pytest.raises(ConfigError, match="absolute path of a program"):
        Bench(PipelineSettings(), Tools(programs={"deploy": path}))


@pytest.mark.parametrize("name", ["A B", "A=B", "Ä"])
def test_a_secret_has_a_name_that_can_be_one(name: str) -> None:
    with pytest.raises(ConfigError, match="must be named as an environment variable"):
        Bench(PipelineSettings(), Tools(secrets={name: SecretStr("x")}))


def test_nothing_shows_a_secret() -> None:
    tools = Tools(secrets={"TOKEN": SecretStr("hunter2hunter2")})

    assert "hunter2" not in repr(tools) + repr(Bench(PipelineSettings(), tools))


def test_without_settings_nothing_may_be_run() -> None:
    assert dict(Bench(PipelineSettings(), Tools()).programs.files) == {}


def test_old_workspaces_go_and_new_ones_stay(bench: Bench) -> None:
    for key in ("old", "new"):
        bench.make(key)
    then = time.time() - 25 * 3_600
    os.utime(bench.workspace("old"), (then, then))

    bench.clear_old()

    assert [path.name for path in (bench.root / "workspaces").iterdir()] == ["new"]


def test_a_lock_is_held_by_one(bench: Bench) -> None:
    with bench.lock("shop/production") as first, bench.lock("shop/production") as second:
        assert (first, second) == (True, False)
    with bench.lock("shop/production") as third:
        assert third


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0s"), (59_400, "59s"), (323_000, "5m 23s"), (3_600_000, "1h 0m"), (9_000_000, "2h 30m")]
)
def test_durations_are_written_as_people_do(ms: int, text: str) -> None:
    assert duration(ms) == text
