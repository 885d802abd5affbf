"""What a payload may say, and what comes of it when it says something else: nothing is run that nobody allowed.

Every text here would do harm if a shell, git or the file system got hold of it in the wrong place. Each of them is
tried in every place where a payload has texts: it is refused when the job is added, or it arrives as the very text it
is.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest
from pydantic import BaseModel, ValidationError

from corral.errors import CorralError, PayloadError
from corral.handlers.pipelines import Deploy, PipelineSettings, Repository, RunPipeline, RunTests, Tools
from corral.handlers.pipelines.bench import Bench
from corral.handlers.pipelines.command import Ended
from corral.handlers.pipelines.output import Mask, Output
from corral.handlers.pipelines.programs import check_env

#: `@` stands for the file that must not be there at the end.
SHELL = [
    "; touch @", "& touch @", "&& touch @", "|| touch @", "| touch @", "`touch @`", "$(touch @)", "${touch @}",
    "$((touch @))", "> @", ">> @", "2> @", "< /dev/null > @", "<(touch @)", ">(touch @)", "\ntouch @\n", "\rtouch @",
    "x\ntouch @", "'; touch @; '", '"; touch @; "', "'$(touch @)'", '"`touch @`"', "\\; touch @", "a;touch${IFS}@",
    "{touch,@}", "!touch @", "~/../../..@", "$IFS;touch$IFS@", "%0atouch %20@", "{{7*7}}", "{% touch @ %}",
    "#{touch @}", "<%= `touch @` %>", "() { :;}; touch @", "x' OR '1'='1", "$PATH", "${PATH}", "*", "/etc/p*",
    "[a-z]*", "\x1b]0;touch @\x07", "a\x00touch @", "\u202etouch @", "ünï; touch @",
]  # fmt: skip
OPTIONS = [
    "-c", "-rf", "--", "-", "--exec=touch @", "-oProxyCommand=touch @", "--upload-pack=touch @", "-u touch @",
    "--output=@", "-o@", "--config=core.pager=touch @", "-Ccore.sshCommand=touch @", "--eval=$(shell touch @)",
    "-f/etc/passwd", "@file",
]  # fmt: skip
PATHS = [
    "../@", "../../etc/passwd", "/etc/passwd", "a/../../@", "./../@", "..", ".", "", "a//b", "~root/@", "a/./b",
    "a\x00b", "-rf/x", "C:\\windows", "\\\\host\\share", "a/" * 30 + "b", "x" * 600,
]  # fmt: skip
GIT_URLS = [
    "ext::sh -c touch% @", "ext::touch @", "fd::17", "file:///etc", "file://localhost/etc/passwd", "/etc",
    "../repository", ".", "--upload-pack=touch @", "-u", "--", "-oProxyCommand=touch @",
    "ssh://-oProxyCommand=touch @/x", "ssh://-oProxyCommand=x@github.com/x", "-oProxyCommand=touch @:x/y",
    "git@-oProxyCommand=touch @:x", "http://github.com/a/b", "git://github.com/a/b", "ftp://github.com/a/b",
    "https://user:password@github.com/a/b", "https://token@github.com/a/b", "https://evil.example/a/b",
    "https://github.com.evil.example/a/b", "https://github.com@evil.example/a/b", "https://github.com:8080/a/b",
    "https://github.com/a/b?x=1", "https://github.com/a/b#x", "https://github.com/a/../../b", "https://github.com/a b",
    "https://github.com/$(touch @)", "https://github.com/;touch @", "https://github.com/\ntouch @",
    "https://github.com/", "https://github.com", "https:///a/b", "https://127.0.0.1/a/b", "https://[::1]/a/b",
    "https://localhost/a", "ssh://evil.example/a/b", "git@evil.example:a/b", "git@github.com:/etc/passwd",
    "git@github.com:a/../../b", "transport::https://github.com/a/b", "https::ext::touch @", "GITHUB.COM:x",
    "https://github.com\\@evil.example/a", "https://github.com%2eevil.example/a",
]  # fmt: skip
REFS = [
    "--upload-pack=touch @", "-b", "--", "a..b", "a b", "a;touch @", "$(touch @)", "a\nb", "a\x00b", "", "HEAD:",
    "a^{commit}", "a~1", "refs/heads/*", "+refs/heads/*:refs/*", "a:b", "@{-1}", "a/", "/a", "a//b", "a.lock", "a/.b",
    "a/-b", "x" * 201, "ref\\x",
]  # fmt: skip
PROGRAMS = [
    "sh", "bash", "/bin/sh", "../teller", "./teller", "teller;touch @", "teller touch @", "$(touch @)", "${who}", "-c",
    "", "tell er", "te\x00ller", "/usr/bin/env", "git", "nonexistent", "TELLER", "teller\n", "..", ".",
]  # fmt: skip
ENV_NAMES = [
    "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PATH", "HOME", "IFS", "ENV", "BASH_ENV",
    "BASH_FUNC_x%%", "GIT_SSH_COMMAND", "GIT_ALLOW_PROTOCOL", "GIT_CONFIG_COUNT", "PYTHONSTARTUP", "PYTHONPATH",
    "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "MAKEFLAGS", "CC", "EDITOR", "PAGER", "PROMPT_COMMAND", "SSH_ASKPASS",
    "JAVA_TOOL_OPTIONS", "CORRAL_COMMAND", "TMPDIR", "APP", "app_mode", "APP_MODE=x", "APP_\nX", "", "A" * 70,
]  # fmt: skip


def test_there_are_more_than_enough_of_them() -> None:
    assert len({*SHELL, *OPTIONS, *PATHS, *GIT_URLS, *REFS, *PROGRAMS, *ENV_NAMES}) >= 180


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The file that must not be there."""
    return tmp_path / "canary"


@pytest.fixture(autouse=True)
def nothing_was_run(canary: Path) -> object:
    """After every test: the file is not there."""
    yield
    assert not canary.exists()


@pytest.fixture
def armed(canary: Path) -> Callable[[str], str]:
    """A text with the file's path in it."""
    return lambda text: text.replace("@", str(canary))


def pipeline(**changes: object) -> dict[str, object]:
    step = {"name": "tell", "run": ["teller", "ready"], **cast(Mapping[str, object], changes.pop("step", {}))}
    return {"pipelineId": "1", "pipelineName": "Build", "projectName": "Shop", "steps": [step], **changes}


def refused(model: type[BaseModel], payload: Mapping[str, object]) -> bool:
    try:
        model.model_validate(payload)
    except ValidationError:
        return True
    return False


async def tell(bench: Bench, argv: list[str], values: Mapping[str, str], env: Mapping[str, str]) -> tuple[Ended, str]:
    """Run a command in a workspace of its own; answers how it ended, and what it printed."""
    key = "0" * 32
    said: list[str] = []

    async def log(entry: str) -> None:
        said.append(entry)

    bench.make(key)
    async with Output(log, bench.kept(key) / "tell.log", Mask(), max_log=1_000_000) as output:
        ended = await bench.execute(key, argv, env=env, folder=".", timeout=30, values=values, output=output)
    return ended, "\n".join(said)


Told = Callable[[str], dict[str, object]]


@pytest.mark.parametrize("text", [*SHELL, *OPTIONS])
async def test_a_text_of_a_command_arrives_as_it_is_or_is_refused(
    bench: Bench, armed: Callable[[str], str], told: Told, text: str
) -> None:
    given = ["teller", "first", armed(text).replace("${", "$ {")]  # what looks like a variable is tried below
    if refused(RunPipeline, pipeline(step={"run": given})):
        assert "\0" in text
        return

    ended, said = await tell(bench, given, {}, {})

    assert ended.ok
    assert told(said)["arguments"] == given[1:]


@pytest.mark.parametrize("text", [*SHELL, *OPTIONS])
async def test_a_variable_arrives_as_one_argument_or_is_refused(
    bench: Bench, armed: Callable[[str], str], told: Told, text: str
) -> None:
    variables = {"who": armed(text)}
    if refused(RunPipeline, pipeline(variables=variables)):
        assert re.search(r"[\x00-\x1f\u202e]", text)
        return

    ended, said = await tell(bench, ["teller", "--name=${who}", "--", "${who}", "<${who}>"], variables, {})

    assert ended.ok
    assert told(said)["arguments"] == [f"--name={armed(text)}", "--", armed(text), f"<{armed(text)}>"]


@pytest.mark.parametrize("text", [text for text in OPTIONS if text.startswith("-")])
async def test_a_variable_never_becomes_an_option(bench: Bench, armed: Callable[[str], str], text: str) -> None:
    with pytest.raises(PayloadError, match="would be an option"):
        await tell(bench, ["teller", "${who}"], {"who": armed(text)}, {})


@pytest.mark.parametrize("text", [*SHELL, *OPTIONS])
async def test_a_value_of_the_environment_arrives_as_it_is_or_is_refused(
    bench: Bench, armed: Callable[[str], str], told: Told, text: str
) -> None:
    env = {"APP_TEXT": armed(text).replace("${", "$ {")}
    if refused(RunPipeline, pipeline(env=env)):
        assert re.search(r"[\x00-\x1f\u202e]", text)
        return

    ended, said = await tell(bench, ["teller"], {}, env)

    assert ended.ok
    assert cast(dict[str, str], told(said)["environment"])["APP_TEXT"] == env["APP_TEXT"]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_no_program_is_run_that_nobody_allowed(bench: Bench, armed: Callable[[str], str], program: str) -> None:
    payload = pipeline(step={"run": [armed(program), "x"]})
    if refused(RunPipeline, payload):
        return

    step = RunPipeline.model_validate(payload).steps[0]
    with pytest.raises(PayloadError, match="is not allowed"):
        bench.check_work(step, {}, {})
    with pytest.raises(PayloadError, match="is not allowed"):
        await tell(bench, step.run, {}, {})


@pytest.mark.parametrize("name", ENV_NAMES)
async def test_no_variable_is_set_that_nobody_allowed(bench: Bench, settings: PipelineSettings, name: str) -> None:
    if refused(RunPipeline, pipeline(env={name: "x"})):
        return

    with pytest.raises(PayloadError, match="is not allowed"):
        check_env({name: "x"}, settings)
    with pytest.raises(PayloadError, match="is not allowed"):
        await tell(bench, ["teller"], {}, {name: "x"})


@pytest.mark.parametrize("name", [name for name in ENV_NAMES if re.fullmatch("[A-Z][A-Z0-9_]{0,62}", name)])
def test_no_wildcard_lets_a_variable_in_that_programs_read_as_code(settings: PipelineSettings, name: str) -> None:
    wide = settings.model_copy(update={"pipeline_env": tuple(f"{letter}*" for letter in "ABCDEGHIJLMNPRST")})

    allowed = True
    try:
        check_env({name: "x"}, wide)
    except PayloadError:
        allowed = False

    assert allowed is (name == "APP")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("field", ["artifacts", "results", "folder"])
def test_paths_lead_nowhere_else(armed: Callable[[str], str], field: str, path: str) -> None:
    value = armed(path)
    harmless = (field, path) == ("folder", ".")  # the workspace itself

    assert refused(RunPipeline, pipeline(step={field: value if field == "folder" else [value]})) is not harmless


@pytest.mark.parametrize("text", [*SHELL, *OPTIONS, *PATHS])
def test_names_of_steps_are_names_and_nothing_else(armed: Callable[[str], str], text: str) -> None:
    assert refused(RunPipeline, pipeline(step={"name": armed(text)}))


@pytest.mark.parametrize("url", GIT_URLS)
@pytest.mark.parametrize("model", [RunPipeline, RunTests, Deploy])
def test_nothing_is_fetched_from_anywhere_else(
    bench: Bench, armed: Callable[[str], str], url: str, model: type[BaseModel]
) -> None:
    repository = Repository(url=armed(url) if "touch" in url else url)

    with pytest.raises(PayloadError, match="repository"):
        bench.check_repository(repository)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/a/b", "https://github.com/a/b.git", "https://gitlab.com/group/sub/project.git",
        "git@github.com:a/b.git", "ssh://git@github.com/a/b.git", "ssh://git@github.com:22/a/b", "https://github.com:443/a/b",
    ],
)  # fmt: skip
def test_what_people_mean_is_allowed(bench: Bench, url: str) -> None:
    bench.check_repository(Repository(url=url))


@pytest.mark.parametrize("ref", REFS)
def test_a_ref_is_a_ref_and_nothing_else(armed: Callable[[str], str], ref: str) -> None:
    repository = {"url": "https://github.com/a/b", "ref": armed(ref) if "touch" in ref else ref}

    assert refused(RunPipeline, pipeline(repository=repository))


@pytest.mark.parametrize("ref", ["main", "v1.2.3", "feature/some-thing_2", "a1b2c3d4", "HEAD", "refs/pull/7/head"])
def test_what_people_call_a_ref_is_one(ref: str) -> None:
    assert not refused(RunPipeline, pipeline(repository={"url": "https://github.com/a/b", "ref": ref}))


async def test_no_link_in_the_workspace_leads_a_command_out_of_it(bench: Bench, tmp_path: Path) -> None:
    key = "1" * 32
    work = bench.make(key)
    (work / "link").symlink_to(tmp_path)
    async with Output(_nowhere, bench.kept(key) / "x.log", Mask(), max_log=0) as output:
        with pytest.raises(PayloadError, match="not in the workspace"):
            await bench.execute(key, ["teller"], env={}, folder="link", timeout=5, values={}, output=output)


async def _nowhere(entry: str) -> None:
    """A log that nobody reads."""


async def test_a_name_of_a_repository_is_one_that_the_application_gave(settings: PipelineSettings) -> None:
    bench = Bench(settings, Tools(repositories={"shop": "/srv/git/shop.git"}))

    bench.check_repository(Repository(name="shop"))
    with pytest.raises(PayloadError, match="repository 'other' is not known; there are shop"):
        bench.check_repository(Repository(name="other"))


def test_a_refusal_shows_no_more_of_a_text_than_it_needs() -> None:
    with pytest.raises(ValidationError) as caught:
        RunPipeline.model_validate(pipeline(step={"name": "x" * 5_000}))

    assert len(json.dumps(caught.value.errors(include_input=False, include_context=False))) < 1_000


def test_refusals_are_errors_of_ours() -> None:
    assert issubclass(PayloadError, CorralError)
