"""TLS, passwords and users with few rights."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from corral.errors import ConfigError, StorageError, StorageUnavailableError
from tests.redis.helpers import COUNT, ECHO, PATIENCE, insisting, lua, opened
from tests.redis.proxy import Proxy
from tests.redis_server import RedisServer

#: What a worker needs, and nothing else.
RIGHTS = (
    "resetkeys", "~bull:*", "~corral:*", "resetchannels", "-@all", "+@read", "+@write", "+@blocking", "+@connection",
    "+evalsha", "+script|load", "+time", "-@dangerous", "+info",
)  # fmt: skip


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """A certificate authority that nobody else knows; `ca.pem` is its certificate."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return authority


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """TLS of a server with these names."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
async def secure(own: RedisServer, authority: trustme.CA) -> AsyncIterator[Proxy]:
    """A server reached through TLS."""
    async with Proxy("127.0.0.1", own.port, tls=serving(authority, "127.0.0.1")) as proxy:
        yield proxy


# -- TLS ---------------------------------------------------------------------------------------------------------------


async def test_a_certificate_of_a_known_authority_is_accepted(secure: Proxy, tmp_path: Path) -> None:
    url = f"rediss://127.0.0.1:{secure.port}?timeout={PATIENCE}&ca={tmp_path / 'ca.pem'}"
    async with opened(url) as server:
        big = b"x" * 300_000
        assert await server.run(ECHO, "q", big) == big
        assert await server.block(("BZPOPMIN", "none", 0.01), timeout=0.01) is None
        secure.cut()
        assert await server.run(COUNT, "q", b"") == b"1"


async def test_a_certificate_of_an_unknown_authority_is_refused_with_the_way_out(secure: Proxy) -> None:
    with pytest.raises(ConfigError, match=r"certificate.* is refused: .*; name its authority with ca="):
        async with opened(f"rediss://127.0.0.1:{secure.port}?timeout={PATIENCE}"):
            pass
    async with opened(f"rediss://127.0.0.1:{secure.port}?timeout={PATIENCE}&verify=no") as server:
        assert await server.run(ECHO, "q", b"x") == b"x"


async def test_a_certificate_for_another_host_is_refused(
    own: RedisServer, authority: trustme.CA, tmp_path: Path
) -> None:
    async with Proxy("127.0.0.1", own.port, tls=serving(authority, "other.example")) as proxy:
        with pytest.raises(ConfigError, match="mismatch"):
            async with opened(f"rediss://127.0.0.1:{proxy.port}?timeout={PATIENCE}&ca={tmp_path / 'ca.pem'}"):
                pass


async def test_a_client_shows_its_certificate(own: RedisServer, authority: trustme.CA, tmp_path: Path) -> None:
    context = serving(authority, "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("client@corral.example").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "c.pem"))
    async with Proxy("127.0.0.1", own.port, tls=context) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}?ca={tmp_path / 'ca.pem'}"
        async with opened(f"{url}&timeout={PATIENCE}&cert={tmp_path / 'c.pem'}") as server:
            assert await server.run(ECHO, "q", b"x") == b"x"
        with pytest.raises(StorageUnavailableError):
            async with opened(f"{url}&timeout=1"):
                pass


@pytest.mark.parametrize("setting", ["ca=/nowhere/ca.pem", "cert=/nowhere/c.pem"])
async def test_tls_files_that_are_not_there_are_an_error_at_once(setting: str) -> None:
    with pytest.raises(ConfigError, match="TLS files"):
        async with opened(f"rediss://127.0.0.1:1?timeout={PATIENCE}&{setting}"):
            pass


async def test_plain_text_to_a_tls_port_is_given_up(secure: Proxy) -> None:
    with pytest.raises(StorageUnavailableError):
        async with opened(f"redis://127.0.0.1:{secure.port}?timeout=1"):
            pass


# -- users -------------------------------------------------------------------------------------------------------------


async def test_a_user_with_the_documented_rights_can_do_everything_and_nothing_else(own: RedisServer) -> None:
    own.ask("ACL", "SETUSER", "worker", "on", ">s3cret", *RIGHTS)
    own.ask("ACL", "SETUSER", "default", "off")
    async with opened(f"redis://worker:s3cret@127.0.0.1:{own.port}?timeout={PATIENCE}") as server:
        assert await server.run(COUNT, "q", b"") == b"1"
        assert await server.commands(("GET", "bull:q:count")) == [b"1"]
        assert await server.block(("BZPOPMIN", "bull:q:marker", 0.01), timeout=0.01, name="bull:cQ==") is None
        for command in (("KEYS", "*"), ("CONFIG", "GET", "*"), ("EVAL", "return 1", 0), ("GET", "other:x")):
            with pytest.raises(StorageError, match=r"user 'worker' may not .* ACL SETUSER"):
                await server.commands(command)
        with pytest.raises(StorageError, match=r"user 'worker' may not .* script 'other'"):
            await server.run(lua("redis.call('SET', 'other:x', 1) return ''", "other"), "q", b"")


async def test_a_user_who_may_not_load_scripts_runs_those_that_are_there(own: RedisServer) -> None:
    own.ask("ACL", "SETUSER", "worker", "on", ">s3cret", *(right for right in RIGHTS if right != "+script|load"))
    async with opened(f"redis://worker:s3cret@127.0.0.1:{own.port}?timeout={PATIENCE}") as server:
        with pytest.raises(StorageError, match=r"user 'worker' may not .*script"):
            await server.run(COUNT, "q", b"")
        own.ask("SCRIPT", "LOAD", COUNT.text)
        assert await server.run(COUNT, "q", b"") == b"1"


@pytest.mark.parametrize("shape", ["redis://{}127.0.0.1:{}?timeout=30", "redis+unix://{}{}?timeout=30"])
async def test_a_wrong_password_and_a_missing_one_are_told_apart(own: RedisServer, shape: str) -> None:
    own.ask("CONFIG", "SET", "requirepass", "s3cret")
    where = own.socket if "unix" in shape else own.port
    with pytest.raises(ConfigError, match="the server wants a password"):
        async with opened(shape.format("", where)):
            pass
    with pytest.raises(ConfigError, match="the password is wrong") as caught:
        async with opened(shape.format(":wr0ng@", where)):
            pass
    assert "wr0ng" not in str(caught.value)
    async with opened(shape.format(":s3cret@", where)) as server:
        assert await server.run(ECHO, "q", b"x") == b"x"


async def test_a_password_that_changes_while_we_work_is_an_outage_until_it_is_put_right(own: RedisServer) -> None:
    own.ask("ACL", "SETUSER", "worker", "on", ">first", "~*", "+@all")
    async with opened(f"redis://worker:first@127.0.0.1:{own.port}?timeout={PATIENCE}") as server:
        own.ask("ACL", "SETUSER", "worker", "resetpass", ">second")
        own.ask("CLIENT", "KILL", "USER", "worker")
        with pytest.raises(StorageUnavailableError, match="user 'worker' may not log in"):
            await server.run(COUNT, "q", b"")
        with pytest.raises(StorageUnavailableError, match="user 'worker' may not log in"):
            await server.block(("BZPOPMIN", "none", 0.01), timeout=0.01)
        own.ask("ACL", "SETUSER", "worker", ">first")
        assert await insisting(lambda: server.run(ECHO, "q", b"x")) == b"x"
