"""Ids and names: what may stand in a key of the store."""

import pytest

from corral.errors import ConfigError
from corral.job import FINISHED, PENDING, RESERVED_IDS, Job, JobState, check_job_id, check_name

#: The keys that BullMQ keeps beside its jobs, spelled out here again: the list in the code may grow, not shrink.
WORDS = """
    wait active paused id delayed prioritized stalled-check completed failed stalled repeat limiter meta events pc
    marker waiting-children priority delay added de dn metrics lock logs dependencies processed unsuccessful""".split()


@pytest.mark.parametrize("word", sorted({*WORDS, *RESERVED_IDS}))
def test_a_reserved_word_is_refused_as_an_id(word: str) -> None:
    with pytest.raises(ConfigError, match="reserved") as caught:
        check_job_id(word)
    assert caught.value.key == "id"


@pytest.mark.parametrize(
    "good", ["a", "welcome-7", "user.7/mail", "Ærlig", "日本", "wait-1", "Wait", "7b", "-", "x" * 256, "a@b"]
)
def test_an_id_a_caller_may_choose(good: str) -> None:
    assert check_job_id(good) == good


@pytest.mark.parametrize("number", ["0", "7", "-7", "123456789012345678901234567890", "٣"])
def test_an_id_that_looks_like_the_stores_own_numbers_is_refused(number: str) -> None:
    with pytest.raises(ConfigError, match="looks like a number"):
        check_job_id(number)


@pytest.mark.parametrize(
    "character", [*":*?[]{}\\ ", "\n", "\t", "\x00", "\x1f", "\x7f", "\x85", "\xa0", "\u2028", "\ud800"]
)
def test_an_id_with_a_character_that_keys_cannot_carry_is_refused(character: str) -> None:
    with pytest.raises(ConfigError, match="character that ids may not have"):
        check_job_id(f"job{character}1")


@pytest.mark.parametrize("value", ["", "x" * 257, None, 7, b"id", ["id"]])
def test_what_is_no_short_text_is_refused_as_an_id(value: object) -> None:
    with pytest.raises(ConfigError, match="1 to 256 characters"):
        check_job_id(value)


@pytest.mark.parametrize("good", ["send-email", "Send e-mail", "{eu}mail", "wait", "7", "x" * 128, "ø"])
def test_a_name_for_a_queue_handler_or_schedule(good: str) -> None:
    assert check_name(good, "queue name") == good


@pytest.mark.parametrize("character", [*":*?[]\\", "\n", "\x00", "\x1b", "\x7f", "\x9b", "\udc80"])
def test_a_name_with_a_character_that_keys_cannot_carry_is_refused(character: str) -> None:
    with pytest.raises(ConfigError, match="character that names may not have") as caught:
        check_name(f"a{character}b", "queue name")
    assert caught.value.key == "queue name"


@pytest.mark.parametrize("value", ["", "   ", "x" * 129, None, 7])
def test_what_is_no_short_text_is_refused_as_a_name(value: object) -> None:
    with pytest.raises(ConfigError, match="schedule key must be a text of 1 to 128 characters"):
        check_name(value, "schedule key")


def test_every_state_is_pending_active_or_finished() -> None:
    assert {*PENDING, JobState.ACTIVE, *FINISHED} == set(JobState)
    assert not PENDING & FINISHED
    assert {state for state in JobState if state.finished} == FINISHED


def test_the_fence_grows_with_every_claim() -> None:
    first = Job(id="1", queue="mail", name="welcome", state=JobState.ACTIVE, data="{}", attempts_started=1)
    again = Job(id="1", queue="mail", name="welcome", state=JobState.ACTIVE, data="{}", attempts_started=2)
    assert again.fence > first.fence
