"""The keywords of `add`: groups, limits, uniqueness, jobs after jobs."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from corral.errors import ConfigError
from corral.job import After, NewJob, ParentRef
from corral.keywords import ADD_KEYWORDS, AddKeywords, NodeKeywords, check_rates, new_job, unique_id
from corral.options import JOB_KEYWORDS, MAX_TAGS, Dedup, JobOptions, ParentPolicy, RateLimit


def job(data: str = "{}", **keywords: Any) -> NewJob:
    return new_job("mail", "welcome", data, cast(AddKeywords, keywords))


def handle(queue: object, id: str) -> SimpleNamespace:
    return SimpleNamespace(queue=queue, id=id)


def test_add_takes_what_declarations_and_nodes_take_and_more() -> None:
    assert JOB_KEYWORDS < frozenset(NodeKeywords.__annotations__) < ADD_KEYWORDS
    assert ADD_KEYWORDS - frozenset(NodeKeywords.__annotations__) == {
        "dedup", "unique", "unique_for", "parent", "on_failure", "wait",
    }  # fmt: skip


def test_without_keywords_the_declaration_s_options_are_taken_as_they_are() -> None:
    options = JobOptions(attempts=3)
    assert new_job("mail", "welcome", "{}", AddKeywords(), options, 7) == NewJob(
        queue="mail", name="welcome", options=options, priority=7
    )


# -- groups and limits -------------------------------------------------------------------------------------------------


def test_a_group_is_taken_as_it_is_or_from_the_payload() -> None:
    assert job(group="tenant-7").group == "tenant-7"
    assert job('{"tenant":"t9"}', group=lambda data: data["tenant"]).group == "t9"


@pytest.mark.parametrize("group", ["", "a\nb", "x" * 257, 7, None])
def test_a_group_that_is_no_printable_text_is_refused(group: object) -> None:
    with pytest.raises(ConfigError, match="group must be a printable text of 1 to 256 characters"):
        job(group=lambda _: group)


def test_a_limit_makes_a_group_of_the_job_s_name_or_of_its_key() -> None:
    rate = RateLimit(10, per=1)
    assert (job(limit=rate).group, job(limit=rate).group_rates) == ("welcome", (rate,))
    assert job(limit=rate, limit_key="customer-5").group == "customer-5"
    assert job(limit=[rate, RateLimit(100, per=60)], group="t1").group == "t1"
    assert job(limit=[rate, RateLimit(100, per=60)]).group_rates == (rate, RateLimit(100, per=60))


@pytest.mark.parametrize("limit", [10, "10/s", [], [10], {"max": 10}])
def test_a_limit_that_is_none_is_refused(limit: object) -> None:
    with pytest.raises(ConfigError, match=r"limit must be RateLimit\(count, per=seconds\) or several"):
        job(limit=limit)


def test_a_key_without_a_limit_or_beside_a_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="give limit too"):
        job(limit_key="customer-5")
    with pytest.raises(ConfigError, match="give group or limit_key, not both"):
        job(limit=RateLimit(1), limit_key="customer-5", group="t1")


def test_one_rate_or_several_come_as_a_tuple() -> None:
    assert check_rates(RateLimit(1), "rate") == (RateLimit(1),)
    assert check_rates([RateLimit(1), RateLimit(2)], "rate") == (RateLimit(1), RateLimit(2))


# -- uniqueness --------------------------------------------------------------------------------------------------------


def test_a_deduplication_id_may_be_plain() -> None:
    assert job(dedup="report-7").dedup == Dedup("report-7")
    assert job(dedup=Dedup("report-7", ttl=5)).dedup == Dedup("report-7", ttl=5)
    assert job().dedup is None


@pytest.mark.parametrize("unique", [True, "user", ["user"], ("user", "kind"), lambda data: data["user"]])
def test_the_same_values_give_the_same_id_and_others_another(unique: bool | str | Sequence[str]) -> None:
    one = '{"user":1,"kind":"a"}'
    assert unique_id("welcome", one, unique) == unique_id("welcome", '{"kind":"a","user":1}', unique)
    assert unique_id("welcome", one, unique) != unique_id("welcome", '{"user":2,"kind":"a"}', unique)
    assert unique_id("welcome", one, unique) != unique_id("goodbye", one, unique)


def test_fields_that_are_not_named_do_not_count() -> None:
    assert unique_id("w", '{"user":1,"at":5}', ["user"]) == unique_id("w", '{"user":1,"at":6}', ["user"])
    assert unique_id("w", '{"user":1,"at":5}', True) != unique_id("w", '{"user":1,"at":6}', True)


def test_the_id_tells_what_counts_and_hides_the_values() -> None:
    made = job('{"email":"ann@example.com","kind":"a"}', unique=["email", "kind"], unique_for=60).dedup
    assert made is not None
    assert made.id.startswith("welcome/email,kind/")
    assert "ann" not in made.id
    assert made.ttl == 60


def test_a_field_that_the_payload_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match="unique names 'user', which the payload does not have"):
        job('{"usr":1}', unique=["user"])
    with pytest.raises(ConfigError, match="unique needs a field at least"):
        job("{}", unique=[])
    with pytest.raises(ConfigError, match="unique must be True, fields of the payload or a function"):
        job("{}", unique=7)


def test_uniqueness_is_said_once() -> None:
    with pytest.raises(ConfigError, match="give dedup or unique, not both"):
        job(dedup="a", unique=True)
    with pytest.raises(ConfigError, match="unique_for needs unique"):
        job(unique_for=5)
    with pytest.raises(ConfigError, match="a job with a parent cannot be deduplicated"):
        job(dedup="a", parent=("mail", "p1"))


# -- other jobs --------------------------------------------------------------------------------------------------------


def test_other_jobs_are_named_by_handles_or_by_queue_and_id() -> None:
    known = handle(SimpleNamespace(name="reports"), "r1")
    assert job(after=known).after == (After("reports", "r1"),)
    assert job(after=("reports", "r1")).after == (After("reports", "r1"),)
    assert job(after=[known, ("mail", "m1"), handle("mail", "m2")]).after == (
        After("reports", "r1"), After("mail", "m1"), After("mail", "m2"),
    )  # fmt: skip
    assert job(after=[After("mail", "m1", ParentPolicy.IGNORE)]).after == (After("mail", "m1", ParentPolicy.IGNORE),)
    assert job(after=[]).after == ()


def test_a_job_named_twice_is_waited_for_once() -> None:
    assert job(after=[("mail", "m1"), ("mail", "m1")]).after == (After("mail", "m1"),)


@pytest.mark.parametrize("after", ["m1", 7, [7], [("mail",)], [("mail", 7)], [("mail", "")]])
def test_what_names_no_job_is_refused(after: object) -> None:
    with pytest.raises(ConfigError, match="after must be"):
        job(after=after)


def test_a_parent_comes_with_what_a_failure_means_for_it() -> None:
    assert job(parent=("mail", "p1")).parent == ParentRef("mail", "p1", ParentPolicy.WAIT)
    assert job(parent=("mail", "p1"), on_failure="fail").parent == ParentRef("mail", "p1", ParentPolicy.FAIL)
    assert job(parent=ParentRef("mail", "p1", ParentPolicy.IGNORE)).parent == ParentRef(
        "mail", "p1", ParentPolicy.IGNORE
    )
    with pytest.raises(ConfigError, match="on_failure must be one of 'wait', 'fail', 'continue', 'ignore', 'remove'"):
        job(parent=("mail", "p1"), on_failure="explode")
    with pytest.raises(ConfigError, match="give parent too"):
        job(on_failure="fail")


def test_the_new_job_options_are_checked_and_stored() -> None:
    made = job(max_crashes=1, dead_letter="dead", sensitive=["card.number"]).options
    assert (made.max_crashes, made.dead_letter, made.sensitive) == (1, "dead", ("card.number",))
    once = job(at_most_once=True, attempts=5).options
    assert (once.attempts, once.max_crashes) == (1, 1)
    for wrong in ({"max_crashes": 0}, {"dead_letter": " "}, {"dead_letter": "a:b"}, {"sensitive": "card"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            job(**wrong)


def test_tags_of_the_job_and_its_handler_are_twenty_at_most_together() -> None:
    declared = JobOptions(tags=tuple(f"d{n}" for n in range(15)))
    made = new_job("mail", "welcome", "{}", {"tags": [f"j{n}" for n in range(5)]}, declared)
    assert len(made.options.tags) == MAX_TAGS
    with pytest.raises(ConfigError, match="at most 20 tags, not 21"):
        new_job("mail", "welcome", "{}", {"tags": [f"j{n}" for n in range(6)]}, declared)
