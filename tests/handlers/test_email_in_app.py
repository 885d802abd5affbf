"""The e-mail jobs in an application, run by a real worker against a real SMTP server."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from corral.app.app import Corral
from corral.handlers.email import EmailSettings, Security, SmtpTransport, bundle
from corral.options import Exponential, RateLimit
from corral.testing import FakeClock, app_in_memory, drain

from .post_office import PostOffice

WELCOME = {"to": "user@example.com", "subject": "Welcome!", "template": "welcome", "data": {"name": "John"}}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.fixture
async def app(office: PostOffice, clock: FakeClock) -> AsyncIterator[Corral]:
    transport = SmtpTransport("127.0.0.1", office.port, security=Security.NONE, timeout=5)
    ours = Corral("sqlite:///unused.db", name="teamspark")
    ours.include(
        bundle(EmailSettings(email_from="noreply@example.com"), transport=transport),
        concurrency=5, rate_limit=RateLimit(10, per=1), backoff=Exponential(2, jitter=0),
    )  # fmt: skip
    async with app_in_memory(ours, clock=clock):
        yield ours


@pytest.mark.mission("M-AI-66")
async def test_a_server_that_is_busy_twice_gets_the_mail_at_the_third_attempt(app: Corral, office: PostOffice) -> None:
    office.to_data = ["451 4.3.0 Busy", "451 4.3.0 Busy"]
    await app.definition("send-email", "welcome-email").add(WELCOME)

    done = await drain(app)

    assert (done.completed, done.retried, done.failed) == (1, 2, 0)
    assert len(office.letters) == 1


@pytest.mark.parametrize(
    ("answer", "data", "reason"),
    [
        ("554 5.6.0 Looks like spam", {"name": "John"}, "refused the mail: 554 5.6.0 Looks like spam"),
        ("250 2.0.0 OK", {}, "template 'welcome' cannot be filled: 'name' is undefined"),
    ],
)
async def test_what_cannot_be_sent_fails_at_its_first_attempt(
    app: Corral, office: PostOffice, answer: str, data: dict[str, str], reason: str
) -> None:
    office.to_data = [answer]
    await app.definition("send-email", "urgent").add({**WELCOME, "data": data})

    done = await drain(app)

    assert (done.completed, done.retried, done.failed) == (0, 0, 1)
    assert reason in done.reasons[0]


async def test_a_burst_leaves_at_ten_a_second(app: Corral, office: PostOffice, clock: FakeClock) -> None:
    people = [{**WELCOME, "to": f"user{number}@example.com"} for number in range(25)]
    await app.definition("send-email", "send-email").add_bulk(people)
    began = clock.now

    done = await drain(app)

    assert (done.completed, len(office.letters)) == (25, 25)
    assert (clock.now - began).total_seconds() >= 2


@pytest.mark.mission("M-TS-32", "M-TS-33", "M-TS-34")
async def test_m_ts_32_to_34_the_three_log_lines_of_a_mail(app: Corral, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job = await app.definition("send-email", "welcome-email").add(WELCOME)

    await drain(app)

    wanted = ("Job added to queue", "Processing email job", "Email sent successfully")
    lines = [record for record in caplog.records if record.getMessage() in wanted]
    assert [record.getMessage() for record in lines] == list(wanted)
    assert {vars(record)["jobId"] for record in lines} == {job.id}
    assert vars(lines[0])["queue"] == "send-email"
    assert vars(lines[1])["to"] == "user@example.com"
