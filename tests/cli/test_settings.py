"""Settings: flag > CORRAL_* > the guides' variables > .env > corral.toml > default."""

from pathlib import Path

import pytest

from corral.app.app import Corral
from corral.app.place import DEFAULT_URL
from corral.cli.settings import Settings, load_settings
from corral.cli.store import store_url
from corral.errors import ConfigError


def write(folder: Path, text: str) -> None:
    (folder / "corral.toml").write_text(text, encoding="utf-8")


def test_nothing_set_gives_the_defaults() -> None:
    settings = load_settings()
    assert settings == Settings()
    assert (settings.concurrency, settings.retention_hours, settings.log_format) == (None, None, "console")


@pytest.mark.mission("M-TS-56")
def test_m_ts_56_worker_concurrency_is_read_and_each_source_beats_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "concurrency = 2\n")
    assert load_settings().concurrency == 2
    (folder / ".env").write_text("WORKER_CONCURRENCY=3\nUNRELATED=x\n", encoding="utf-8")
    assert load_settings().concurrency == 3
    monkeypatch.setenv("WORKER_CONCURRENCY", "5")
    assert load_settings().concurrency == 5
    monkeypatch.setenv("CORRAL_CONCURRENCY", "6")
    assert load_settings().concurrency == 6
    assert load_settings(concurrency=7).concurrency == 7


@pytest.mark.mission("M-TS-57")
def test_m_ts_57_job_retention_hours_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_RETENTION_HOURS", "24")
    assert load_settings().retention_hours == 24
    monkeypatch.setenv("CORRAL_RETENTION_HOURS", "0.5")
    assert load_settings().retention_hours == 0.5


@pytest.mark.mission("M-TS-58")
def test_m_ts_58_production_is_named_as_node_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_settings().production
    monkeypatch.setenv("NODE_ENV", "production")
    assert load_settings().production
    monkeypatch.setenv("CORRAL_ENV", "staging")
    assert not load_settings().production


def test_durations_are_written_as_people_write_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, 'shutdown_timeout = "2m"\nstats_interval = 5\n')
    monkeypatch.setenv("CORRAL_STATS_INTERVAL", "1m")
    settings = load_settings()
    assert (settings.shutdown_timeout, settings.stats_interval) == (120, 60)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "")
    assert load_settings().concurrency is None


def test_an_unknown_key_is_refused_with_the_nearest_one(folder: Path) -> None:
    write(folder, "concurency = 2\n")
    with pytest.raises(ConfigError, match=r"corral\.toml: unknown option 'concurency'; did you mean 'concurrency'"):
        load_settings()


@pytest.mark.parametrize("text", ["concurrency =", "redis_url = 'redis://x'", "file_url = 'x'"])
def test_a_file_that_cannot_be_meant_is_refused(folder: Path, text: str) -> None:
    write(folder, text)
    with pytest.raises(ConfigError, match=r"corral\.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("WORKER_CONCURRENCY", "many", "WORKER_CONCURRENCY: must be a valid integer, not 'many'"),
        ("CORRAL_CONCURRENCY", "0", "CORRAL_CONCURRENCY: must be greater than or equal to 1, not '0'"),
        ("CORRAL_LOG_LEVEL", "loud", "CORRAL_LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error', not 'loud'"),
        ("CORRAL_SHUTDOWN_TIMEOUT", "soon", "CORRAL_SHUTDOWN_TIMEOUT: 'soon' is not a duration"),
        ("JOB_RETENTION_HOURS", "-1", "JOB_RETENTION_HOURS: must be greater than or equal to 0, not '-1'"),
    ],
)
def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert complaint in str(caught.value)


def test_a_bad_flag_and_a_bad_line_of_the_file_are_named(folder: Path) -> None:
    write(folder, "stats_interval = -1\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(processes=0)
    assert "--processes: must be greater than or equal to 1" in str(caught.value)
    assert "stats_interval in .env or corral.toml" in str(caught.value)


# -- which store -------------------------------------------------------------------------------------------------------


def test_the_store_is_named_by_the_nearest_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Corral("sqlite:///code.db")
    assert store_url(load_settings()) == DEFAULT_URL
    assert store_url(load_settings(), app) == "sqlite:///code.db"
    write(folder, 'url = "sqlite:///file.db"\n')
    assert store_url(load_settings(), app) == "sqlite:///file.db"
    monkeypatch.setenv("CORRAL_URL", "sqlite:///variable.db")
    assert store_url(load_settings(), app) == "sqlite:///variable.db"
    assert store_url(load_settings(url="sqlite:///flag.db"), app) == "sqlite:///flag.db"


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"REDIS_URL": "redis://:secret@localhost:6379"}, "redis://:secret@localhost:6379"),
        ({"REDIS_HOST": "cache"}, "redis://cache:6379/0"),
        (
            {"REDIS_HOST": "cache", "REDIS_PORT": "7000", "REDIS_PASSWORD": "p@ss", "REDIS_DB": "2"},
            "redis://:p%40ss@cache:7000/2",
        ),
    ],
)
@pytest.mark.mission("M-TS-55", "M-AI-01", "M-GL-79")
def test_m_ts_55_redis_of_the_environment_is_the_store_where_nothing_else_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert store_url(load_settings()) == url
    assert "p@ss" not in repr(load_settings())


@pytest.mark.mission("M-TS-55")
def test_m_ts_55_somebody_elses_redis_does_not_move_an_application_that_names_its_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://localhost:6379")
    assert store_url(load_settings(), Corral("sqlite:///code.db")) == "sqlite:///code.db"
    assert store_url(load_settings(url="sqlite:///flag.db")) == "sqlite:///flag.db"


def test_an_application_without_a_store_and_the_command_line_find_the_same_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each order of the sources: file, REDIS_HOST in `.env`, REDIS_URL, CORRAL_URL in `.env`, CORRAL_URL."""

    def both() -> set[str]:
        return {Corral().url, store_url(load_settings(), Corral()), store_url(load_settings())}

    assert both() == {DEFAULT_URL}
    write(folder, 'url = "sqlite:///file.db"\n')
    assert both() == {"sqlite:///file.db"}
    (folder / ".env").write_text("REDIS_HOST=written\nREDIS_PASSWORD=p@ss\n")
    assert both() == {"redis://:p%40ss@written:6379/0"}
    monkeypatch.setenv("REDIS_URL", "redis://cache/1")
    assert both() == {"redis://cache/1"}
    (folder / ".env").write_text("CORRAL_URL=sqlite:///written.db\n")
    assert both() == {"sqlite:///written.db"}
    monkeypatch.setenv("CORRAL_URL", "sqlite:///variable.db")
    assert both() == {"sqlite:///variable.db"}
