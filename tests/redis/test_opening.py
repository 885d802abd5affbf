"""Opening a handle: which servers are refused, which are warned about, and in which words."""

import logging
import subprocess
import sys

import pytest

from corral.errors import ConfigError, StorageError, StorageVersionError
from corral.storage.redis.dial import version_of
from tests.redis.fake import FakeServer, hello
from tests.redis.helpers import ECHO, lua, opened, refused, until
from tests.redis_server import RedisServer, free_port


@pytest.mark.parametrize(
    ("text", "version"), [("7.0.15", (7, 0, 15)), ("8.0-rc1", (8, 0)), ("", ()), ("x", ()), ("6.2.6\r", (6, 2, 6))]
)
def test_a_version_is_its_numbers(text: str, version: tuple[int, ...]) -> None:
    assert version_of(text) == version


async def test_a_server_that_is_too_old_is_refused_naming_both_versions() -> None:
    async with FakeServer(HELLO=hello("6.0.16")) as fake:
        with pytest.raises(StorageVersionError, match=rf"127.0.0.1:{fake.port} is version 6\.0\.16; .* 6\.2 or newer"):
            async with opened(fake.url):
                pass


async def test_a_server_that_does_not_know_hello_is_asked_for_its_info() -> None:
    info = b"$21\r\nredis_version:5.0.14\n\r\n"
    async with FakeServer(HELLO=b"-ERR unknown command `HELLO`\r\n", INFO=info) as fake:
        with pytest.raises(StorageVersionError, match=r"5\.0\.14"):
            async with opened(fake.url):
                pass


async def test_a_server_that_tells_nothing_about_itself_is_taken_for_the_oldest_one() -> None:
    no = b"-NOPERM this user has no permissions\r\n"
    plain = lua("--! flags allow-oom\nreturn 1").plain_sha
    async with FakeServer(HELLO=no, INFO=no, CONFIG=no, EVALSHA=b"$1\r\n1\r\n") as fake:
        async with opened(fake.url) as server:
            assert server.version == (6, 2)
            await server.run(lua("--! flags allow-oom\nreturn 1"), "q", b"")
        assert [words[1] for words in fake.commands if words[0] == "EVALSHA"] == [plain]


async def test_a_server_that_evicts_is_warned_about_with_the_fix(
    own: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "corral.storage"):
        async with opened(own.url):
            assert caplog.messages == []
        own.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        async with opened(own.url):
            (message,) = caplog.messages
    assert "allkeys-lru" in message
    assert "set maxmemory-policy noeviction" in message
    assert str(own.port) in message


async def test_the_policy_is_read_from_the_configuration_where_info_does_not_tell(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = b"*2\r\n$16\r\nmaxmemory-policy\r\n$12\r\nvolatile-lru\r\n"
    async with FakeServer(INFO=b"-NOPERM no\r\n", CONFIG=config) as fake, opened(fake.url):
        assert "volatile-lru" in caplog.text


@pytest.mark.mission("M-BI-37")
async def test_nobody_there_is_an_error_naming_host_and_port() -> None:
    port = free_port()
    said = await refused(f"redis://bob:s3cret@127.0.0.1:{port}", rf"127\.0\.0\.1:{port} for 1 s.*connect")
    assert "s3cret" not in said


async def test_a_name_that_does_not_resolve_is_an_error_naming_it() -> None:
    await refused("redis://nowhere.invalid", r"nowhere\.invalid:6379")


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    async with FakeServer(HELLO=None) as fake:
        await refused(fake.url, "no answer for|did not answer within")


async def test_a_server_that_hangs_up_is_given_up() -> None:
    async with FakeServer(HELLO=b"") as fake:
        await refused(fake.url, "closed the connection")
        assert fake.seen["HELLO"] > 1


@pytest.mark.parametrize(
    ("mode", "complaint"), [("cluster", r"redis\+cluster://"), ("sentinel", r"redis\+sentinel://127\.0\.0\.1:\d+/")]
)
async def test_a_server_of_another_shape_is_refused_with_the_right_url(mode: str, complaint: str) -> None:
    said = hello().replace(b"*6", b"*8", 1) + f"$4\r\nmode\r\n${len(mode)}\r\n{mode}\r\n".encode()
    async with FakeServer(HELLO=said) as fake:
        with pytest.raises(ConfigError, match=complaint):
            async with opened(fake.url):
                pass


async def test_a_handle_does_not_cross_a_fork(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url) as server:
        monkeypatch.setattr("os.getpid", lambda: -1)
        with pytest.raises(StorageError, match="open it again after a fork"):
            await server.run(ECHO, "q", b"")
        monkeypatch.undo()
        assert await server.run(ECHO, "q", b"x") == b"x"


async def test_a_failed_opening_leaves_nothing_open() -> None:
    async with FakeServer(HELLO=hello("6.0.16")) as fake:
        with pytest.raises(StorageVersionError):
            async with opened(fake.url):
                pass

        async def closed() -> bool:
            return fake.open == 0

        await until(closed)


@pytest.mark.parametrize("missing", ["redis", "hiredis"])
def test_without_its_driver_connect_says_what_to_install_and_the_url_can_still_be_checked(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from corral.errors import ConfigError\n"
        "from corral.storage.connect import check_url, connect\n"
        "check_url('redis://:s3cret@cache')\n"
        "try:\n    connect('redis://:s3cret@cache')\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'corral[redis]'" in run.stdout
    assert "s3cret" not in run.stdout
