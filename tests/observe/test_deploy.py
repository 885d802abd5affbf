"""Alerts, dashboard and manifests: they parse, and everything they name exists."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from corral import Corral
from corral.cli.settings import Settings
from corral.monitor.monitor import Monitor
from corral.observe.adds import AddMetrics
from corral.observe.api_metrics import ApiMetrics
from corral.observe.prometheus import WorkerMetrics, page
from corral.storage.insight import Engine
from corral.storage.passing import Passing

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS = sorted([*DEPLOY.glob("k8s/*.yaml"), *DEPLOY.glob("keda/*.yaml")])
#: What Prometheus makes itself.
BUILT_IN = {"up"}


class Everything(Passing):
    """A store that tells all an engine can tell."""

    async def engine(self) -> Engine:
        return Engine(
            kind="both", version="1", memory_bytes=1, memory_limit_bytes=1, evicted_keys=1, db_bytes=1, wal_bytes=1
        )


@pytest.fixture
async def known() -> dict[str, str]:
    """The series that exist, with the page's type of each."""
    app = Corral("sqlite:///:memory:")
    app.queue("mail")
    async with app:
        worker = await app.worker()
        api, _ = await ApiMetrics(Monitor(Everything(await app.open())), adds=AddMetrics(), community=True).render()
        async with worker:
            told, _ = page(WorkerMetrics(worker, engine="sqlite").collect())
    return {
        name: kind for text in (api, told) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    }


def named(expression: str) -> set[str]:
    """The metrics in an expression of Prometheus."""
    bare = re.sub(r"\{[^}]*\}", "", re.sub(r'"[^"]*"', "", expression))
    return set(re.findall(r"\b(?:corral|bullmq|bull)_\w+|\bup\b", bare))


def exists(name: str, known: dict[str, str]) -> bool:
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return name in BUILT_IN or name in known or known.get(base) == "histogram"


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((DEPLOY / "prometheus/corral.rules.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def expressions(panel: object) -> Iterator[str]:
    """Every expression of a dashboard, wherever it stands."""
    if isinstance(panel, dict):
        if isinstance(panel.get("expr"), str):
            yield panel["expr"]
        for value in panel.values():
            yield from expressions(value)
    elif isinstance(panel, list):
        for value in panel:
            yield from expressions(value)


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    wanted = {
        "CorralQueueLate", "CorralNoWorkers", "CorralFailing", "CorralBacklog", "CorralFailedHigh",
        "CorralScheduleMissed", "CorralEvicting", "CorralStalling", "CorralPausedLong", "CorralDown",
    }  # fmt: skip
    assert wanted <= {rule["alert"] for rule in rules()}
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["expr"].count("{") == rule["expr"].count("}")


async def test_every_alert_asks_for_metrics_that_exist(known: dict[str, str]) -> None:
    for rule in rules():
        names = named(rule["expr"])
        assert names, rule["alert"]
        assert {name for name in names if not exists(name, known)} == set(), rule["alert"]


async def test_every_panel_of_the_dashboard_asks_for_metrics_that_exist(known: dict[str, str]) -> None:
    board = json.loads((DEPLOY / "grafana/corral.json").read_text())
    found = list(expressions(board))
    assert len(found) >= 20
    assert {name for one in found for name in named(one) if not exists(name, known)} == set()
    assert [panel["title"] for panel in board["panels"] if not any(expressions(panel))] == []
    identifiers = [panel["id"] for panel in board["panels"]]
    assert len(set(identifiers)) == len(identifiers)


async def test_the_metrics_page_of_the_documents_lists_what_exists(known: dict[str, str]) -> None:
    text = (DEPLOY.parent / "docs/guides/metrics.md").read_text()
    listed = {
        name for row in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    own = {name for name in known if name.startswith("corral_")}
    assert own - listed == set()
    assert {name for name in listed if name.startswith("corral_")} - own == set()


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_parses_and_says_what_it_is(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        assert {"apiVersion", "kind", "metadata"} <= document.keys()


def container(name: str) -> dict[str, Any]:
    document = next(yaml.safe_load_all((DEPLOY / "k8s" / name).read_text()))
    [one] = document["spec"]["template"]["spec"]["containers"]
    return dict(one)


@pytest.mark.parametrize("name", ["worker.yaml", "api.yaml"])
def test_probes_ask_for_endpoints_that_exist(name: str) -> None:
    paths = {kind: container(name)[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/startupz", "liveness": "/livez", "readiness": "/readyz"}


def test_a_pod_has_longer_to_end_than_its_jobs_have_to_finish() -> None:
    document = yaml.safe_load((DEPLOY / "k8s/worker.yaml").read_text())
    grace = document["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= Settings.model_fields["shutdown_timeout"].default + 10


@pytest.mark.parametrize("name", ["worker.yaml", "api.yaml"])
def test_every_variable_of_a_pod_is_a_setting(name: str) -> None:
    fields = {f"CORRAL_{field.upper()}" for field in Settings.model_fields}
    assert {one["name"] for one in container(name)["env"]} - fields == set()


def test_keda_reads_a_field_that_the_api_answers_with() -> None:
    from corral.http.models.queues import Autoscale

    documents = list(yaml.safe_load_all((DEPLOY / "keda/autoscale-api.yaml").read_text()))
    [trigger] = documents[1]["spec"]["triggers"]
    assert trigger["metadata"]["valueLocation"] in Autoscale.__annotations__
    assert re.search(r"/api/v1/queues/[\w-]+/autoscale\?target_seconds=\d+$", trigger["metadata"]["url"])
