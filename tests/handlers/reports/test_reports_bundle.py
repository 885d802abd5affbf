"""The bundle in an application: names, payloads, attempts, and one report from a job to a mail."""

import json
from pathlib import Path

import pytest

from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError
from corral.handlers.email import SendEmail, preview
from corral.handlers.kit.database import Database
from corral.handlers.reports import (
    PAYLOADS,
    BusinessReport,
    Document,
    ReportPayload,
    ReportSettings,
    Request,
    TeamSource,
    bundle,
)
from corral.options import Exponential
from corral.signals import Discard
from corral.storage.port import Storage
from tests.handlers.desk import Desk

from .conftest import SECRET
from .samples import NOW, Postbox, document, now, team

WEEKLY = {"organizationId": "org-123", "reportType": "weekly", "recipientIds": ["user-1", "user-2"]}
PEOPLE = {"user-1": "Ann Lee <ann@example.org>", "user-2": "bo@example.org"}


async def people(ids: object) -> dict[str, str]:
    """Who is behind an id."""
    assert isinstance(ids, list)
    return {id: PEOPLE[id] for id in ids if id in PEOPLE}


async def sample(request: Request[ReportPayload]) -> Document:
    """A source that is a function."""
    return document()


def settings(**values: object) -> ReportSettings:
    return ReportSettings.load(reports_formats="html,csv", **values)


def linked() -> ReportSettings:
    return settings(reports_url="https://example.org/reports", reports_secret=SECRET)


async def progress_of(store: Storage, queue: str, id: str) -> object:
    (job,) = await store.get(queue, [id])
    assert job is not None
    return json.loads(job.progress or "null")


@pytest.mark.mission("M-TS-04", "M-TS-40")
async def test_a_weekly_report_is_made_kept_and_mailed_to_each_reader(memory: Storage, sqlite: Database) -> None:
    post = Postbox()
    made = bundle(
        {"weekly-report": TeamSource(team)}, database=sqlite, settings=linked(), send=post, addresses=people, clock=now,
        queue="generate-report",
    )  # fmt: skip
    desk = Desk.of(memory, made)
    ctx = await desk.begin(WEEKLY, "weekly-report")

    result = await desk.run(ctx)

    assert (result["title"], result["period"], result["mails"]) == ("Weekly team report", "29 Sep – 5 Oct 2025", 2)
    assert [(one["format"], one["filename"]) for one in result["documents"]] == [
        ("html", "weekly-report-20250929-20251005.html"),
        ("csv", "weekly-report-20250929-20251005.csv"),
    ]
    assert [mail.to for mail in post.sent] == [("Ann Lee <ann@example.org>",), ("bo@example.org",)]
    assert post.sent[0].subject == "Weekly team report – Rowing: 29 Sep – 5 Oct 2025"
    assert str(post.sent[0].data["reportUrl"]).startswith(
        f"https://example.org/reports/{result['documents'][0]['id']}?"
    )
    assert await progress_of(memory, "generate-report", ctx.id) == 100


@pytest.mark.mission("M-BI-17")
async def test_a_business_report_goes_to_the_addresses_in_the_job(memory: Storage, sqlite: Database) -> None:
    post = Postbox()
    made = bundle({"__default__": sample}, database=sqlite, settings=settings(), send=post, clock=now,
                  payloads={"__default__": BusinessReport})  # fmt: skip
    payload = {
        "reportId": "report-123", "organizationId": "456", "reportType": "weekly", "period": "7d",
        "recipientEmails": ["user@example.com", "USER@example.com"],
    }  # fmt: skip

    result = await Desk.of(memory, made).send(payload, "__default__")

    assert (result["reportId"], result["mails"]) == ("report-123", 1)
    assert post.sent[0].to == ("USER@example.com",)


async def test_without_links_the_report_itself_is_attached(memory: Storage, sqlite: Database) -> None:
    post = Postbox()
    made = bundle(
        {"weekly-report": sample}, database=sqlite, settings=settings(), send=post, addresses=people, clock=now
    )

    await Desk.of(memory, made).send(WEEKLY, "weekly-report")

    (file,) = post.sent[0].attachments
    assert (file.filename, file.content_type) == ("weekly-report-20250929-20251005.html", "text/html")
    assert file.content.startswith(b"<!doctype html>")
    assert "reportUrl" not in post.sent[0].data


async def test_what_is_too_large_for_a_mail_is_not_attached_and_the_mail_says_so(
    memory: Storage, sqlite: Database
) -> None:
    post = Postbox()
    made = bundle({"weekly-report": sample}, database=sqlite, settings=settings(reports_attach_bytes=10), send=post,
                  addresses=people, clock=now)  # fmt: skip

    await Desk.of(memory, made).send(WEEKLY, "weekly-report")

    assert post.sent[0].attachments == ()
    assert "too large for a mail" in str(post.sent[0].data["summary"])


@pytest.mark.mission("M-BI-18")
@pytest.mark.parametrize("template", ["report-delivery", "report"])
async def test_the_mail_fills_the_templates_for_reports(memory: Storage, sqlite: Database, template: str) -> None:
    post = Postbox()
    made = bundle(
        {"weekly-report": sample}, database=sqlite, settings=settings(), send=post, addresses=people, clock=now,
        template=template,
    )  # fmt: skip
    await Desk.of(memory, made).send(WEEKLY, "weekly-report")
    mail = post.sent[0]

    html, text = preview(mail.template, mail.data)

    assert mail.template == template
    assert "+12% from 75" in text
    assert "&lt;script&gt;" in html
    SendEmail.model_validate(
        {"to": list(mail.to), "subject": mail.subject, "template": mail.template, "data": dict(mail.data)}
    )


async def test_the_mail_says_for_whom_the_report_is_and_what_is_attached(memory: Storage, sqlite: Database) -> None:
    post = Postbox()
    made = bundle(
        {"weekly-report": sample}, database=sqlite, settings=settings(), send=post, addresses=people, clock=now
    )
    await Desk.of(memory, made).send(WEEKLY, "weekly-report")

    text = preview("report-delivery", post.sent[0].data)[1]

    assert "Weekly report for Rowing & Co <b>" in text
    assert "weekly-report-20250929-20251005.html" in text
    assert "2025-10-09" in text


async def test_a_second_run_answers_what_the_first_one_did_and_mails_nobody_again(
    memory: Storage, sqlite: Database
) -> None:
    post = Postbox()
    made = bundle(
        {"weekly-report": sample}, database=sqlite, settings=settings(), send=post, addresses=people, clock=now
    )
    desk = Desk.of(memory, made)
    ctx = await desk.begin(WEEKLY, "weekly-report")
    first = await desk.run(ctx)

    second = await desk.run(await desk.recover(ctx))

    assert second == {**first, "alreadyMade": True}
    assert post.calls == 2


async def test_a_worker_that_died_between_keeping_and_noting_leaves_one_set_of_documents_and_of_mails(
    memory: Storage, sqlite: Database, tmp_path: Path
) -> None:
    post = Postbox()
    made = bundle(
        {"weekly-report": sample}, database=sqlite, settings=settings(), send=post, addresses=people, clock=now
    )
    desk = Desk.of(memory, made)
    ctx = await desk.begin(WEEKLY, "weekly-report")
    first = await desk.run(ctx)
    again = await desk.recover(ctx)
    await again.note("report", '{"documents": [{"id": "gone"}]}')  # as good as none

    second = await desk.run(again)

    assert "alreadyMade" not in second
    assert second["documents"] == first["documents"]
    assert (post.calls, len(post.mails)) == (4, 2)
    assert len([path for path in tmp_path.rglob("*") if path.suffix in (".html", ".csv")]) == 2


async def test_when_nobody_of_the_readers_is_known_the_job_fails_at_once(memory: Storage, sqlite: Database) -> None:
    made = bundle({"weekly-report": sample}, database=sqlite, settings=settings(), addresses=people, clock=now)

    with pytest.raises(Discard, match="nobody has one of the ids user-9"):
        await Desk.of(memory, made).send({**WEEKLY, "recipientIds": ["user-9"]}, "weekly-report")


async def test_readers_who_are_not_known_are_named_and_the_others_get_their_mail(
    memory: Storage, sqlite: Database
) -> None:
    post = Postbox()
    made = bundle(
        {"weekly-report": sample}, database=sqlite, settings=settings(), send=post, addresses=people, clock=now
    )

    result = await Desk.of(memory, made).send({**WEEKLY, "recipientIds": ["user-9", "user-2"]}, "weekly-report")

    assert (result["mails"], result["unknownRecipients"]) == (1, ["user-9"])


@pytest.mark.mission("M-GL-20", "M-GL-46")
async def test_whoever_asked_for_a_report_gets_it_when_nobody_else_is_named(memory: Storage, sqlite: Database) -> None:
    post = Postbox()
    made = bundle(
        {"pipeline-report": sample}, database=sqlite, settings=settings(), send=post, addresses=people, clock=now
    )
    payload = {"pipelineId": "p-1", "startDate": "2025-10-01", "endDate": "2025-10-23", "userId": "user-1"}

    result = await Desk.of(memory, made).send(payload, "pipeline-report")

    assert [mail.to for mail in post.sent] == [("Ann Lee <ann@example.org>",)]
    assert result["documents"][0]["filename"] == "pipeline-report-20251001-20251023.html"


async def test_an_organization_that_nobody_knows_fails_the_job_at_once(memory: Storage, sqlite: Database) -> None:
    made = bundle({"weekly-report": TeamSource(team)}, database=sqlite, settings=settings(), clock=now)

    with pytest.raises(Discard, match="there is no organization 'org-9'"):
        await Desk.of(memory, made).send({**WEEKLY, "organizationId": "org-9"}, "weekly-report")


async def test_a_job_may_ask_for_its_own_formats_and_title(memory: Storage, sqlite: Database) -> None:
    made = bundle({"weekly-report": sample}, database=sqlite, settings=settings(), clock=now)

    result = await Desk.of(memory, made).send({**WEEKLY, "formats": ["json", "csv"], "title": "Mine"}, "weekly-report")

    assert ([one["format"] for one in result["documents"]], result["title"]) == (["json", "csv"], "Mine")


@pytest.mark.mission("M-GL-25")
async def test_a_report_that_took_longer_than_expected_says_so(
    memory: Storage, sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    times = iter((NOW, *[NOW + 31_000] * 20))
    made = bundle({"pipeline-report": sample}, database=sqlite, settings=settings(), clock=lambda: next(times))

    result = await Desk.of(memory, made).send({"pipelineId": "p-1"}, "pipeline-report")

    assert (result["seconds"], result["expectedSeconds"], result["slow"]) == (31.0, 30, True)
    assert "took 31.0 s, more than the expected 30 s" in caplog.text


@pytest.mark.mission("M-GL-20", "M-GL-21", "M-GL-22", "M-GL-23", "M-GL-24")
def test_the_names_and_queue_are_the_guides_when_they_are_asked_for() -> None:
    names = ("pipeline-report", "test-coverage", "security-scan", "analytics", "audit-log")
    made = bundle(dict.fromkeys(names, sample), database=Database(), settings=settings(), queue="report")

    assert (made.queue, [one.name for one in made]) == ("report", [*names, "expired-reports"])
    for one in made:
        options = one.handler.options
        assert (options.attempts, options.backoff, options.timeout_ms) == (3, Exponential(2), 300_000)


def test_an_application_takes_it_in_and_refuses_bad_payloads_when_they_are_added() -> None:
    app = Corral("sqlite:///:memory:")
    queue = app.include(bundle({"weekly-report": sample}, database=Database(), settings=settings()), concurrency=2)

    with pytest.raises(PayloadError, match="reportType") as caught:
        queue.definition("weekly-report").new({"organizationId": "", "reportType": "yearly", "recipientIds": []})
    assert "organizationId" in str(caught.value)


def test_a_name_without_a_payload_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="report 'weekly-reports' needs an entry in payloads; did you mean 'weekly-report'"
    ):
        bundle({"weekly-reports": sample}, database=Database(), settings=settings())


def test_without_a_database_or_a_shelf_there_is_nowhere_to_keep_reports() -> None:
    with pytest.raises(ConfigError, match="reports need a database"):
        bundle({"weekly-report": sample}, settings=settings())


def test_every_known_name_has_a_payload_that_reads_its_own_json() -> None:
    assert all(issubclass(model, ReportPayload) for model in PAYLOADS.values())


async def test_expired_documents_are_removed_by_a_job_of_their_own(
    memory: Storage, sqlite: Database, tmp_path: Path
) -> None:
    time = [NOW]
    made = bundle({"weekly-report": sample}, database=sqlite, settings=settings(), clock=lambda: time[0])
    desk = Desk.of(memory, made)
    await desk.send(WEEKLY, "weekly-report")
    time[0] += 31 * 86_400_000

    dry = await desk.send({"dryRun": True}, "expired-reports")
    real = await desk.run(await desk.begin({}, "expired-reports"))

    assert (dry.documents, real.documents, real.orphans) == (2, 2, 0)  # type: ignore[attr-defined]  # before it is JSON
    assert [path for path in (tmp_path / "reports").rglob("*") if path.is_file()] == []
