"""Every option that the four guides write is understood, in corral's words; what nobody knows is refused."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from corral import ConfigError, Cron, Every, Exponential, Fixed, Keep, RateLimit
from corral.compat import (
    backoff,
    deduplication,
    default_job_options,
    job_options,
    keep,
    queue_options,
    redis_url,
    repeat,
    worker_options,
)
from corral.compat.job import BullJob
from corral.compat.jobs import IGNORED_JOB_OPTIONS
from corral.compat.manager import BullQueues
from corral.compat.queue import BullQueue
from corral.compat.queues import IGNORED_QUEUE_OPTIONS, IGNORED_WORKER_OPTIONS
from corral.compat.repeats import IGNORED_REPEAT_OPTIONS
from corral.errors import UnknownOptionError
from corral.options import CustomBackoff, Dedup
from corral.retry import FALLBACK

#: Each job option in a guide's code, as it is written there, and what it means here.
JOB_OPTIONS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("teamspark", {"delay": 60000}, {"delay": 60.0}),
    ("teamspark", {"priority": 1}, {"priority": 1}),
    ("teamspark", {"attempts": 3, "backoff": {"type": "exponential", "delay": 2000}},
     {"attempts": 3, "backoff": Exponential(2.0)}),
    ("teamspark", {"removeOnFail": {"age": 24 * 3600}}, {"keep_failed": Keep(age=86_400)}),
    ("golive", {"removeOnComplete": 100, "removeOnFail": 500},
     {"keep_completed": Keep(count=100), "keep_failed": Keep(count=500)}),
    ("golive", {"priority": 1, "attempts": 5}, {"priority": 1, "attempts": 5}),
    ("golive", {"attempts": 5, "backoff": {"type": "exponential", "delay": 5000}},
     {"attempts": 5, "backoff": Exponential(5.0)}),
    ("bizinsights", {"timeout": 300000, "delay": 60000}, {"timeout": 300.0, "delay": 60.0}),
    ("aibackend", {"removeOnComplete": True, "removeOnFail": False},
     {"keep_completed": Keep(count=0), "keep_failed": Keep()}),
    ("aibackend", {"backoff": {"type": "fixed", "delay": 5000}}, {"backoff": Fixed(5.0)}),
    ("aibackend", {"limiter": {"max": 10, "duration": 1000}}, {"limit": RateLimit(10, per=1.0)}),
    ("aibackend", {"lifespan": 3600000}, {"lifespan": 3600.0}),
    ("aibackend", {"timeout": 60000}, {"timeout": 60.0}),
    ("aibackend", {"removeOnComplete": True, "removeOnFail": 50},
     {"keep_completed": Keep(count=0), "keep_failed": Keep(count=50)}),
]  # fmt: skip
#: Each way a guide says that a job comes again.
REPEATS: list[tuple[str, dict[str, Any], Cron | Every]] = [
    ("teamspark", {"pattern": "0 1 * * *"}, Cron("0 1 * * *")),
    ("teamspark", {"pattern": "0 9 * * 1"}, Cron("0 9 * * 1")),
    ("golive", {"cron": "0 9 * * 1-5"}, Cron("0 9 * * 1-5")),
    ("bizinsights", {"cron": "0 */6 * * *"}, Cron("0 */6 * * *")),
    ("aibackend", {"cron": "0 3 * * *", "tz": "America/New_York"}, Cron("0 3 * * *", tz="America/New_York")),
    ("aibackend", {"cron": "*/5 * * * *"}, Cron("*/5 * * * *")),
    ("aibackend", {"every": 3600000}, Every(3600)),
]
#: Methods that the guides call: on a queue, on a job, and on the managers they write around Bull.
QUEUE_METHODS = (
    "add process on getJob getJobCounts getWaiting getActive getCompleted getFailed pause resume isPaused empty clean "
    "getRepeatableJobs removeRepeatableByKey"
).split()
JOB_MEMBERS = (
    "id name data opts progress updateProgress getState returnvalue failedReason attemptsMade timestamp remove "
    "finished log"
).split()
MANAGER_METHODS = (
    "addJob addDelayedJob addScheduledJob addRepeatingJob addRecurringJob processJobs getQueueStats getAllQueueStats "
    "getFailedJobs getJob retryJob retryFailedJob retryAllFailedJobs removeJob pauseQueue resumeQueue emptyQueue "
    "cleanQueue"
).split()


@pytest.mark.parametrize(("guide", "options", "keywords"), JOB_OPTIONS)
def test_every_job_option_of_the_guides_is_understood(
    guide: str, options: dict[str, Any], keywords: dict[str, Any]
) -> None:
    assert job_options(options) == keywords


@pytest.mark.parametrize(("guide", "options", "timing"), REPEATS)
def test_every_repetition_of_the_guides_is_understood(
    guide: str, options: dict[str, Any], timing: Cron | Every
) -> None:
    assert repeat(options).timing == timing


@pytest.mark.parametrize(
    ("owner", "names"), [(BullQueue, QUEUE_METHODS), (BullJob, JOB_MEMBERS), (BullQueues, MANAGER_METHODS)]
)
def test_every_method_of_the_guides_is_there_in_both_spellings(owner: type, names: list[str]) -> None:
    snake = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in names]
    assert [name for name in (*names, *snake) if not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        ({"jobId": "a-1"}, {"id": "a-1"}),
        ({"lifo": True}, {"lifo": True}),
        ({"keepLogs": 50}, {"keep_logs": 50}),
        ({"deduplication": {"id": "x", "ttl": 5000}}, {"dedup": Dedup("x", ttl=5.0)}),
        ({"debounce": {"id": "x"}}, {"dedup": Dedup("x")}),
        ({"parent": {"id": "7", "queue": "bull:reports"}}, {"parent": ("reports", "7")}),
        ({"parent": {"id": "7", "queue": "r"}, "failParentOnFailure": True},
         {"parent": ("r", "7"), "on_failure": "fail"}),
        ({"failParentOnFailure": True}, {}),
        ({"parent": {"id": "7", "queue": "r"}, "ignoreDependencyOnFailure": False}, {"parent": ("r", "7")}),
        ({"limiter": {"max": 1, "duration": 500, "groupKey": "tenant"}},
         {"limit": RateLimit(1, per=0.5), "limit_key": "tenant"}),
        ({"group": {"id": "tenant", "priority": 3}}, {"group": "tenant", "priority": 3}),
        ({"priority": 9_007_199_254_740_991}, {"priority": 2_097_151}),
        ({"backoff": 1000}, {"backoff": Fixed(1.0)}),
        ({"backoff": "mine"}, {"backoff": CustomBackoff()}),
        ({"backoff": {"type": "exponential", "delay": 1000, "jitter": 0.5}}, {"backoff": Exponential(1.0, jitter=0.5)}),
        ({"attempts": None, "delay": None}, {}),
        ({"stackTraceLimit": 5, "sizeLimit": 1000, "timestamp": 1}, {}),
        ({}, {}),
    ],
)  # fmt: skip
def test_the_rest_of_bulls_and_bullmqs_options(options: dict[str, Any], keywords: dict[str, Any]) -> None:
    assert job_options(options) == keywords


@pytest.mark.parametrize(
    ("options", "suggestion"),
    [
        ({"attempt": 3}, "attempts"), ({"removeOnCompleted": 5}, "removeOnComplete"), ({"jobID": "x"}, "jobId"),
        ({"prio": 1}, "priority"), ({"xyz": 1}, None), ({"remove_on_fail": 1}, "removeOnFail"),
    ],
)  # fmt: skip
def test_an_option_nobody_knows_is_refused_with_the_nearest_one(
    options: dict[str, Any], suggestion: str | None
) -> None:
    with pytest.raises(UnknownOptionError) as caught:
        job_options(options)
    assert caught.value.suggestion == suggestion


@pytest.mark.parametrize(
    "options",
    [
        {"delay": -1}, {"delay": "5"}, {"delay": True}, {"delay": float("nan")}, {"priority": 1.5},
        {"removeOnComplete": -1}, {"removeOnFail": {"age": "1 d"}}, {"removeOnFail": {"ages": 1}}, {"lifo": 1},
        {"backoff": {"type": "exponentail", "delay": 1}}, {"backoff": {"type": 3}}, {"backoff": {"dealy": 1}},
        {"backoff": {"type": "fixed", "jitter": "x"}}, {"limiter": {"max": 3}}, {"limiter": 3},
        {"deduplication": {"ttl": 1}}, {"deduplication": {"id": "x", "replace": 1}}, {"parent": {"id": "7"}},
        {"repeat": {"cron": "* * * * *"}},
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        job_options(options)


def test_the_delays_are_those_of_the_guides_tables() -> None:
    made = backoff({"type": "exponential", "delay": 5000})
    assert isinstance(made, Exponential)
    assert [made.delay * 2**n for n in range(4)] == [5, 10, 20, 40]
    assert isinstance(FALLBACK, Exponential)


def test_what_is_kept() -> None:
    assert keep(True) == Keep(count=0)
    assert keep(False) == Keep()
    assert keep(10) == Keep(count=10)
    assert keep({"age": 3600, "count": 5, "limit": 100}) == Keep(age=3600, count=5)


def test_a_debounce_is_a_deduplication() -> None:
    assert deduplication({"id": "x", "ttl": 500, "extend": True, "replace": True}) == Dedup(
        "x", ttl=0.5, extend=True, replace=True
    )
    assert deduplication({"id": "x", "keepLastIfActive": True}) == Dedup("x", keep_last=True)


def test_dates_may_be_written_in_each_of_javascripts_ways() -> None:
    moment = datetime(2025, 10, 24, 10, tzinfo=UTC)
    milliseconds = int(moment.timestamp() * 1000)
    for date in (moment, milliseconds, "2025-10-24T10:00:00Z", "2025-10-24T10:00:00", "2025-10-24T12:00:00+02:00"):
        assert repeat({"every": 1000, "startDate": date, "endDate": date}).start_at == milliseconds


@pytest.mark.parametrize(
    "options", [{}, {"cron": "* * * * *", "every": 5}, {"cron": "nonsense"}, {"every": 0}, {"pattren": "* * * * *"},
                {"every": 1000, "startDate": "soon"}, {"every": 1000, "immediately": 1}],
)  # fmt: skip
def test_a_repetition_that_cannot_be_meant_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        repeat(options)


def test_the_same_repetition_has_the_same_key_and_another_one_another() -> None:
    keys = [repeat(options).key_for("report") for _, options, _ in REPEATS]
    assert keys == [repeat(options).key_for("report") for _, options, _ in REPEATS]
    assert len(set(keys)) == len(keys)
    assert repeat({"every": 1000, "key": "mine"}).key_for("report") == "mine"


# -- queues and workers ------------------------------------------------------------------------------------------------


def test_the_worker_of_teamsparks_guide() -> None:
    setup = worker_options({"concurrency": 5, "limiter": {"max": 10, "duration": 1000}})
    assert setup.queue_keywords() == {"concurrency": 5, "rate_limit": RateLimit(10, per=1.0)}


def test_a_workers_locks_and_stalls() -> None:
    setup = worker_options(
        {
            "lockDuration": 30000, "maxStalledCount": 1, "name": "w1", "stalledInterval": 1000, "autorun": False,
            "removeOnComplete": {"count": 5}, "removeOnFail": True,
        }
    )  # fmt: skip
    assert (setup.options.lease, setup.options.name, setup.max_crashes) == (30.0, "w1", 2)
    assert (setup.keep_completed, setup.keep_failed) == (Keep(count=5), Keep(count=0))


def test_bulls_settings_say_the_same() -> None:
    assert worker_options({"settings": {"lockDuration": 30000, "maxStalledCount": 0, "drainDelay": 5}}).max_crashes == 1


def test_a_back_off_strategy_answers_milliseconds() -> None:
    newer = worker_options({"settings": {"backoffStrategy": lambda made, kind, error, job: made * 1000}}).backoff
    older = worker_options({"settings": {"backoffStrategies": {"mine": lambda made, error: made * 500}}}).backoff
    assert newer is not None
    assert older is not None
    assert (newer(3, ValueError()), older(3, ValueError())) == (3.0, 1.5)
    for strategies in ({}, {"a": len, "b": len}, {"a": 5}):
        with pytest.raises(ConfigError):
            worker_options({"settings": {"backoffStrategies": strategies}})


def test_the_queue_of_the_ai_backends_guide() -> None:
    setup = queue_options({"name": "ai-tasks", "redis": {"host": "redis", "port": 6380, "password": "p@ss"}})
    assert setup.url == "redis://:p%40ss@redis:6380/0"
    assert setup.keywords == {}


def test_default_job_options_become_the_queues_own() -> None:
    setup = queue_options(
        {
            "defaultJobOptions": {"attempts": 3, "backoff": {"type": "fixed", "delay": 2000}, "removeOnFail": 100},
            "limiter": {"max": 5, "duration": 2000}, "settings": {"lockDuration": 20000}, "prefix": "shop",
        }
    )  # fmt: skip
    assert setup.keywords == {
        "attempts": 3, "backoff": Fixed(2.0), "keep_failed": Keep(count=100), "rate_limit": RateLimit(5, per=2.0),
    }  # fmt: skip
    assert (setup.lease, setup.url) == (20.0, "redis://localhost:6379/0?prefix=shop")
    with pytest.raises(ConfigError, match="belongs to one job"):
        default_job_options({"jobId": "x"})


def test_a_connection_is_a_url_or_its_parts() -> None:
    assert redis_url("redis://r:1/2") == "redis://r:1/2"
    assert redis_url({"username": "u", "password": "p", "db": 3, "tls": {"ca": "x"}}) == "rediss://u:p@localhost:6379/3"
    assert redis_url({"maxRetriesPerRequest": None}, "bull") == "redis://localhost:6379/0"
    with pytest.raises(UnknownOptionError, match="did you mean 'password'"):
        redis_url({"pasword": "x"})


@pytest.mark.parametrize("convert", [queue_options, worker_options])
def test_an_unknown_queue_or_worker_option_is_refused(convert: Any) -> None:
    with pytest.raises(UnknownOptionError, match="did you mean"):
        convert({"limitter": {}})


def test_what_is_ignored_says_why_and_is_not_understood_as_well() -> None:
    for table in (IGNORED_JOB_OPTIONS, IGNORED_QUEUE_OPTIONS, IGNORED_WORKER_OPTIONS, IGNORED_REPEAT_OPTIONS):
        assert all(len(why) > 10 for why in table.values())
    assert job_options(dict.fromkeys(IGNORED_JOB_OPTIONS, 1)) == {}
    assert worker_options(dict.fromkeys(IGNORED_WORKER_OPTIONS, 1)).queue_keywords() == {}
    assert queue_options(dict.fromkeys(IGNORED_QUEUE_OPTIONS, 1)).keywords == {}


def test_the_guide_has_every_option_without_effect_and_its_reason() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "coming-from-bull.md").read_text()
    for table in (IGNORED_JOB_OPTIONS, IGNORED_QUEUE_OPTIONS, IGNORED_WORKER_OPTIONS, IGNORED_REPEAT_OPTIONS):
        assert [name for name, why in table.items() if f"| `{name}` | {why} |" not in page] == []
