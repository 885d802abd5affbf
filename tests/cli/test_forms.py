"""The forms of output for programs: fields, YAML, CSV, names, templates, jq, and times on this machine's clock."""

import csv
import io
import json
import shutil

import pytest
import yaml

from corral.cli.forms import table_of_commas
from corral.cli.forms import yaml as as_yaml
from corral.job import NewJob

from .helpers import HOUR, call, columns, put, succeed


@pytest.fixture
def filled(url: str) -> str:
    put(
        url,
        NewJob(queue="mail", name="a", data='{"to": ["x: y", "é", null, {"n": 1}]}'),
        NewJob(queue="mail", name="b"),
    )
    return url


def test_only_the_fields_that_are_asked_for_are_printed(filled: str) -> None:
    rows = json.loads(succeed("jobs", "list", "--json", "queue,id,state", "--url", filled))
    assert rows[0] == {"queue": "mail", "id": rows[0]["id"], "state": "waiting"}
    shown = json.loads(succeed("jobs", "show", "1", "--json", "data.to", "--url", filled))
    assert shown == {"data.to": ["x: y", "é", None, {"n": 1}]}


def test_a_field_that_does_not_exist_is_a_mistake(filled: str) -> None:
    result = call("jobs", "list", "--json", "queue,nothing", "--url", filled)
    assert result.exit_code == 2
    assert "there is no field 'nothing'; there are: queue, id, name" in result.stderr


def test_json_without_fields_has_all_of_them(filled: str) -> None:
    assert "priority" in json.loads(succeed("jobs", "list", "--url", filled, "--json"))[0]
    assert "data" in json.loads(succeed("jobs", "show", "1", "--json", "--url", filled))


def test_yaml_is_read_as_json_is(filled: str) -> None:
    there = json.loads(succeed("jobs", "show", "1", "-o", "json", "--url", filled))
    here = yaml.safe_load(succeed("jobs", "show", "1", "-o", "yaml", "--url", filled))
    assert {key: value for key, value in here.items() if key != "wait_s"} == {
        key: value for key, value in there.items() if key != "wait_s"
    }


@pytest.mark.parametrize(
    "value",
    [[], {}, [[]], [[1, [2]], {"a": {}}], {"b c": [1], "null": None}, "a: b", "- x", [{"a": 1, "b": [2]}]],
    ids=str,
)
def test_any_value_survives_yaml(value: object) -> None:
    assert yaml.safe_load(as_yaml(value)) == value


def test_csv_has_every_field_and_no_formula(filled: str) -> None:
    rows = list(csv.DictReader(io.StringIO(succeed("jobs", "list", "-o", "csv", "--url", filled))))
    assert {row["name"] for row in rows} == {"a", "b"}
    assert table_of_commas([{"a": "=1+1", "b": "-5", "c": -5, "d": "-x"}]) == "a,b,c,d\n'=1+1,-5,-5,'-x\n"


def test_names_are_what_commands_take(filled: str) -> None:
    assert succeed("jobs", "list", "-o", "name", "--url", filled).split() == ["mail/2", "mail/1"] or succeed(
        "jobs", "list", "-o", "name", "--url", filled
    ).split() == ["mail/1", "mail/2"]
    assert succeed("queues", "list", "-o", "name", "--url", filled) == "mail\n"


def test_a_template_is_filled_for_each_row(filled: str) -> None:
    lines = succeed("jobs", "list", "-o", "template={name} in {queue}: {failed_reason}", "--url", filled).splitlines()
    assert sorted(lines) == ["a in mail: ", "b in mail: "]


def test_an_unknown_form_is_refused_with_those_there_are(filled: str) -> None:
    result = call("jobs", "list", "-o", "xml", "--url", filled)
    assert result.exit_code == 2
    assert "ndjson" in result.stderr


def test_jq_is_asked_for_where_it_is_and_named_where_it_is_not(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = call("jobs", "list", "--jq", ".[0]", "--url", filled)
    assert result.exit_code == 2
    assert "--jq needs the program jq" in result.stderr


def test_times_are_shown_on_this_machines_clock_when_that_is_wanted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Etc/GMT-5")
    time.tzset()
    put(url, NewJob(queue="mail", name="later", delay_ms=HOUR))
    local = {line[0]: line[1] for line in columns(succeed("jobs", "show", "1", "--local", "--url", url))}
    utc = {line[0]: line[1] for line in columns(succeed("jobs", "show", "1", "--url", url))}
    monkeypatch.undo()
    time.tzset()
    assert str(local["run_at"]).endswith("+05:00")
    assert str(utc["run_at"]).endswith("Z")
