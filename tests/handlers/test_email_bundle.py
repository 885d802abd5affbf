"""The bundle in an application, and what happens without the extra."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import corral
from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError
from corral.handlers.email import JOBS, EmailSettings, bundle
from corral.options import Exponential, RateLimit
from corral.storage.port import Storage

from .desk import Desk
from .post_office import parsed

WELCOME = {"to": "user@example.com", "subject": "Welcome!", "template": "welcome", "data": {"name": "John"}}


@pytest.mark.mission("M-TS-02")
def test_m_ts_02_the_queue_and_the_names_are_the_guides() -> None:
    made = bundle()

    assert made.queue == "send-email"
    assert tuple(one.name for one in made) == JOBS
    assert {"welcome-email", "reminder", "urgent", "team-update"} < set(JOBS)


def test_the_defaults_are_three_attempts_from_two_seconds_on_and_half_a_minute_each() -> None:
    for definition in bundle():
        options = definition.handler.options
        assert (options.attempts, options.backoff, options.timeout_ms) == (3, Exponential(2), 30_000)


def test_an_application_takes_it_in_with_limits_of_its_own() -> None:
    app = Corral("sqlite:///:memory:")
    queue = app.include(bundle(), concurrency=5, rate_limit=RateLimit(10, per=1))

    assert tuple(queue.definitions) == JOBS
    assert (queue.concurrency, queue.rate_limit) == (5, RateLimit(10, per=1))
    assert app.definition("send-email", "urgent").new(WELCOME).data


def test_names_and_queue_may_be_chosen() -> None:
    made = bundle(queue="email", jobs=("welcome", "password-reset"))

    assert (made.queue, [one.name for one in made]) == ("email", ["welcome", "password-reset"])


@pytest.mark.parametrize("name", JOBS)
async def test_each_name_sends_what_its_template_says(memory: Storage, tmp_path: Path, name: str) -> None:
    result = await Desk.of(memory, bundle(EmailSettings(mail_dir=tmp_path / "out"))).send(WELCOME, name)

    (path,) = (tmp_path / "out").iterdir()
    assert parsed(path.read_bytes())["Subject"] == "Welcome!"
    assert result["response"] == str(path)


def test_templates_of_ones_own_are_known_when_a_job_is_added(tmp_path: Path) -> None:
    (tmp_path / "invitation.html").write_text("<p>{{ who }}")
    (tmp_path / "invitation.txt").write_text("{{ who }}")
    (ours, *_), (plain, *_) = bundle(templates=tmp_path), bundle()
    invitation = {**WELCOME, "template": "invitation"}

    assert ours.new(invitation).name == "send-email"
    with pytest.raises(PayloadError, match="template 'invitation' does not exist"):
        plain.new(invitation)


def test_settings_that_cannot_be_meant_show_when_the_bundle_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_HOST", "mail.example.org")

    with pytest.raises(ConfigError, match="EMAIL_FROM must say"):
        bundle()


@pytest.mark.parametrize("package", ["aiosmtplib", "css_inline", "email_validator", "httpx2", "jinja2"])
def test_without_the_extra_the_message_says_what_to_install(package: str) -> None:
    script = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == {package!r} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from corral.errors import ConfigError
try:
    import corral.handlers.email
except ConfigError as error:
    print(error)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(corral.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)

    assert done.stdout == (f"the e-mail handler needs its extra: pip install 'corral[email]' (missing: {package})\n")
