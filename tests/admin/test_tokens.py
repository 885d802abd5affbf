"""API tokens: shown once, kept as a hash, gone when they are revoked or over."""

import re

import pytest

from corral.admin.admin import Admin, Desk
from corral.admin.objects import Token
from corral.errors import ConfigError, RecordNotFoundError
from corral.storage.port import Storage
from corral.storage.records import EntryChange
from tests.storage.helpers import MINUTE, SECOND, T0, Clock

from .helpers import ANA, entries, last_entry


async def texts(storage: Storage, *kinds: str) -> str:
    """All that is stored of these kinds."""
    return "".join([entry.text for kind in kinds for entry in await storage.entries(kind, now=T0)])


async def test_a_token_is_shown_once_and_kept_as_a_hash(desk: Desk, storage: Storage) -> None:
    clear, token = await desk.create_token("ci", "Operator", ["mail*"], T0 + MINUTE)
    assert re.fullmatch(rf"crl_{token.id}_[A-Za-z0-9_-]{{43}}", clear)
    assert token == Token(
        id=token.id, name="ci", role="operator", queues=("mail*",), created_at=T0, created_by="ana",
        expires_at=T0 + MINUTE,
    )  # fmt: skip
    assert clear[15:] not in await texts(storage, "token", "audit")
    assert await desk.tokens() == [token]


async def test_the_log_says_which_token_was_made_and_neither_token_nor_hash(desk: Desk, storage: Storage) -> None:
    _, token = await desk.create_token("ci", "viewer")
    entry = await last_entry(desk)
    assert (entry.action, entry.target) == ("token.create", {"name": "ci", "token": token.id})
    assert entry.after == {"role": "viewer", "queues": ["*"], "expires_at": None}
    [stored] = await storage.entries("token", now=T0)
    [hashed] = re.findall(r"[0-9a-f]{64}", stored.text)
    assert hashed not in await texts(storage, "audit")


async def test_who_shows_a_token_is_found_by_it(desk: Desk, clock: Clock) -> None:
    clear, token = await desk.create_token("ci", "viewer")
    other, _ = await desk.create_token("other", "admin")
    found = await desk.find_token(clear)
    assert found is not None
    assert (found.id, found.role) == (token.id, "viewer")
    swapped = f"crl_{token.id}_{other.rpartition(f'crl_{other[4:14]}_')[2]}"
    for wrong in (
        "",
        "crl_",
        clear[:-1],
        clear + "a",
        clear.upper(),
        swapped,
        f"crl_0000000000_{clear[15:]}",
        "ä" * 58,
    ):
        assert await desk.find_token(wrong) is None
    assert [entry.action for entry in await entries(desk)] == ["token.create", "token.create"]


async def test_a_token_ends_at_its_time_or_when_it_is_revoked(desk: Desk, clock: Clock) -> None:
    short, _ = await desk.create_token("short", "viewer", expires_at=T0 + SECOND)
    clear, token = await desk.create_token("ci", "viewer")
    assert await desk.find_token(short) is not None
    clock.tick(SECOND)
    assert await desk.find_token(short) is None
    assert await desk.find_token(clear) is not None
    await desk.revoke_token(token.id)
    assert await desk.find_token(clear) is None
    entry = await last_entry(desk)
    assert (entry.action, entry.target) == ("token.revoke", {"token": token.id, "name": "ci"})
    with pytest.raises(RecordNotFoundError, match="token"):
        await desk.revoke_token(token.id)


async def test_the_last_use_is_noted_once_a_minute(desk: Desk, storage: Storage, clock: Clock) -> None:
    clear, _ = await desk.create_token("ci", "viewer")
    for step in (1, 1, MINUTE, 1):
        clock.tick(step)
        await desk.find_token(clear)
    [stored] = await storage.entries("token", now=clock.now)
    assert stored.version == 3
    [listed] = await desk.tokens()
    assert listed.used_at == T0 + MINUTE + 2


async def test_a_token_that_is_revoked_while_it_is_used_stays_revoked(desk: Desk, storage: Storage) -> None:
    clear, token = await desk.create_token("ci", "viewer")
    [entry] = await storage.entries("token", now=T0)
    await desk.revoke_token(token.id)
    [written] = await storage.write_entries("token", [EntryChange(id=token.id, text=entry.text, version=1)], now=T0)
    assert written is None
    assert await desk.find_token(clear) is None


@pytest.mark.parametrize(
    ("name", "role", "queues", "expires_at"),
    [
        ("", "viewer", ["*"], None),
        ("a\nb", "viewer", ["*"], None),
        ("ci", "root", ["*"], None),
        ("ci", "viewer", [], None),
        ("ci", "viewer", "*", None),
        ("ci", "viewer", ["*"], T0),
    ],
)
async def test_a_token_that_cannot_be_meant_is_refused(
    desk: Desk, name: str, role: str, queues: list[str], expires_at: int | None
) -> None:
    with pytest.raises(ConfigError):
        await desk.create_token(name, role, queues, expires_at)
    assert await desk.tokens() == []
    assert (await last_entry(desk)).outcome == "refused"


async def test_tokens_of_one_store_are_known_in_every_process(desk: Desk, admin: Admin, storage: Storage) -> None:
    clear, _ = await desk.create_token("ci", "viewer")
    other = Admin(storage, admin.ground.monitor, clock=admin.ground.at).by(ANA)
    assert await other.find_token(clear) is not None
