"""An environment without anybody's secrets."""

import os

import pytest

from corral.handlers.webhooks import receiver


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own secrets: those of the person who runs the tests are not for them."""
    for name in list(os.environ):
        if "WEBHOOK" in name.upper() or name.upper() == "SLACK_SIGNING_SECRET":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time; tests about the two seconds say so."""
    monkeypatch.setattr(receiver, "STORE_PATIENCE", 60.0)
