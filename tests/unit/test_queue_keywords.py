"""What an application says about a queue: its limits, its groups, and what an add does when it is full."""

from typing import Any

import pytest
from msgspec import UNSET

from corral import AppQueue, ConfigError, Corral, GroupLimits, RateLimit


def queue(**keywords: Any) -> AppQueue:
    return Corral("sqlite:///:memory:").queue("mail", **keywords)


def test_one_rate_limit_or_several_windows() -> None:
    fast, slow = RateLimit(10, per=1), RateLimit(100, per=60)
    assert (queue(rate_limit=fast).rate_limit, queue(rate_limit=fast).settings().more_limits) == (fast, ())
    both = queue(rate_limit=[fast, slow]).settings()
    assert (both.rate_limit, both.more_limits) == (fast, (slow,))


def test_what_is_not_declared_is_left_as_a_person_set_it() -> None:
    settings = queue().settings()
    assert (settings.rate_limit, settings.more_limits, settings.group_limits, settings.name_limits) == (UNSET,) * 4


@pytest.mark.parametrize(("when_full", "seconds"), [("reject", 0), ("wait", 60), (2.5, 2.5), (0, 0)])
def test_an_add_without_room_is_refused_or_waits(when_full: str | float, seconds: float) -> None:
    assert queue(when_full=when_full).patience == seconds


def test_an_add_is_refused_unless_the_queue_says_otherwise() -> None:
    assert queue().patience == 0


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"when_full": "drop"}, "when_full must be 'reject', 'wait' or seconds, not 'drop'"),
        ({"when_full": -1}, "when_full must be at least 0 s"),
        ({"group_limits": {"concurrency": 2}}, "group_limits must be GroupLimits"),
        ({"rate_limit": [10]}, "rate_limit must be RateLimit"),
        ({"rate_limit": []}, "rate_limit must be RateLimit"),
    ],
)
def test_what_cannot_be_meant_is_refused(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        queue(**keywords)


def test_a_handler_s_rate_limit_belongs_to_its_name() -> None:
    mail = queue(group_limits=GroupLimits(concurrency=2))

    @mail.job("send", rate_limit=[RateLimit(5), RateLimit(50, per=60)])
    async def send() -> None: ...

    @mail.job("other")
    async def other() -> None: ...

    settings = mail.settings()
    assert settings.name_limits == {"send": (RateLimit(5), RateLimit(50, per=60))}
    assert settings.group_limits == GroupLimits(concurrency=2)
