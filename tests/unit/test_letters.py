"""Dead letters: copies that say where they came from."""

from corral.job import Job, JobState, check_job_id
from corral.letters import letter, letter_id, original
from corral.options import JobOptions, Letter

JOB = Job(
    id="invoice-7", queue="mail", name="send", state=JobState.ACTIVE, data='{"to":"ada"}', priority=3, group="acme",
    options=JobOptions(attempts=3, dead_letter="dead", lifespan_ms=5_000), attempts_started=3, attempts_made=2,
)  # fmt: skip


def test_a_letter_is_the_job_with_its_origin_and_nothing_that_holds_it_back() -> None:
    made = letter(JOB, "dead", "ValueError: boom", attempts=3)
    assert (made.queue, made.name, made.data, made.priority, made.group) == ("dead", "send", '{"to":"ada"}', 3, None)
    assert made.options == JobOptions(
        attempts=3, letter=Letter("mail", "invoice-7", "ValueError: boom", 3, "acme", "dead", 5_000)
    )


def test_the_original_comes_back_as_it_was() -> None:
    made = letter(JOB, "dead", "boom", attempts=3)
    stored = Job(
        id=made.id or "", queue="dead", name=made.name, state=JobState.WAITING, data=made.data, priority=made.priority,
        options=made.options,
    )  # fmt: skip
    assert made.options.letter is not None
    back = original(stored, made.options.letter, JOB.id)
    assert (back.queue, back.id, back.name, back.data) == ("mail", "invoice-7", "send", '{"to":"ada"}')
    assert (back.priority, back.group, back.options) == (3, "acme", JOB.options)


def test_each_final_failure_has_an_id_of_its_own_that_names_its_job() -> None:
    assert letter_id("mail", "7", 3) == "dead-mail-7-3"
    assert letter_id("mail", "7", 4) != letter_id("mail", "7", 3)


def test_the_id_is_one_that_a_store_takes_whatever_the_queue_is_called() -> None:
    ids = [letter_id("my mail {eu}", "7", 1), letter_id("q" * 128, "i" * 250, 1), letter_id("q" * 128, "i" * 250, 2)]
    assert [check_job_id(one) for one in ids] == ids
    assert len(set(ids)) == 3
