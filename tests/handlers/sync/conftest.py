"""Fixtures of the sync's suite: a database of each kind, and an office where syncs are run."""

import json
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_httpserver import HTTPServer

from corral.handlers.kit.database import Database
from corral.storage.port import Storage

from .fakes import FakeGoogle, FakeMeta, FakeShopify, FakeStripe, FakeWoo
from .shop import Office


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database of each kind."""
    async with Database(app_database) as opened:
        yield opened


@pytest.fixture
def office(database: Database, memory: Storage) -> Office:
    """Where syncs are run, one at a time."""
    return Office(database, memory)


@pytest.fixture
def shopify(httpserver: HTTPServer) -> FakeShopify:
    return FakeShopify(httpserver)


@pytest.fixture
def woo(httpserver: HTTPServer) -> FakeWoo:
    return FakeWoo(httpserver)


@pytest.fixture
def stripe(httpserver: HTTPServer) -> FakeStripe:
    return FakeStripe(httpserver)


@pytest.fixture
def meta(httpserver: HTTPServer) -> FakeMeta:
    return FakeMeta(httpserver)


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    """A service account's key."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.fixture
def google(httpserver: HTTPServer, private_key: rsa.RSAPrivateKey) -> FakeGoogle:
    public = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return FakeGoogle(httpserver, public.decode())


@pytest.fixture
def service_account(google: FakeGoogle, private_key: rsa.RSAPrivateKey) -> str:
    """The JSON of the service account."""
    secret = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {"type": "service_account", "client_email": "sync@project.iam.gserviceaccount.com",
         "private_key": secret.decode(), "token_uri": f"{google.url}/token"}
    )  # fmt: skip
