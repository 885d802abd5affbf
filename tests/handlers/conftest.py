"""Fixtures of the ready-made handlers: a store in memory, and an environment that configures nothing."""

import os
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme

from corral.storage.connect import connect
from corral.storage.port import Storage
from tests.outbox.postgres import programs, server

from .databases import KINDS, fresh_postgres
from .post_office import PostOffice, post_office

#: How the variables of the families' settings begin.
FAMILIES = (
    "SMTP_", "EMAIL_", "RESEND_", "CORRAL_", "CHECKINS_", "METRICS_", "NOTIFY_", "ALERTS_", "SLACK_", "VAPID_",
    "AI_", "OPENAI_", "CLEANUP_", "BACKUP_", "HEALTH_", "REPORTS_",
)  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests may send a mail."""
    for name in list(os.environ):
        if name.startswith(FAMILIES):
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The place of a PostgreSQL server's socket."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: initdb is neither on PATH nor in /usr/lib/postgresql")
    with server(folder) as place:
        yield place


@pytest.fixture(params=KINDS)
def app_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database of the application's, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.db'}"
    return fresh_postgres(request.getfixturevalue("postgres"))
