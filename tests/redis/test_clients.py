"""Workers by the names of their connections: what CLIENT LIST tells, and what it does not."""

from base64 import b64encode

from redis.asyncio import Redis

from corral.storage.checkup import clients
from corral.storage.redis.clients import parsed
from tests.redis.helpers import PATIENCE
from tests.redis.test_security import RIGHTS
from tests.redis_server import RedisServer

MAIL = b64encode("mail.welcome ü".encode()).decode()


def line(name: str, **more: str) -> str:
    """A connection, as the server lists it."""
    told = {"id": "3", "addr": "10.1.2.4:5", "name": name, "age": "32400", "flags": "b", "cmd": "bzpopmin", **more}
    return " ".join(f"{key}={value}" for key, value in told.items())


def test_workers_are_told_from_other_connections_by_their_names() -> None:
    text = "\n".join(
        [
            line(f"bull:{MAIL}:w:mailer-1", **{"lib-name": "ioredis", "lib-ver": "5.4.1"}),
            line(f"bull:{MAIL}"),
            line(f"bull:{MAIL}:qe"),
            line(f"bull:{MAIL}:w:"),
            line(f"bully:{MAIL}"),
            line("bull:not in base64!"),
            line("bull://///w=="),
            line("bull:"),
            line(""),
            line("corral"),
            "",
        ]
    )
    found = list(parsed(text, "bull"))
    assert [(one.queue, one.name, one.library) for one in found] == [
        ("mail.welcome ü", "mailer-1", "ioredis 5.4.1"),
        ("mail.welcome ü", "", ""),
    ]
    assert (found[0].address, found[0].connected_s) == ("10.1.2.4:5", 32_400)


async def test_a_connection_with_a_workers_name_is_found_and_a_user_without_the_right_learns_nothing(
    own: RedisServer,
) -> None:
    node = Redis.from_url(own.url, client_name=f"bull:{MAIL}:w:mailer-1", single_connection_client=True)
    async with node:
        await node.ping()
        found = await clients(own.url) or ()
        assert [(one.queue, one.name) for one in found] == [("mail.welcome ü", "mailer-1")]
        own.ask("ACL", "SETUSER", "worker", "on", ">s3cret", *RIGHTS)
        assert await clients(f"redis://worker:s3cret@127.0.0.1:{own.port}?timeout={PATIENCE}") is None


async def test_nobody_but_corral_works_on_a_file() -> None:
    assert await clients("sqlite:///nowhere.db") == []
