"""What the tests of the four platforms share, those under `examples/` and those under `tests/examples`."""

import os
from pathlib import Path

import pytest

from tests.redis_server import fresh_prefix, with_prefix

#: Each engine that a platform must behave the same on.
ENGINES = ("sqlite", "redis")
#: What begins like this changes where a platform lives, or whom it writes to.
_OURS = ("CORRAL_", "REDIS_", "SMTP_", "EMAIL_", "RESEND_", "WORKER_", "JOB_RETENTION_", "JWT_", "SLACK_", "OPENAI_")
#: What the tests themselves are told by.
_KEPT = ("CORRAL_TEST_",)


@pytest.fixture(params=ENGINES)
def platform_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a platform's fresh store is: a file, then a place of its own on a real Redis server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'platform.db'}"
    return with_prefix(request.getfixturevalue("redis_url"), fresh_prefix())


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's own settings, nor a `.env` or `corral.toml` of the folder the tests are started in."""
    for name in list(os.environ):
        if name.startswith(_OURS) and not name.startswith(_KEPT):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
