"""SMTP against a real server: plain, TLS, STARTTLS, login, and every way to fail."""

import asyncio
import logging
import ssl
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from corral.handlers.email import DeliveryError, Message, SmtpTransport
from corral.handlers.email.address import Address
from corral.handlers.email.settings import Security
from corral.signals import Discard

from .post_office import PASSWORD, PostOffice, post_office

ANN, BOB, EVE = "ann@example.org", "bob@example.org", "eve@example.org"


def message(**changes: object) -> Message:
    fields: dict[str, object] = {
        "id": "send-email.1.abc@example.com", "sender": Address("noreply@example.com", "Team"), "to": (Address(ANN),),
        "subject": "Hello", "text": "Hello\n", "html": "<p>Hello</p>", "date": 1_700_000_000_000,
    }  # fmt: skip
    return Message(**{**fields, **changes})  # type: ignore[arg-type]  # the fields of one message, by name


def plain(office: PostOffice, *, timeout: float = 5.0) -> SmtpTransport:
    return SmtpTransport("127.0.0.1", office.port, security=Security.NONE, timeout=timeout)


async def test_a_mail_arrives_as_it_was_written(office: PostOffice) -> None:
    receipt = await plain(office).send(message(), (ANN, BOB), "k")

    (letter,) = office.letters
    assert (letter.sender, letter.recipients) == ("noreply@example.com", [ANN, BOB])
    assert letter.message["Message-ID"] == "<send-email.1.abc@example.com>" == receipt.message_id
    assert letter.text == "Hello\n"
    assert (receipt.accepted, receipt.refused, receipt.response) == ((ANN, BOB), (), "250 2.0.0 Queued as 4F2A")


async def test_lines_that_begin_with_a_dot_or_with_from_arrive_unchanged(office: PostOffice) -> None:
    text = ".\n..\nFrom here on\n.hidden\n"

    await plain(office).send(message(text=text), (ANN,), "k")

    assert office.letters[0].text == text


async def test_starttls_protects_the_conversation_before_the_login(server_tls: ssl.SSLContext, ca_file: Path) -> None:
    async with post_office(starttls=server_tls, auth=True) as office:
        transport = SmtpTransport(
            "localhost", office.port, user="team", password=SecretStr(PASSWORD), timeout=5, ca_file=ca_file
        )
        await transport.send(message(), (ANN,), "k")

    assert (len(office.letters), office.login) == (1, "team")


async def test_tls_from_the_first_byte(server_tls: ssl.SSLContext, ca_file: Path) -> None:
    async with post_office(tls=server_tls) as office:
        transport = SmtpTransport("localhost", office.port, security=Security.TLS, timeout=5, ca_file=ca_file)
        await transport.send(message(), (ANN,), "k")

    assert len(office.letters) == 1


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
async def test_a_certificate_nobody_vouches_for_is_refused(server_tls: ssl.SSLContext, security: Security) -> None:
    tls = {security: server_tls}
    async with post_office(tls=tls.get(Security.TLS), starttls=tls.get(Security.STARTTLS)) as office:
        transport = SmtpTransport("localhost", office.port, security=security, timeout=5)
        with pytest.raises(DeliveryError, match=r"(?i)certificate"):
            await transport.send(message(), (ANN,), "k")

    assert office.letters == []


async def test_a_certificate_of_another_host_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    async with post_office(starttls=context) as office:
        transport = SmtpTransport("localhost", office.port, timeout=5, ca_file=ca_file)
        with pytest.raises(DeliveryError, match=r"(?i)hostname|certificate"):
            await transport.send(message(), (ANN,), "k")

    assert office.letters == []


@pytest.mark.parametrize("user", [None, "team"])
async def test_a_server_without_starttls_gets_neither_password_nor_mail(office: PostOffice, user: str | None) -> None:
    transport = SmtpTransport("127.0.0.1", office.port, user=user, password=SecretStr(PASSWORD), timeout=5)

    with pytest.raises(DeliveryError, match="STARTTLS extension not supported"):
        await transport.send(message(), (ANN,), "k")

    assert (office.letters, office.login) == ([], "")


async def test_a_wrong_password_is_worth_a_retry_and_is_not_shown(
    server_tls: ssl.SSLContext, ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with post_office(starttls=server_tls, auth=True) as office:
        transport = SmtpTransport(
            "localhost", office.port, user="team", password=SecretStr("canary-7f3a"), timeout=5, ca_file=ca_file
        )
        with pytest.raises(DeliveryError, match="535") as caught:
            await transport.send(message(), (ANN,), "k")

    assert office.letters == []
    everything = f"{caught.value!r} {transport!r} {vars(transport)} {caplog.text}"
    assert "canary-7f3a" not in everything


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("550 5.7.1 Sender not allowed", Discard),
        ("553 5.1.8 Bad sender", Discard),
        ("530 5.7.0 Authentication required", DeliveryError),
        ("451 4.3.0 Try later", DeliveryError),
        ("421 4.3.2 Shutting down", DeliveryError),
    ],
)
async def test_a_refused_sender_is_final_for_5xx_but_not_for_a_missing_login(
    office: PostOffice, answer: str, error: type[Exception]
) -> None:
    office.to_mail = answer

    with pytest.raises(error, match=answer):
        await plain(office).send(message(), (ANN,), "k")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("554 5.6.0 Looks like spam", Discard),
        ("552 5.3.4 Too big", Discard),
        ("452 4.3.1 Disk full", DeliveryError),
        ("451 4.7.1 Greylisted", DeliveryError),
    ],
)
async def test_a_refused_mail_is_final_for_5xx_only(office: PostOffice, answer: str, error: type[Exception]) -> None:
    office.to_data = [answer]

    with pytest.raises(error, match=answer):
        await plain(office).send(message(), (ANN,), "k")

    assert office.letters == []


async def test_one_refused_recipient_does_not_keep_the_others_from_their_mail(office: PostOffice) -> None:
    office.to_rcpt = {BOB: "550 5.1.1 No such user", EVE: "450 4.2.1 Busy"}

    receipt = await plain(office).send(message(), (ANN, BOB, EVE), "k")

    assert office.letters[0].recipients == [ANN]
    assert receipt.accepted == (ANN,)
    assert [(one.address, one.code, one.permanent) for one in receipt.refused] == [(BOB, 550, True), (EVE, 450, False)]


async def test_without_any_recipient_nothing_is_handed_over(office: PostOffice) -> None:
    office.to_rcpt = {ANN: "550 5.1.1 No such user", BOB: "550 5.1.1 No such user"}

    receipt = await plain(office).send(message(), (ANN, BOB), "k")

    assert office.letters == []
    assert receipt.accepted == ()
    assert [one.text for one in receipt.refused] == ["5.1.1 No such user"] * 2


async def test_what_a_server_says_loses_its_controls_and_addresses_and_its_length(office: PostOffice) -> None:
    office.to_data = [f"554 \x1b[31mno\x07 mail for <{BOB}> {'x' * 300}"]

    with pytest.raises(Discard) as caught:
        await plain(office).send(message(), (ANN,), "k")

    assert "554 [31mno mail for <address> xxx" in caught.value.reason
    assert len(caught.value.reason) < 300
    assert caught.value.reason.isprintable()


async def test_a_silent_server_is_given_up_on(office: PostOffice) -> None:
    office.silent = True

    with pytest.raises(DeliveryError, match=r"(?i)timed out"):
        await plain(office, timeout=0.1).send(message(), (ANN,), "k")


@pytest.mark.parametrize("moment", ["RCPT", "DATA"])
async def test_a_dropped_connection_is_worth_a_retry(office: PostOffice, moment: str) -> None:
    office.hang_up_at = moment

    with pytest.raises(DeliveryError, match="failed"):
        await plain(office).send(message(), (ANN,), "k")


async def test_a_server_that_is_not_there_is_worth_a_retry(unused_tcp_port: int) -> None:
    transport = SmtpTransport("127.0.0.1", unused_tcp_port, security=Security.NONE, timeout=5)

    with pytest.raises(DeliveryError, match=f"127.0.0.1:{unused_tcp_port}"):
        await transport.send(message(), (ANN,), "k")


async def test_a_cancelled_run_hangs_up_at_once(office: PostOffice) -> None:
    office.silent = True
    sending = asyncio.create_task(plain(office, timeout=60).send(message(), (ANN,), "k"))
    async with asyncio.timeout(5):
        await office.arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await office.left.wait()


@pytest.mark.parametrize("answer", ["550 5.7.1 No", "421 4.3.2 Shutting down"])
async def test_a_failed_run_hangs_up_too(office: PostOffice, answer: str) -> None:
    office.to_mail = answer

    with pytest.raises((Discard, DeliveryError)):
        await plain(office).send(message(), (ANN,), "k")

    async with asyncio.timeout(5):
        await office.left.wait()


async def test_a_server_that_drops_the_goodbye_has_the_mail_all_the_same(office: PostOffice) -> None:
    office.hang_up_at = "QUIT"

    receipt = await plain(office).send(message(), (ANN,), "k")

    assert receipt.accepted == (ANN,)


async def test_authorities_that_cannot_be_read_show_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="authorities cannot be read"):
        SmtpTransport("localhost", 25, ca_file=tmp_path / "missing.pem")
