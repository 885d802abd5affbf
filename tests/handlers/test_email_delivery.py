"""One job, one mail: what the handler does in real jobs, over all their attempts."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer

from corral.errors import PayloadError, StorageUnavailableError
from corral.handlers.email import (
    DeliveryError,
    DryRunTransport,
    EmailSettings,
    Message,
    Receipt,
    ResendTransport,
    SendEmail,
    SmtpTransport,
    bundle,
)
from corral.handlers.email.mailer import Mailer
from corral.handlers.email.settings import Security
from corral.handlers.email.templates import built_in
from corral.signals import Discard
from corral.storage.port import Storage
from corral.worker.context import JobContext

from .desk import Desk
from .post_office import PostOffice
from .test_email_payload import VECTORS

ANN, BOB, EVE = "ann@example.org", "bob@example.org", "eve@example.org"
WELCOME: Mapping[str, object] = {"to": ANN, "subject": "Hello", "template": "welcome", "data": {"name": "Ann"}}
FROM_US = EmailSettings(email_from="TeamSpark <noreply@example.com>")


@pytest.fixture
def smtp(office: PostOffice) -> SmtpTransport:
    return SmtpTransport("127.0.0.1", office.port, security=Security.NONE, timeout=5)


@pytest.fixture
def desk(memory: Storage, smtp: SmtpTransport) -> Desk:
    return Desk.of(memory, bundle(FROM_US, transport=smtp))


async def test_a_job_becomes_a_mail(desk: Desk, office: PostOffice) -> None:
    result = await desk.send({**WELCOME, "cc": [BOB], "bcc": EVE, "reply_to": "help@example.org"})

    (letter,) = office.letters
    assert (letter.sender, letter.recipients) == ("noreply@example.com", [ANN, BOB, EVE])
    mail = letter.message
    assert (mail["From"], mail["To"], mail["Cc"], mail["Bcc"]) == ("TeamSpark <noreply@example.com>", ANN, BOB, None)
    assert (mail["Reply-To"], mail["Subject"]) == ("help@example.org", "Hello")
    assert "Welcome, Ann" in letter.text
    assert result == {
        "messageId": mail["Message-ID"], "accepted": [ANN, BOB, EVE], "rejected": [],
        "response": "250 2.0.0 Queued as 4F2A",
    }  # fmt: skip


async def test_the_date_is_that_of_sending(memory: Storage, smtp: SmtpTransport, office: PostOffice) -> None:
    await Desk.of(memory, bundle(FROM_US, transport=smtp, clock=lambda: 1_700_000_000_000)).send(WELCOME)

    assert office.letters[0].message["Date"].datetime.timestamp() == 1_700_000_000


async def test_a_text_of_ones_own_replaces_the_templates(desk: Desk, office: PostOffice) -> None:
    await desk.send({**WELCOME, "text": "By hand: {{ name }}"})

    assert office.letters[0].text == "By hand: {{ name }}\n"


@pytest.mark.mission("M-TS-33", "M-TS-34")
async def test_m_ts_33_and_34_the_log_lines_are_the_guides(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="corral.handlers.email")

    await desk.send({**WELCOME, "bcc": EVE})

    lines = [record for record in caplog.records if record.name == "corral.handlers.email"]
    assert [(record.levelname, record.getMessage()) for record in lines] == [
        ("INFO", "Processing email job"),
        ("INFO", "Email sent successfully"),
    ]
    assert [(vars(record).get("jobId"), vars(record).get("to")) for record in lines] == [("1", ANN), ("1", None)]


async def test_logs_name_nobody_but_the_first_recipient_and_show_no_content(
    desk: Desk, office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    office.to_rcpt = {EVE: f"550 5.1.1 <{EVE}> unknown"}

    await desk.send(
        {**WELCOME, "to": [f"Canary <{ANN}>", BOB], "bcc": EVE, "data": {"name": "canary-name"}, "text": "canary-text"}
    )

    ours = [record for record in caplog.records if record.name.startswith("corral")]
    everything = " ".join(f"{record.getMessage()} {vars(record)}" for record in ours)
    assert f"{ANN} +1" in everything
    assert not [word for word in (BOB, EVE, "canary") if word in everything.lower()]


# -- M-TS-47: once -----------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-47", "M-AI-55")
async def test_m_ts_47_an_attempt_after_a_sent_mail_sends_nothing(desk: Desk, office: PostOffice) -> None:
    ctx = await desk.begin(WELCOME)
    first = await desk.run(ctx)

    second = await desk.run(await desk.recover(ctx))

    assert second == {"alreadySent": True, "messageId": first["messageId"]}
    assert len(office.letters) == 1


async def test_a_note_left_by_hand_counts_too(desk: Desk, office: PostOffice) -> None:
    ctx = await desk.begin(WELCOME)
    await ctx.note("sent", "<by-hand@example.org>")

    assert await desk.run(ctx) == {"alreadySent": True, "messageId": "<by-hand@example.org>"}
    assert office.letters == []


async def test_an_id_that_comes_again_after_its_job_was_removed_is_another_mail(desk: Desk, office: PostOffice) -> None:
    ctx = await desk.begin(WELCOME, id="weekly-ann")
    await desk.complete(ctx, await desk.run(ctx))
    await desk.remove(ctx)

    again = await desk.run(await desk.begin(WELCOME, id="weekly-ann"))

    assert "alreadySent" not in again
    assert len({letter.message["Message-ID"] for letter in office.letters}) == 2


async def test_a_failed_attempt_leaves_no_note_and_the_next_one_sends(desk: Desk, office: PostOffice) -> None:
    office.to_data = ["451 4.3.0 Try later"]
    ctx = await desk.begin(WELCOME)
    with pytest.raises(DeliveryError):
        await desk.run(ctx)

    result = await desk.run(await desk.retry(ctx))

    assert result["accepted"] == [ANN]
    assert len(office.letters) == 1


async def test_every_attempt_has_the_same_message_id(desk: Desk, office: PostOffice) -> None:
    """A server took the mail but the answer was lost: those who get it twice can see that it is one."""
    office.hang_up_at = "DATA"
    ctx = await desk.begin(WELCOME)
    with pytest.raises(DeliveryError):
        await desk.run(ctx)
    office.hang_up_at = ""

    await desk.run(await desk.retry(ctx))

    assert [letter.message["Message-ID"] for letter in office.letters[1:]] == [office.letters[0].message["Message-ID"]]


async def test_a_repeated_dry_run_leaves_one_file(memory: Storage, tmp_path: Path) -> None:
    desk = Desk.of(memory, bundle(FROM_US, transport=DryRunTransport(tmp_path / "out")))
    ctx = await desk.begin(WELCOME)
    await desk.run(ctx)
    await ctx.note("sent", "", keep=0)  # as if the worker had died before its note

    await desk.run(await desk.recover(ctx))

    assert len(list((tmp_path / "out").iterdir())) == 1


async def test_a_repeated_request_to_resend_has_the_same_key(memory: Storage, httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/emails").respond_with_json({}, status=500)
    httpserver.expect_request("/emails").respond_with_json({"id": "49a3"})
    transport = ResendTransport(SecretStr("re_1"), url=httpserver.url_for("/"), timeout=5)
    desk = Desk.of(memory, bundle(FROM_US, transport=transport))
    ctx = await desk.begin(WELCOME)
    with pytest.raises(DeliveryError):
        await desk.run(ctx)

    result = await desk.run(await desk.retry(ctx))

    first, second = (request for request, _ in httpserver.log)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.get_data() == second.get_data()
    assert result["messageId"] == "49a3"


class Forgetful(JobContext):
    """A context whose store goes away after the mail is out."""

    async def note(self, key: str, value: str, *, keep: object = None) -> None:
        raise StorageUnavailableError("gone")


async def test_a_sent_mail_that_cannot_be_noted_is_a_success_all_the_same(
    desk: Desk, memory: Storage, office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    ctx = await desk.begin(WELCOME)

    result = await desk.run(Forgetful(ctx.job, 3, memory, ctx._token))

    assert result["accepted"] == [ANN]
    assert "was sent but could not be noted" in caplog.text


# -- some recipients ---------------------------------------------------------------------------------------------------


async def test_a_recipient_refused_for_good_is_listed_and_the_job_is_done(desk: Desk, office: PostOffice) -> None:
    office.to_rcpt = {BOB: f"550 5.1.1 <{BOB}> unknown"}

    result = await desk.send({**WELCOME, "to": [ANN, BOB]})

    assert result["accepted"] == [ANN]
    assert result["rejected"] == [{"to": BOB, "code": 550, "text": "5.1.1 <address> unknown"}]


async def test_only_those_who_were_put_off_get_a_second_attempt(desk: Desk, office: PostOffice) -> None:
    office.to_rcpt = {BOB: "450 4.2.1 Busy", EVE: "550 5.1.1 Unknown"}
    ctx = await desk.begin({**WELCOME, "to": [ANN, BOB, EVE]})
    with pytest.raises(DeliveryError, match=r"1 of 3 recipients put off by the server, the first with 450 4\.2\.1"):
        await desk.run(ctx)
    office.to_rcpt = {}

    result = await desk.run(await desk.retry(ctx))

    assert [letter.recipients for letter in office.letters] == [[ANN], [BOB]]
    assert result["accepted"] == [ANN, BOB]
    assert result["rejected"] == [{"to": EVE, "code": 550, "text": "5.1.1 Unknown"}]


async def test_one_put_off_alone_leaves_the_others_alone_until_the_last_attempt(desk: Desk, office: PostOffice) -> None:
    office.to_rcpt = {BOB: "450 4.2.1 Busy"}
    ctx = await desk.begin({**WELCOME, "to": [ANN, BOB]})
    for _ in range(2):
        with pytest.raises(DeliveryError):
            await desk.run(ctx)
        ctx = await desk.retry(ctx)
    office.to_rcpt = {BOB: "550 5.2.1 Closed"}

    result = await desk.run(ctx)

    assert [letter.recipients for letter in office.letters] == [[ANN]]
    assert (result["accepted"], [one["to"] for one in result["rejected"]]) == ([ANN], [BOB])


async def test_with_every_recipient_refused_for_good_the_job_is_discarded(desk: Desk, office: PostOffice) -> None:
    office.to_rcpt = {ANN: f"550 5.1.1 <{ANN}>: unknown", BOB: "551 5.1.1 Moved"}

    with pytest.raises(Discard) as caught:
        await desk.send({**WELCOME, "to": [ANN, BOB]})

    assert caught.value.reason == (
        "2 of 2 recipients refused by the server, the first with 550 5.1.1 <address>: unknown"
    )


async def test_refusals_of_all_attempts_count_when_nobody_is_left(desk: Desk, office: PostOffice) -> None:
    office.to_rcpt = {ANN: "550 5.1.1 Unknown", BOB: "450 4.2.1 Busy"}
    ctx = await desk.begin({**WELCOME, "to": [ANN, BOB]})
    with pytest.raises(DeliveryError):
        await desk.run(ctx)
    office.to_rcpt = {BOB: "551 5.1.6 Moved"}

    with pytest.raises(Discard, match=r"2 of 2 recipients refused by the server, the first with 550 5\.1\.1 Unknown"):
        await desk.run(await desk.retry(ctx))

    assert office.letters == []


# -- what can never be sent --------------------------------------------------------------------------------------------


async def test_a_missing_variable_fails_for_good_and_is_named(desk: Desk, office: PostOffice) -> None:
    with pytest.raises(PayloadError, match="template 'welcome' cannot be filled: 'name' is undefined"):
        await desk.send({**WELCOME, "data": {}})

    assert office.letters == []


async def test_what_another_program_put_into_the_store_is_checked_again(desk: Desk, office: PostOffice) -> None:
    handler = desk.definitions["send-email"].handler

    for text in ('{"to":"ann@example.org\\r\\nRCPT TO:<eve@example.org>"}', '{"template":"../x"}', "[]", "7", "{"):
        with pytest.raises(PayloadError):
            handler.payload.decode(text)


@pytest.mark.parametrize(("field", "text"), VECTORS)
async def test_s_40_a_vector_that_got_past_the_payload_reaches_no_server(
    memory: Storage, smtp: SmtpTransport, office: PostOffice, field: str, text: str
) -> None:
    desk = Desk.of(memory, bundle(FROM_US, transport=smtp))
    mailer = Mailer(FROM_US, smtp, built_in())
    ctx = await desk.begin(WELCOME)
    unchecked = SendEmail.model_construct(**{**WELCOME, field: text})  # type: ignore[arg-type]  # on purpose

    with pytest.raises(PayloadError, match=r"U\+"):
        await mailer.deliver(ctx, unchecked)

    assert office.connections == 0


@pytest.mark.parametrize(
    "subject",
    [
        "=?utf-8?q?Hello=0D=0ABcc:_eve=40example.org?=",
        "Hello%0d%0aBcc: eve@example.org",
        r"Hello\r\nBcc: eve@example.org",
        "Hello Bcc: eve@example.org",
        "Bcc: eve@example.org",
        "RCPT TO:<eve@example.org>",
        ".",
        "..",
        "QUIT",
        "DATA",
    ],
)
async def test_s_40_what_only_looks_like_a_header_is_one_mail_to_the_right_people(
    desk: Desk, office: PostOffice, subject: str
) -> None:
    to = '"{}" <{}>'.format(subject.replace("\\", ""), ANN)

    await desk.send({**WELCOME, "to": to, "subject": subject, "text": f"\n{subject}\n.\nQUIT\n"})

    (letter,) = office.letters
    assert letter.recipients == [ANN]
    assert letter.message["Subject"].strip() == subject.strip()
    assert letter.message["Bcc"] is None
    assert letter.text == f"\n{subject}\n.\nQUIT\n"


# -- a transport of one's own ------------------------------------------------------------------------------------------


class Pigeons:
    """The least a transport must be."""

    def __init__(self) -> None:
        self.flown: list[tuple[str, tuple[str, ...], str]] = []

    async def send(self, message: Message, recipients: tuple[str, ...], key: str) -> Receipt:
        self.flown.append((message.subject, recipients, key))
        return Receipt("pigeon no 1", recipients)


async def test_anything_with_a_send_method_is_a_transport(memory: Storage) -> None:
    pigeons = Pigeons()
    desk = Desk.of(memory, bundle(FROM_US, transport=pigeons))
    ctx = await desk.begin(WELCOME)

    result = await desk.run(ctx)
    again = await desk.run(await desk.recover(ctx))

    assert [(subject, recipients) for subject, recipients, _ in pigeons.flown] == [("Hello", (ANN,))]
    assert result == {"messageId": "pigeon no 1", "accepted": [ANN], "rejected": []}
    assert again == {"messageId": "pigeon no 1", "alreadySent": True}
