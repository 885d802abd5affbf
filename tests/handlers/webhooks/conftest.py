"""An environment without anybody's secrets."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own secrets: those of the person who runs the tests are not for them."""
    for name in list(os.environ):
        if "WEBHOOK" in name.upper() or name.upper() == "SLACK_SIGNING_SECRET":
            monkeypatch.delenv(name)
