"""Who is told of a job that failed for good, and what the log says of it."""

import asyncio
import json

import pytest

from corral import JobFailedError
from corral.handlers.ai import ModelError
from corral.handlers.kit.web import RefusedError
from corral.testing import drain

from .conftest import ASKED, Place, text_of


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What the platform's own log says, with how bad it is."""
    return [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "aibackend"]


@pytest.mark.mission("M-AI-26", "M-AI-51", "M-AI-52", "M-AI-53", "M-AI-54")
async def test_only_a_failure_for_good_is_told_to_the_tracker_the_administrator_and_the_user(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.model.trouble = [ModelError(f"trouble {n}") for n in range(1, 4)]
    job = await place.tasks.definition("generate-completion").add(ASKED)
    drained = await drain(place.app)
    assert (drained.retried, drained.failed) == (2, 1)
    attempts = [one.levelname for one in caplog.records if "attempt" in one.getMessage() and one.name == "aibackend"]
    assert attempts == ["WARNING", "WARNING", "ERROR"]
    [(reason, facts)] = place.tracker.failures
    assert reason == "ModelError: trouble 3"
    assert (facts["id"], facts["name"], facts["attempts"]) == (job.id, "generate-completion", 3)
    assert facts["data"] == {**json.loads((await job.get()).data), **ASKED}
    assert await place.data.notes("user-1") == [("Your job failed", job.id)]
    [mail] = place.mails()
    assert (mail["To"], mail["Subject"]) == ("ops@example.com", "Something for you")
    assert "ai-tasks/generate-completion failed: ModelError: trouble 3" in text_of(mail)


@pytest.mark.mission("M-AI-52")
async def test_a_job_that_gets_well_is_told_to_nobody(place: Place) -> None:
    place.model.trouble = [ModelError("once")]
    await place.tasks.definition("generate-completion").add(ASKED)
    assert (await drain(place.app)).completed == 1
    assert (place.tracker.failures, await place.data.notes("user-1"), place.mails()) == ([], [], [])


@pytest.mark.mission("M-AI-13", "M-AI-57")
async def test_what_no_attempt_can_help_fails_at_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.model.trouble = [RefusedError("the server answered 400", status=400)]
    job = await place.tasks.definition("generate-completion").add(ASKED)
    drained = await drain(place.app)
    assert drained.failed == 1
    assert drained.retried == 0
    assert len(place.tracker.failures) == 1
    assert ("ERROR", f"Job {job.id} failed: the server answered 400 (attempt 1 of 3)") in told(caplog)


@pytest.mark.mission("M-AI-13", "M-AI-57", "M-AI-21")
async def test_a_job_whose_time_is_up_is_in_the_log_as_well(live: Place, caplog: pytest.LogCaptureFixture) -> None:
    live.model.gate = asyncio.Event()  # nobody will ever set it
    job = await live.tasks.definition("generate-completion").add(ASKED, timeout=0.2, attempts=1)
    async with await live.worker():
        with pytest.raises(JobFailedError, match="timed out"):
            await job.result(timeout=60)
    assert ("ERROR", f"Job {job.id} failed: stopped before its end (attempt 1 of 1)") in told(caplog)


async def test_somebody_else_s_conversation_stays_theirs(place: Place) -> None:
    completion = place.tasks.definition("generate-completion")
    await completion.add(ASKED)
    await drain(place.app)
    await completion.add({**ASKED, "userId": "user-2", "message": "What did she say?"})
    drained = await drain(place.app)
    assert "belongs to somebody else" in drained.reasons[0]
    assert len(place.model.asked) == 1
