"""Fixtures of the ready-made handlers: a store in memory, and an environment that configures nothing."""

import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from corral.storage.connect import connect
from corral.storage.port import Storage

from .post_office import PostOffice, post_office


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests may send a mail."""
    for name in list(os.environ):
        if name.startswith(("SMTP_", "EMAIL_", "RESEND_", "CORRAL_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def memory() -> AsyncIterator[Storage]:
    """A fresh store in memory."""
    async with connect("sqlite:///:memory:") as store:
        yield store


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    """An SMTP server without protection, as it runs on a developer's machine."""
    async with post_office() as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that only these tests trust."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The authority's certificate in a file."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server at 127.0.0.1 and localhost shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context
