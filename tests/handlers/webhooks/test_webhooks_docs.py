"""The page about webhooks: its examples run, and its tables leave nothing out."""

import re
from pathlib import Path
from typing import Any

import pytest

from corral.handlers.webhooks import SCHEDULE, Outgoing, Receiver, WebhookEvent, WebhooksSettings
from corral.handlers.webhooks.bundle import JOB as OUT
from corral.handlers.webhooks.receiver import JOB as IN

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "handlers" / "webhooks.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def words(title: str) -> list[str]:
    """The words in code of a section's tables, first column."""
    section = re.split(rf"\n##+ {title}\n", PAGE)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [word for line in lines for word in re.findall(r"`([^`]+)`", line.split("|")[1])]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str) -> None:
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "webhooks.md", "exec"), names)
    assert any(isinstance(made, Receiver | Outgoing) for made in names.values())


async def test_the_example_of_going_out_stores_an_endpoint_and_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = [one for one in EXAMPLES if "Outgoing(" in one]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "webhooks.md", "exec"), names)
    async with names["app"], names["database"]:
        assert (await names["register"]()).startswith("whsec_")
        await names["tell"]()
        counts = await (await names["app"].open_queue("webhook-delivery")).counts()
    assert counts.waiting == 1
    assert "database.attach(app)" in example  # or a worker's jobs would find it closed


def test_every_setting_is_in_the_table() -> None:
    assert {word for word in words("Settings") if word.isupper()} == {
        name.upper() for name in WebhooksSettings.model_fields
    }


def test_every_field_of_a_delivery_is_in_the_table() -> None:
    assert set(words("What becomes of a delivery")) == {field.alias for field in WebhookEvent.model_fields.values()}


def test_every_verb_of_outgoing_is_in_the_table() -> None:
    verbs = {name for name, member in vars(Outgoing).items() if callable(member) and not name.startswith("_")}
    assert verbs == {word for word in words("Going out") if word.isidentifier() and word.islower()}


def test_the_schedule_and_the_jobs_are_the_real_ones() -> None:
    said = PAGE.split("tried again: after ")[1].split(" |")[0].replace(" and ", ", ").split(", ")
    units = {"s": 1, "min": 60, "h": 3_600}
    assert tuple(int(number) * units[unit] for number, unit in (one.split(" ") for one in said)) == SCHEDULE
    assert f"a job `{IN}`" in PAGE
    assert f"a job `{OUT}`" in PAGE
