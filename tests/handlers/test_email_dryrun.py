"""Dry run: mails as files."""

import asyncio
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from corral.handlers.email import DeliveryError, DryRunTransport, EmailSettings, Message, bundle
from corral.handlers.email.address import Address
from corral.storage.port import Storage

from .desk import Desk
from .post_office import body_of, parsed

MESSAGE = Message(
    id="send-email.1.abc@example.com", sender=Address("noreply@example.com"), to=(Address("ann@example.org", "Ånn"),),
    bcc=(Address("eve@example.org"),), subject="Hellø", text="Hello\n", html="<p>Hello</p>", date=1_700_000_000_000,
)  # fmt: skip
KEY = "send-email/1/0123456789abcdef"


async def test_a_mail_becomes_a_file_that_the_standard_library_reads(tmp_path: Path) -> None:
    receipt = await DryRunTransport(tmp_path / "out").send(MESSAGE, ("ann@example.org", "eve@example.org"), KEY)

    path = tmp_path / "out" / "send-email-1-0123456789abcdef.eml"
    mail = parsed(path.read_bytes())
    assert (mail["To"], mail["Subject"], body_of(mail, "plain")) == ("Ånn <ann@example.org>", "Hellø", "Hello\n")
    assert b"eve" not in path.read_bytes()
    assert (receipt.accepted, receipt.response) == (("ann@example.org", "eve@example.org"), str(path))


async def test_only_we_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        receipt = await DryRunTransport(tmp_path / "a" / "out").send(MESSAGE, (), KEY)
    finally:
        os.umask(before)

    path = Path(receipt.response)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_same_job_twice_leaves_one_file_and_another_job_its_own(tmp_path: Path) -> None:
    transport = DryRunTransport(tmp_path)
    await transport.send(MESSAGE, (), KEY)
    await transport.send(replace(MESSAGE, subject="Second"), (), KEY)
    await transport.send(MESSAGE, (), "send-email/2/0123456789abcdef")

    found = {path.name: parsed(path.read_bytes())["Subject"] for path in tmp_path.iterdir()}
    assert found == {"send-email-1-0123456789abcdef.eml": "Second", "send-email-2-0123456789abcdef.eml": "Hellø"}


async def test_twenty_attempts_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    transport = DryRunTransport(tmp_path)

    await asyncio.gather(*(transport.send(MESSAGE, (), KEY) for _ in range(20)))

    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == MESSAGE.to_bytes()


async def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    out = tmp_path / "out"
    out.mkdir()
    (out / "send-email-1-0123456789abcdef.eml").symlink_to(treasure)

    await DryRunTransport(out).send(MESSAGE, (), KEY)

    assert treasure.read_text() == "gold"


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/../../b", ".hidden/x", "/root", "a/b/\x00"])
async def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    out = tmp_path / "out"

    receipt = await DryRunTransport(out).send(MESSAGE, (), key)

    assert Path(receipt.response).parent == out
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not Path(receipt.response).name.startswith(".")


async def test_a_folder_that_cannot_be_is_worth_a_retry(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    with pytest.raises(DeliveryError, match="cannot be written"):
        await DryRunTransport(tmp_path / "out").send(MESSAGE, (), KEY)


async def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "send-email-1-0123456789abcdef.eml").mkdir()

    with pytest.raises(DeliveryError, match="cannot be written"):
        await DryRunTransport(tmp_path).send(MESSAGE, (), KEY)

    assert [path.name for path in tmp_path.iterdir()] == ["send-email-1-0123456789abcdef.eml"]


@pytest.mark.parametrize(("asked", "warnings"), [(None, 1), ("dry-run", 0)])
async def test_the_result_says_that_nothing_left_and_the_log_says_so_once_unless_it_was_asked_for(
    memory: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture, asked: Literal["dry-run"] | None, warnings: int
) -> None:
    desk = Desk.of(memory, bundle(EmailSettings(mail_dir=tmp_path, email_transport=asked)))
    mail = {"to": "ann@example.org", "subject": "Hello", "template": "welcome", "data": {"name": "Ann"}}

    results = [await desk.send(mail, "send-email") for _ in range(2)]

    assert [one["dryRun"] for one in results] == [True, True]
    assert caplog.text.count("no mail leaves, each becomes a file") == warnings
