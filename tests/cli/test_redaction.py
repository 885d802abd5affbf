"""What is sensitive is not shown on the command line; what is sealed is opened with the application's keys alone."""

import json

import pytest
from click.testing import Result

from corral import Every
from corral.job import NewJob
from corral.options import JobOptions
from corral.schedule import Schedule
from corral.scheduler import Scheduler
from corral.storage.port import Storage

from .helpers import call, put, succeed, told, with_store

APP = "tests.cli.apps.sealed"
DATA = '{"card":"canary-1","token":"canary-2","note":"shown"}'
OPTIONS = JobOptions(sensitive=("card",))


def everything(result: Result) -> str:
    return result.stdout + result.stderr


@pytest.mark.mission("M-TS-54")
@pytest.mark.parametrize("words", [("list",), ("show", "1"), ("list", "-o", "ndjson"), ("show", "1", "-o", "ndjson")])
def test_jobs_are_shown_without_what_is_sensitive(url: str, words: tuple[str, ...]) -> None:
    put(url, NewJob(queue="payments", name="charge", data=DATA, options=OPTIONS))
    said = everything(call("jobs", *words, "--url", url))
    assert "canary" not in said
    assert "note" in said


def test_reveal_shows_what_only_its_name_hides(url: str) -> None:
    put(url, NewJob(queue="payments", name="charge", data=DATA, options=OPTIONS))
    [shown] = told("jobs", "show", "1", "--reveal", "--url", url)
    assert shown["data"] == {"card": "••••", "token": "canary-2", "note": "shown"}


def test_schedules_are_shown_without_what_is_sensitive(url: str) -> None:
    async def declare(storage: Storage) -> None:
        await Scheduler(storage).put(
            Schedule(key="weekly", queue="payments", name="charge", timing=Every(60), data=DATA, options=OPTIONS)
        )

    with_store(url, declare)
    said = everything(call("schedules", "show", "weekly", "--url", url))
    assert "canary" not in said
    assert "shown" in said


def test_a_job_added_with_the_application_is_sealed_and_opens_with_it_alone() -> None:
    succeed("add", "payments", "charge", "card=canary-1", "token=canary-2", "amount:=7", "--app", APP)
    without = everything(call("jobs", "show", "1", "--url", "sqlite:///sealed.db"))
    assert "corral:sealed" in without
    assert "canary" not in without
    [opened] = told("jobs", "show", "1", "--app", APP)
    assert opened["data"] == {"card": "••••", "token": "••••", "amount": 7}
    bulk = "\n".join(json.dumps({"card": "canary-3", "amount": number}) for number in range(2))
    succeed("add", "payments", "charge", "--bulk", "-", "--app", APP, typed=bulk)
    rows = told("jobs", "list", "--app", APP)
    assert len(rows) == 3
    assert all("corral:sealed" in str(row["preview"]) for row in rows)  # a list has no more than beginnings
