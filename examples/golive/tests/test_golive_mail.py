"""The mails: their kinds, what each carries, and that they really leave."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from corral import PayloadError
from corral.handlers.email import EmailSettings
from corral.testing import drain
from examples.golive import processors
from examples.golive.build import Platform, make_platform
from examples.golive.payloads import EMAIL_PRIORITIES, EmailJobType
from examples.golive.queues import JobPriority, QueueName
from examples.golive.settings import Settings
from tests.handlers.post_office import post_office

from .conftest import PATIENCE, mails, text_of

CONTEXTS: Mapping[EmailJobType, Mapping[str, object]] = {
    EmailJobType.WELCOME: {"username": "John Doe", "dashboardUrl": "https://app.golive.dev/dashboard"},
    EmailJobType.PASSWORD_RESET: {"username": "John Doe", "resetUrl": "https://app.golive.dev/reset?t=1"},
    EmailJobType.PIPELINE_COMPLETE: {
        "pipelineName": "Production Deploy",
        "projectName": "My App",
        "status": "SUCCESS",
        "duration": "5m 23s",
        "triggeredBy": "John Doe",
        "pipelineUrl": "https://app.golive.dev/pipelines/123",
    },
    EmailJobType.TEST_RESULTS: {"projectName": "My App", "suiteName": "unit", "passed": 118, "failed": 2},
    EmailJobType.DEPLOYMENT_NOTIFICATION: {
        "projectName": "My App",
        "environment": "production",
        "version": "2.1",
        "status": "SUCCESS",
    },
    EmailJobType.ALERT: {"message": "The disk of build-3 is full.", "severity": "critical"},
}
PRIORITIES = [
    pytest.param(EmailJobType.WELCOME, JobPriority.NORMAL, marks=pytest.mark.mission("M-GL-11")),
    pytest.param(EmailJobType.PASSWORD_RESET, JobPriority.HIGH, marks=pytest.mark.mission("M-GL-12")),
    pytest.param(EmailJobType.PIPELINE_COMPLETE, JobPriority.NORMAL, marks=pytest.mark.mission("M-GL-13")),
    pytest.param(EmailJobType.TEST_RESULTS, JobPriority.NORMAL, marks=pytest.mark.mission("M-GL-14")),
    pytest.param(EmailJobType.DEPLOYMENT_NOTIFICATION, JobPriority.HIGH, marks=pytest.mark.mission("M-GL-15")),
    pytest.param(EmailJobType.ALERT, JobPriority.CRITICAL, marks=pytest.mark.mission("M-GL-16")),
]


@pytest.mark.parametrize(("kind", "priority"), PRIORITIES)
async def test_each_kind_of_mail_has_its_priority_and_is_sent(
    golive: Platform, tmp_path: Path, kind: EmailJobType, priority: JobPriority
) -> None:
    handle = await golive.service.add_email_job(kind, {"to": "user@example.com", "context": CONTEXTS[kind]})
    job = await handle.queue.get(handle.id)

    done = await drain(golive.app)

    assert job.priority == priority == EMAIL_PRIORITIES[kind]
    assert (done.completed, done.reasons) == (1, ())
    [mail] = mails(tmp_path)
    assert mail["To"] == "user@example.com"
    assert mail["From"] == "GoLive <noreply@golive.dev>"
    assert mail.get_body(("html",)) is not None
    assert mail.get_body(("plain",)) is not None


@pytest.mark.mission("M-GL-17", "M-GL-31")
async def test_a_mail_goes_to_one_person_or_several(golive: Platform, tmp_path: Path) -> None:
    welcome = CONTEXTS[EmailJobType.WELCOME]
    await golive.service.add_email_job(EmailJobType.WELCOME, {"to": "user@example.com", "context": welcome})
    await golive.service.add_email_job(
        EmailJobType.WELCOME,
        {"to": ["user@example.com", "admin@example.com"], "context": welcome},
        JobPriority.HIGH,
    )

    await drain(golive.app)

    assert sorted(str(mail["To"]) for mail in mails(tmp_path)) == [
        "user@example.com",
        "user@example.com, admin@example.com",
    ]
    assert all("John Doe" in text_of(mail) for mail in mails(tmp_path))
    assert all("https://app.golive.dev/dashboard" in text_of(mail) for mail in mails(tmp_path))


@pytest.mark.mission("M-GL-18")
async def test_a_mail_about_a_pipeline_tells_all_that_it_knows(golive: Platform, tmp_path: Path) -> None:
    context = CONTEXTS[EmailJobType.PIPELINE_COMPLETE]
    await golive.service.add_email_job(
        EmailJobType.PIPELINE_COMPLETE,
        {"to": ["user@example.com", "admin@example.com"], "context": context},
        JobPriority.HIGH,
    )

    await drain(golive.app)

    [mail] = mails(tmp_path)
    assert mail["Subject"] == "Production Deploy: SUCCESS"
    for kind in ("plain", "html"):
        said = text_of(mail, kind)
        assert [value for value in context.values() if str(value).lower() not in said.lower()] == []


@pytest.mark.mission("M-GL-19", "M-GL-34")
async def test_a_mail_in_words_of_ones_own(golive: Platform, tmp_path: Path) -> None:
    job = await golive.service.manager.add_job(
        QueueName.EMAIL,
        "custom-email",
        {"to": "user@example.com", "subject": "Custom Email", "body": "Hello World"},
        {"priority": 1, "attempts": 5},
    )

    await drain(golive.app)

    assert job.id
    assert job.opts["attempts"] == 5
    [mail] = mails(tmp_path)
    assert mail["Subject"] == "Custom Email"
    assert "Hello World" in text_of(mail)


@pytest.mark.mission("M-GL-31")
async def test_without_a_priority_a_mail_has_that_of_its_kind(golive: Platform) -> None:
    ordinary = await golive.service.add_email_job(
        EmailJobType.ALERT, {"to": "a@example.com", "context": {"message": "x"}}, JobPriority.LOW
    )
    critical = await golive.service.add_email_job(
        EmailJobType.ALERT, {"to": "a@example.com", "context": {"message": "x"}}
    )

    priorities = [(await handle.queue.get(handle.id)).priority for handle in (ordinary, critical)]
    assert priorities == [JobPriority.LOW, JobPriority.CRITICAL]


@pytest.mark.parametrize(
    ("kind", "data", "complaint"),
    [
        (EmailJobType.WELCOME, {"to": "nobody", "context": {"username": "J"}}, "to: "),
        (EmailJobType.WELCOME, {"to": [], "context": {"username": "J"}}, "at least one recipient"),
        (EmailJobType.WELCOME, {"to": "a@example.com"}, "lacks username or name"),
        (
            EmailJobType.PIPELINE_COMPLETE,
            {"to": "a@example.com", "context": {}},
            "lacks pipelineName, projectName, status",
        ),
        (EmailJobType.WELCOME, {"to": "a@example.com", "subject": "a\nb", "context": {"name": "J"}}, "U+000A"),
        (EmailJobType.WELCOME, {"to": "a@example.com", "cc": "b@example.com"}, "cc"),
    ],
)
async def test_what_cannot_become_a_mail_is_refused_when_it_is_added(
    golive: Platform, kind: EmailJobType, data: dict[str, object], complaint: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        await golive.service.add_email_job(kind, data)

    assert complaint in str(caught.value)


@pytest.mark.mission("M-GL-45", "M-GL-80")
async def test_mails_leave_over_smtp_five_at_once(
    platform_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with post_office() as office:
        office.silent = True  # until the gate opens, nobody hears that his mail was taken
        for name, value in (("HOST", "127.0.0.1"), ("PORT", str(office.port)), ("FROM", "noreply@golive.dev")):
            monkeypatch.setenv(f"SMTP_{name}", value)
        platform = make_platform(Settings(url=platform_url, golive_home=tmp_path / "home"))
        async with platform.app, await platform.app.worker():
            payload = {"to": "user@example.com", "context": {"username": "John"}}
            handles = [await platform.service.add_email_job(EmailJobType.WELCOME, payload) for _ in range(12)]
            async with asyncio.timeout(PATIENCE):
                while len(office.letters) < 5:  # noqa: ASYNC110  # the server has an event for the first mail only
                    await asyncio.sleep(0.01)
            stats = await platform.service.manager.get_queue_stats(QueueName.EMAIL)
            at_once = len(office.letters)
            office.gate.set()
            for handle in handles:
                await handle.result(timeout=PATIENCE)

    assert (at_once, stats["active"], stats["waiting"]) == (5, 5, 7)
    assert len(office.letters) == 12
    assert {letter.sender for letter in office.letters} == {"noreply@golive.dev"}
    assert "John" in office.letters[0].text
    assert office.letters[0].message.get_body(("html",)) is not None


@pytest.mark.mission("M-GL-80")
def test_the_smtp_variables_are_the_guides(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "HOST": "smtp.gmail.com", "PORT": "587", "SECURE": "false", "USER": "your-email@gmail.com",
        "PASSWORD": "your-app-password", "FROM": "noreply@golive.dev",
    }  # fmt: skip
    for name, value in said.items():
        monkeypatch.setenv(f"SMTP_{name}", value)

    settings = EmailSettings()

    assert (settings.smtp_host, settings.port, settings.security) == ("smtp.gmail.com", 587, "starttls")
    assert (settings.smtp_user, settings.email_from) == ("your-email@gmail.com", "noreply@golive.dev")
    assert settings.smtp_password is not None
    assert settings.smtp_password.get_secret_value() == "your-app-password"
    assert "your-app-password" not in repr(settings)


@pytest.mark.mission("M-GL-45")
def test_initializing_the_processor_again_changes_nothing(golive: Platform) -> None:
    before = list(golive.app.queues[QueueName.EMAIL].definitions)

    queue = processors.initialize_email_processor(golive.app)

    assert list(queue.definitions) == before
    assert set(EmailJobType) <= set(before)
    assert queue.concurrency == 5
