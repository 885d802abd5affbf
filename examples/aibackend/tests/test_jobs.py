"""What the platform's jobs do."""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from pytest_httpserver import HTTPServer

from corral import Corral, Exponential, PayloadError
from corral.handlers.ai import (
    AiSettings,
    Completions,
    Embeddings,
    Model,
    ModelError,
    SqlConversations,
    Vectors,
)
from corral.handlers.kit.database import Database
from corral.testing import Recorded, app_in_memory, drain, run_job
from examples.aibackend.build import database_of, make_app
from examples.aibackend.jobs import AiTaskProcessor
from examples.aibackend.payloads import QueueName
from examples.aibackend.seed import PEOPLE, seed
from examples.aibackend.settings import Settings
from examples.aibackend.tables import tokens
from tests.handlers.ai.fake_openai import KEY, FakeOpenAi, refusing

from .conftest import ASKED, Parrot, Place, text_of

DAY = 86_400_000
TOKEN = "a-token-of-the-application"


@pytest.fixture
def openai() -> Iterator[FakeOpenAi]:
    with HTTPServer(threaded=True) as server:
        fake = FakeOpenAi(server)
        yield fake
        fake.released.set()


def asking(openai: FakeOpenAi, folder: Path, url: str) -> tuple[Corral, Database]:
    """The platform with a real server for its models."""
    settings = Settings(url=url, aibackend_home=folder)
    database = database_of(settings, url)
    ai = AiSettings.load(ai_url=openai.url, ai_api_key=KEY, ai_timeout=30)
    return make_app(settings, ai=ai, database=database), database


# -- ai-tasks ----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-05", "M-AI-15")
async def test_generate_completion_asks_the_model_with_the_conversation_and_keeps_the_answer(
    openai: FakeOpenAi, tmp_path: Path, platform_url: str
) -> None:
    app, database = asking(openai, tmp_path, platform_url)
    async with database, app_in_memory(app):
        completion = app.definition("ai-tasks", "generate-completion")
        await completion.add({**ASKED, "model": "gpt-4", "maxTokens": 1000, "temperature": 0.2})
        await drain(app)
        job = await completion.add({**ASKED, "message": "And now?", "model": "gpt-4"})
        await drain(app)
        assert await job.result() == {"conversationId": "c-1", "content": "You said: And now?", "tokens": 10}
    said = openai.asked[1]
    assert [message["content"] for message in said["messages"]] == ["Hello", "You said: Hello", "And now?"]
    assert (said["model"], said["max_tokens"], said["temperature"]) == ("gpt-4", 4096, 0.7)  # what a job has by itself
    first = openai.asked[0]
    assert (first["model"], first["max_tokens"], first["temperature"]) == ("gpt-4", 1000, 0.2)


@pytest.mark.mission("M-AI-06")
async def test_generate_embeddings_makes_texts_that_are_found_again(place: Place) -> None:
    data = {"texts": ["four", {"id": "long", "text": "a longer text"}], "model": "text-embedding-3-small"}
    job = await place.tasks.definition("generate-embeddings").add(data)
    await drain(place.app)
    result = await job.result()
    assert (result["stored"], result["dimensions"], result["ids"][1]) == (2, 2, "long")
    found = await Vectors(place.database).search("default", (1.0, 13.0), limit=1)
    assert [one.id for one in found] == ["long"]


@pytest.mark.mission("M-AI-22", "M-AI-52", "M-AI-19")
async def test_a_server_that_fails_twice_is_asked_again_after_five_and_ten_seconds(
    openai: FakeOpenAi, tmp_path: Path, platform_url: str
) -> None:
    app, database = asking(openai, tmp_path, platform_url)
    openai.plans = [refusing(500), openai.half_a_stream]
    async with database, app_in_memory(app):
        job = await app.definition("ai-tasks", "generate-completion").add(ASKED)
        drained = await drain(app)
        assert (drained.completed, drained.retried) == (1, 2)
        assert 14 < drained.seconds < 18
        assert (await job.get()).attempts_made == 3


@pytest.mark.mission("M-AI-14", "M-AI-27")
async def test_progress_is_10_30_80_and_100(place: Place) -> None:
    recorded = Recorded()
    await run_job(place.tasks.definition("generate-completion"), ASKED, recorded=recorded)
    assert recorded.progress == [10, 30, 80, 100]


@pytest.mark.mission("M-AI-12", "M-AI-59", "M-AI-61")
async def test_the_processor_is_tested_with_services_of_the_test_s_own_and_without_a_store(tmp_path: Path) -> None:
    model, settings, recorded = Parrot(), AiSettings.load(), Recorded()
    async with Database(f"sqlite:///{tmp_path / 'app.db'}") as database:
        completions = Completions(settings, model, SqlConversations(database))
        embeddings = Embeddings(settings, model, Vectors(database))
        processor = AiTaskProcessor(completions, embeddings, model, settings)
        assert (await processor.ask("anybody there?")).content == "You said: anybody there?"
        job = make_app(Settings(url="sqlite:///:memory:", aibackend_home=tmp_path)).definition(
            "ai-tasks", "generate-completion"
        )
        services: dict[type, object] = {
            Completions: completions, Embeddings: embeddings, Model: model, AiSettings: settings
        }  # fmt: skip
        result = await run_job(job, ASKED, id="test-job-id", recorded=recorded, services=services)
    assert result["content"] == "You said: Hello"
    assert recorded.progress[-1] == 100


@pytest.mark.mission("M-AI-16", "M-AI-03")
async def test_queues_have_the_handlers_of_the_classes_and_bundles_that_are_included(place: Place) -> None:
    assert {name: sorted(queue.definitions) for name, queue in place.app.queues.items()} == {
        "ai-tasks": ["batch-process", "generate-completion", "generate-embeddings"],
        "email": ["send-notification", "send-reset-password", "send-verification", "send-welcome"],
        "maintenance": [
            "cleanup", "daily-backup", "daily-report", "expired-tokens", "health-check", "sync", "verify-backups",
        ],
    }  # fmt: skip
    assert set(place.app.queues) == set(QueueName)


@pytest.mark.mission("M-AI-13", "M-AI-57")
async def test_the_life_of_a_job_is_in_the_log_with_the_stack_of_what_went_wrong(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place.model.trouble = [ModelError("a broken line")]
    job = await place.tasks.definition("generate-completion").add(ASKED)
    await drain(place.app)
    lines = [
        (one.levelname, one.getMessage()) for one in caplog.records if one.name in ("aibackend", "corral.handlers.ai")
    ]
    assert lines == [
        ("DEBUG", f"Starting job {job.id}"),
        ("DEBUG", f"Processing job {job.id}"),
        ("WARNING", f"Job {job.id} failed: a broken line (attempt 1 of 3)"),
        ("DEBUG", f"Starting job {job.id}"),
        ("DEBUG", f"Processing job {job.id}"),
        ("DEBUG", f"Job {job.id} completed"),
        ("DEBUG", f"Job {job.id} completed successfully"),
    ]
    [failed] = [one for one in caplog.records if one.name == "aibackend" and one.levelname == "WARNING"]
    assert "ModelError: a broken line" in str(failed.exc_text or failed.exc_info)
    assert "handle_completion" in "".join(caplog.text)


@pytest.mark.mission("M-AI-56")
async def test_a_batch_reports_each_percent_once_and_not_each_text(place: Place) -> None:
    recorded = Recorded()
    data = {"userId": "user-1", "items": [f"text {n}" for n in range(500)]}
    result = await run_job(place.tasks.definition("batch-process"), data, recorded=recorded)
    assert recorded.progress == list(range(1, 101))
    assert (len(result["answers"]), result["answers"][-1]) == (500, "You said: text 499")


async def test_a_batch_that_runs_again_asks_for_nothing_twice(place: Place) -> None:
    recorded = Recorded()
    data = {"userId": "user-1", "items": ["one", "two", "three"]}
    batch = place.tasks.definition("batch-process")
    place.model.trouble = []
    await run_job(batch, {**data, "items": ["one", "two"]}, recorded=recorded)
    result = await run_job(batch, data, recorded=recorded, attempt=2)
    assert result["answers"] == ["You said: one", "You said: two", "You said: three"]
    assert len(place.model.asked) == 3


@pytest.mark.mission("M-AI-58")
async def test_bad_data_is_refused_with_every_complaint_and_never_tried_again(place: Place) -> None:
    with pytest.raises(PayloadError) as caught:
        await place.tasks.definition("generate-completion").add({"userId": "", "temperature": 9})
    fields = [complaint.partition(":")[0] for complaint in caught.value.errors]
    assert fields == ["userId", "conversationId", "message", "temperature"]
    live = await place.tasks.open()
    await live.add("generate-completion", {"userId": "user-1"})  # as another program would, which knows no types
    drained = await drain(place.app)
    assert (drained.failed, drained.retried, len(place.model.asked)) == (1, 0, 0)
    assert "PayloadError: payload is refused; " in drained.reasons[0]
    assert "conversationId" in drained.reasons[0]
    assert "message" in drained.reasons[0]


# -- email -------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-07", "M-AI-66")
async def test_the_four_mails_are_sent(place: Place) -> None:
    secret = {"userId": "user-1", "token": TOKEN}
    for name, data in (
        ("send-welcome", {"userId": "user-1"}),
        ("send-verification", secret),
        ("send-reset-password", secret),
        ("send-notification", {"userId": "user-1", "message": "Your export is ready.", "jobId": "7"}),
    ):
        await place.emails.definition(name).add(data)
    assert (await drain(place.app)).completed == 4
    texts = {str(mail["Subject"]): text_of(mail) for mail in place.mails()}
    assert {mail["To"] for mail in place.mails()} == {"alice@example.com"}
    assert "Alice Moreau" in texts["Welcome!"]
    assert f"http://localhost:8000/verify?token={TOKEN}" in texts["Confirm your address"]
    assert f"http://localhost:8000/reset?token={TOKEN}" in texts["Choose a new password"]
    assert "Your export is ready." in texts["Something for you"]


async def test_a_token_is_not_kept_once_its_mail_is_out_nor_shown_before(place: Place) -> None:
    data = {"userId": "user-1", "token": TOKEN}
    job = await place.emails.definition("send-reset-password").add(data)
    assert TOKEN not in repr(await job.get())
    await drain(place.app)
    assert await (await place.emails.open()).storage.get("email", [job.id]) == [None]


@pytest.mark.mission("M-AI-55")
async def test_a_mail_that_was_sent_is_not_sent_again_and_says_so(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    results = []
    for _ in range(2):
        job = await place.emails.definition("send-welcome").add({"userId": "user-1"})
        await drain(place.app)
        results.append(await job.result())
    assert results == [{"status": "sent"}, {"status": "already_sent"}]
    assert len(place.mails()) == 1
    assert "Email already sent to user-1" in caplog.text


@pytest.mark.mission("M-AI-55")
async def test_two_jobs_at_the_same_moment_send_one_mail(live: Place) -> None:
    welcome = live.emails.definition("send-welcome")
    jobs = [await welcome.add({"userId": "user-1"}) for _ in range(4)]
    async with await live.worker(QueueName.EMAIL):
        results = [await job.result(timeout=60) for job in jobs]
    assert sorted(result["status"] for result in results) == ["already_sent"] * 3 + ["sent"]
    assert len(live.mails()) == 1


async def test_a_mail_to_nobody_fails_at_once(place: Place) -> None:
    await place.emails.definition("send-welcome").add({"userId": "nobody"})
    drained = await drain(place.app)
    assert (drained.failed, drained.retried) == (1, 0)


# -- the house ---------------------------------------------------------------------------------------------------------


async def test_the_report_counts_the_day_before_as_new_york_has_it(place: Place) -> None:
    await seed(place.database)
    report = place.house.definition("daily-report")
    job = await report.add({"date": "2026-11-24"})
    await drain(place.app)
    result = await job.result()
    assert (result["day"], result["people"], result["messages"], result["mails"]) == ("2026-11-23", 3, 12, 1)
    stored = await place.data.report("2026-11-23")
    assert stored is not None
    assert stored.tokens == result["tokens"] > 0
    await report.add({"date": "2026-11-24"})
    await drain(place.app)
    assert len(place.mails()) == 1


async def test_new_messages_are_handed_to_the_search_once(place: Place) -> None:
    await seed(place.database)
    sync = place.house.definition("sync")
    first, second = await sync.add({}), await sync.add({})
    await drain(place.app)
    assert (await first.result(), await second.result()) == ({"texts": 12, "jobs": 3}, {"texts": 0, "jobs": 0})
    found = await Vectors(place.database).search("messages-user-3", (1.0, 7.0), limit=1)
    assert [one.text for one in found] == ["Magpie."]


@pytest.mark.mission("M-AI-67")
async def test_expired_tokens_and_forgotten_files_go(place: Place) -> None:
    await seed(place.database)
    old, young = place.folder / "tmp" / "old.part", place.folder / "tmp" / "young.part"
    old.parent.mkdir()
    for file, age in ((old, 3_700), (young, 60)):
        file.write_text("half an answer")
        os.utime(file, (time.time() - age,) * 2)
    now = round(datetime.now(UTC).timestamp() * 1000)
    await place.data.put_token("soon", "user-1", "verification", now + DAY)
    await place.data.put_token("gone", "user-1", "verification", now - DAY)
    job = await place.house.definition("expired-tokens").add({})
    await place.house.definition("cleanup").add({})
    await drain(place.app)
    assert (await job.result())["removed"] >= 1
    async with place.database.connect() as connection:
        left = set((await connection.execute(sa.select(tokens.c.digest))).scalars())
    assert "soon" in left
    assert "gone" not in left
    assert (old.exists(), young.exists()) == (False, True)


async def test_the_data_are_backed_up_and_the_backup_is_whole(place: Place) -> None:
    made = await place.house.definition("daily-backup").add({"type": "full"})
    await drain(place.app)
    verified = await place.house.definition("verify-backups").add({})
    await drain(place.app)
    [backup] = (await made.result())["backups"]
    assert backup["source"] == "aibackend"
    assert await verified.result() == {"verified": [backup["id"]]}


async def test_seeding_twice_is_seeding_once(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'app.db'}")
    for _ in range(2):
        await seed(database)
    async with database:
        assert len(await SqlConversations(database).history("user-1-trip", "user-1")) == 4
        talks = SqlConversations(database)
        people = await asyncio.gather(*(talks.of(person.id) for person in PEOPLE))
    assert [len(found) for found in people] == [2, 1, 1, 0]


def test_the_queues_have_the_guide_s_attempts(tmp_path: Path) -> None:
    app = make_app(Settings(url="sqlite:///:memory:", aibackend_home=tmp_path))
    options = app.definition("ai-tasks", "generate-completion").handler.options
    assert (options.attempts, options.backoff) == (3, Exponential(5))
