"""The deployment templates, read by the parsers of the formats they are written in."""

import configparser
import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from corral.cli.settings import Settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"

#: How long a stopping worker lets its jobs finish. A supervisor that is less patient kills what would have ended well.
GRACE_SECONDS = Settings.model_fields["shutdown_timeout"].default
PYTHONS_OWN = {"PYTHONPATH", "PYTHONUNBUFFERED"}
UNITS = ("teamspark-worker.service", "corral-worker@.service")


class UnitParser(configparser.RawConfigParser):
    """systemd's dialect of ini: case matters, and a key may come several times."""

    def __init__(self) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#", ";"))

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(name: str) -> configparser.SectionProxy:
    parser = UnitParser()
    parser.read(DEPLOY / name)
    return parser["Service"]


def environment(name: str) -> dict[str, str]:
    pairs = re.findall(r"^Environment=(\w+)=(.*)$", (DEPLOY / name).read_text(), re.MULTILINE)
    return dict(pairs)


def pm2_app() -> dict[str, object]:
    apps = json.loads((DEPLOY / "ecosystem.config.json").read_text())["apps"]
    assert len(apps) == 1
    return dict(apps[0])


def compose_worker() -> dict[str, object]:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return dict(services["worker"])


def dockerfile() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def worker_command(words: list[str]) -> list[str]:
    """The part after the program's name: what `corral` is told."""
    return words[1:] if words[0].endswith("corral") else words


# -- PM2 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-16")
def test_m_ts_16_pm2_runs_the_worker_itself_in_the_foreground() -> None:
    app = pm2_app()
    assert (app["interpreter"], app["exec_mode"]) == ("none", "fork")
    assert str(app["script"]).endswith("bin/corral")
    assert shlex.split(str(app["args"]))[0] == "worker"


@pytest.mark.mission("M-TS-16")
def test_m_ts_16_pm2_restarts_a_crash_but_not_a_broken_command() -> None:
    app = pm2_app()
    assert app["autorestart"] is True
    assert app["stop_exit_codes"] == [0, 2]


@pytest.mark.mission("M-TS-16")
def test_m_ts_16_pm2_waits_for_running_jobs_and_leaves_their_processes_to_the_worker() -> None:
    app = pm2_app()
    assert isinstance(app["kill_timeout"], int)
    assert app["kill_timeout"] > GRACE_SECONDS * 1000
    assert app["treekill"] is False


@pytest.mark.mission("M-TS-19")
def test_m_ts_19_pm2_starts_several_instances() -> None:
    assert pm2_app()["instances"] == 3


# -- Docker ------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-17")
def test_m_ts_17_compose_up_worker_runs_the_worker_and_restarts_it_unless_stopped() -> None:
    worker = compose_worker()
    command = worker["command"]
    assert isinstance(command, list)
    assert command[0] == "worker"
    assert worker["restart"] == "unless-stopped"


@pytest.mark.mission("M-TS-17")
def test_m_ts_17_compose_gives_running_jobs_their_grace() -> None:
    seconds = re.fullmatch(r"(\d+)s", str(compose_worker()["stop_grace_period"]))
    assert seconds is not None
    assert int(seconds[1]) > GRACE_SECONDS


@pytest.mark.mission("M-TS-17")
def test_m_ts_17_the_store_outlives_the_container() -> None:
    worker = compose_worker()
    settings = worker["environment"]
    assert isinstance(settings, dict)
    assert settings["CORRAL_URL"] == "sqlite:////data/corral.db"
    assert worker["volumes"] == ["queue:/data"]
    assert worker["read_only"] is True


@pytest.mark.mission("M-TS-59")
def test_m_ts_59_compose_builds_the_image_from_the_repository() -> None:
    build = compose_worker()["build"]
    assert isinstance(build, dict)
    context = (DEPLOY / build["context"]).resolve()
    assert (context / build["dockerfile"]) == DEPLOY / "Dockerfile"
    copied = [
        word for verb, rest in dockerfile() if verb == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    ]
    assert [source for source in copied if not (context / source).exists()] == []


@pytest.mark.mission("M-TS-59")
def test_m_ts_59_the_build_sees_every_file_that_the_image_copies() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    admitted = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word for verb, rest in dockerfile() if verb == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    }
    assert {source.removeprefix("./") for source in copied} == admitted


@pytest.mark.mission("M-TS-59")
def test_m_ts_59_the_image_is_built_in_two_stages_and_runs_without_root() -> None:
    verbs = [verb for verb, _ in dockerfile()]
    assert verbs.count("FROM") == 2
    last_stage = dockerfile()[len(verbs) - verbs[::-1].index("FROM") :]
    assert ("USER", "worker") in last_stage


@pytest.mark.mission("M-TS-59")
def test_m_ts_59_signals_reach_the_worker_because_no_shell_stands_between() -> None:
    instructions = dict(dockerfile())
    assert json.loads(instructions["ENTRYPOINT"]) == ["corral"]
    assert json.loads(instructions["CMD"])[0] == "worker"
    assert instructions["STOPSIGNAL"] == "SIGTERM"


@pytest.mark.mission("M-TS-59")
def test_m_ts_59_with_redis_the_worker_waits_for_the_server_that_its_url_names() -> None:
    services = yaml.safe_load((DEPLOY / "compose.redis.yaml").read_text())["services"]
    for name in ("worker", "api"):
        url = urlsplit(services[name]["environment"]["CORRAL_URL"])
        assert (url.scheme, url.hostname, url.port) == ("redis", "redis", 6379)
        assert services[name]["depends_on"] == {"redis": {"condition": "service_healthy"}}
        assert services[name]["environment"]["TEAMSPARK_HOME"].startswith("/data/")
    assert services["redis"]["restart"] == "unless-stopped"
    assert services["redis"]["command"][-2:] == ["--maxmemory-policy", "noeviction"]


# -- systemd -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.mission("M-TS-18")
def test_m_ts_18_systemd_runs_the_worker_in_the_foreground(name: str) -> None:
    service = unit(name)
    assert service["Type"] == "exec"
    program, command, *_ = shlex.split(service["ExecStart"])
    assert program.startswith("/")
    assert (Path(program).name, command) == ("corral", "worker")


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.mission("M-TS-18")
def test_m_ts_18_systemd_restarts_a_crash_but_not_a_broken_command(name: str) -> None:
    service = unit(name)
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2"


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.mission("M-TS-18")
def test_m_ts_18_systemctl_stop_lets_running_jobs_finish(name: str) -> None:
    service = unit(name)
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "mixed")
    assert service.getint("TimeoutStopSec") > GRACE_SECONDS


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.mission("M-TS-18")
def test_m_ts_18_the_worker_has_no_privileges_and_writes_only_where_its_store_is(name: str) -> None:
    service = unit(name)
    assert service["User"] != "root"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert environment(name)["CORRAL_URL"] == f"sqlite:////var/lib/{service['StateDirectory']}/corral.db"


@pytest.mark.mission("M-TS-19")
def test_m_ts_19_each_instance_of_the_template_has_settings_of_its_own() -> None:
    text = (DEPLOY / "corral-worker@.service").read_text()
    assert environment("corral-worker@.service")["CORRAL_NAME"] == "worker-%i"
    assert "EnvironmentFile=/etc/corral/worker.env" in text
    assert "EnvironmentFile=-/etc/corral/worker-%i.env" in text


@pytest.mark.mission("M-TS-18")
def test_m_ts_18_the_unit_and_the_template_differ_only_in_whom_they_serve() -> None:
    ignored = {"User", "Group", "WorkingDirectory", "Environment", "EnvironmentFile", "ExecStart", "StateDirectory"}
    plain, template = ({key: value for key, value in unit(name).items() if key not in ignored} for name in UNITS)
    assert plain == template


# -- all of them -------------------------------------------------------------------------------------------------------


def test_every_template_starts_the_same_application() -> None:
    commands = [
        worker_command(shlex.split(unit("teamspark-worker.service")["ExecStart"])),
        ["worker", *shlex.split(str(pm2_app()["args"]))[1:]],
        compose_worker()["command"],
        json.loads(dict(dockerfile())["CMD"]),
    ]
    assert commands == [["worker", "examples.teamspark.app:app"]] * 4


def every_environment() -> list[dict[str, object]]:
    compose, pm2 = compose_worker()["environment"], pm2_app()["env"]
    assert isinstance(compose, dict)
    assert isinstance(pm2, dict)
    return [compose, pm2, *(dict(environment(name)) for name in UNITS)]


@pytest.mark.mission("M-TS-56", "M-TS-57")
def test_m_ts_56_and_57_concurrency_and_retention_come_from_the_environment() -> None:
    for settings in every_environment()[:3]:
        assert (settings["WORKER_CONCURRENCY"], settings["JOB_RETENTION_HOURS"]) == ("5", "24")


@pytest.mark.mission("M-TS-58")
def test_m_ts_58_every_template_says_that_this_is_production() -> None:
    assert [settings["CORRAL_ENV"] for settings in every_environment()] == ["production"] * 4


def test_no_template_sets_a_variable_that_corral_does_not_read() -> None:
    read = {f"CORRAL_{field.upper()}" for field in Settings.model_fields}
    for field in Settings.model_fields.values():
        read |= set(getattr(field.validation_alias, "choices", ()))
    unread = [key for settings in every_environment() for key in settings if key not in read | PYTHONS_OWN]
    assert unread == []
