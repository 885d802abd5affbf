"""A certificate for a name that exists nowhere."""

import ssl

import pytest
import trustme


@pytest.fixture
def named_tls(authority: trustme.CA) -> ssl.SSLContext:
    """What the server behind hooks.example.com shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example.com").configure_cert(context)
    return context
