"""`[alerts]` of corral.toml: what it may say, and what is said about the rest."""

from pathlib import Path

import pytest

from corral.alerts.settings import AlertSettings, alert_settings, read_alerts
from corral.errors import ConfigError
from corral.monitor.thresholds import DEFAULTS

FULL = """
[alerts]
severity = "critical"
after = "1m"
again = false
queue = "alerts"
job = "alert"
waiting = 500
failed = 50
oldest_waiting = "90s"
failure_share = 0.2
held = false

[alerts.queues."bulk*"]
waiting = 100000
oldest = false
"""


def test_every_setting_can_stand_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "corral.toml"
    file.write_text(FULL.replace("oldest_waiting", "oldest"), encoding="utf-8")
    found = read_alerts(file)
    assert found is not None
    assert (found.severity, found.after_ms, found.again_ms, found.queue) == ("critical", 60_000, None, "alerts")
    mail, bulk = found.thresholds.of("mail"), found.thresholds.of("bulk-mail")
    assert (mail.waiting, mail.failed, mail.oldest_ms, mail.failure_share, mail.held) == (500, 50, 90_000, 0.2, None)
    assert (bulk.waiting, bulk.failed, bulk.oldest_ms) == (100_000, 50, None)


def test_without_a_file_or_a_table_there_is_nothing(tmp_path: Path) -> None:
    assert read_alerts(tmp_path / "none.toml") is None
    (tmp_path / "other.toml").write_text("url = 'x'", encoding="utf-8")
    assert read_alerts(tmp_path / "other.toml") is None


def test_an_empty_table_means_the_thresholds_of_the_guides() -> None:
    assert alert_settings({}) == AlertSettings(thresholds=DEFAULTS)
    assert (DEFAULTS.waiting, DEFAULTS.failed) == (1_000, 100)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"wating": 1}, r"alerts\.wating.*alerts\.waiting"),
        ({"waiting": "many"}, r"alerts\.waiting must be a number .* not 'many'"),
        ({"waiting": -1}, r"alerts\.waiting must be a number of 0 or more"),
        ({"waiting": 1.5}, r"alerts\.waiting must be a whole number"),
        ({"waiting": True}, r"alerts\.waiting must be a number"),
        ({"failure_share": 5}, r"is a share: 0\.05 is 5 %"),
        ({"oldest": "soon"}, r"'soon' is not a duration"),
        ({"after": []}, r'alerts\.after must be seconds or a text such as "90s"'),
        ({"severity": "bad"}, r"severity must be one of note, warning, critical"),
        ({"held": 3}, r"alerts\.held must be true or false"),
        ({"failure_jobs": False}, r"to turn the rule off"),
        ({"queue": ""}, r"alerts\.queue must be a text"),
        ({"queues": 3}, r"alerts\.queues must be a table of tables"),
        ({"queues": {"a": 3}}, r"alerts\.queues\.a must be a table"),
        ({"queues": {"a": {"after": 3}}}, r"alerts\.queues\.a\.after"),
    ],
)
def test_what_cannot_be_meant_is_named(table: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        alert_settings(table)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "corral.toml"
    file.write_text("[alerts", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"corral\.toml cannot be read"):
        read_alerts(file)
    file.write_text("alerts = 3", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be a table"):
        read_alerts(file)
