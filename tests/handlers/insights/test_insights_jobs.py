"""The job: figures from the database, kept insights, alarms that are told once, and a model that may fail."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from corral.errors import ConfigError, PayloadError
from corral.handlers.insights import (
    SCHEMA,
    Alarm,
    DailyTable,
    InsightsSettings,
    InsightStore,
    bundle,
)
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web
from corral.storage.port import Storage
from tests.handlers.databases import differences, opened_at_once
from tests.handlers.desk import Desk
from tests.handlers.insights.business import LAST, NOW, figures

FIGURES = sa.Table(
    "sync_daily",
    sa.MetaData(),
    sa.Column("integration_id", sa.String(100), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("metric", sa.String(60), primary_key=True),
    sa.Column("currency", sa.String(3), primary_key=True),
    sa.Column("organization_id", sa.String(100)),
    sa.Column("value", sa.Float),
)
MONTH = {"organizationId": "acme", "period": "30d"}


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database with an empty table of figures."""
    async with Database(app_database) as opened:
        async with opened.begin() as connection:
            await connection.run_sync(FIGURES.metadata.create_all)
        yield opened


class Analyst:
    """Makes insights, one job after the other."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self.database = database
        self.storage = storage
        self.now = NOW
        self.alarms: list[Alarm] = []
        self.open()

    def open(self, web: Web | None = None, **settings: object) -> "Analyst":
        made = bundle(
            InsightsSettings.load(**settings), database=self.database, clock=lambda: self.now, on_alarm=self.told,
            web=web,
        )  # fmt: skip
        self.desk = Desk.of(self.storage, made)
        return self

    async def told(self, alarm: Alarm) -> None:
        self.alarms.append(alarm)

    async def run(self, payload: Mapping[str, object] = MONTH, **more: object) -> dict[str, Any]:
        done = await self.desk.send({**payload, **more}, "insights-generation")
        result: dict[str, Any] = json.loads(msgspec.json.encode(done))
        return result

    async def put(
        self, values: Mapping[date, float], metric: str = "revenue", currency: str = "EUR", shop: str = "shop",
        organization: str = "acme",
    ) -> None:  # fmt: skip
        rows = [
            {"integration_id": shop, "organization_id": organization, "day": str(day), "metric": metric,
             "currency": currency, "value": value}
            for day, value in values.items()
        ]  # fmt: skip
        async with self.database.begin() as connection:
            await self.database.upsert(connection, FIGURES, rows, key=["integration_id", "day", "metric", "currency"])


@pytest.fixture
async def analyst(database: Database, memory: Storage) -> Analyst:
    """An analyst in front of a shop whose revenue fell on its last day."""
    made = Analyst(database, memory)
    await made.put(figures(lambda ago, value: value * 0.4 if ago == 0 else value))
    return made


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["0001"] * 4


async def test_insights_are_found_in_synced_figures(analyst: Analyst) -> None:
    made = await analyst.run()

    assert (made["firstDay"], made["lastDay"]) == ("2026-01-31", "2026-03-01")
    assert made["findings"][0]["kind"] == "anomaly"
    assert made["summary"] == made["findings"][0]["text"]
    assert made["summaryBy"] == "findings"


async def test_an_organization_without_figures_has_nothing_to_tell(analyst: Analyst) -> None:
    made = await analyst.run(organizationId="nobody")

    assert "findings" not in made
    assert made["summary"] == "Nothing stands out: the figures are as they usually are."


@pytest.mark.mission("M-BI-15")
@pytest.mark.parametrize(("period", "first"), [("7d", "2026-02-23"), ("90d", "2025-12-02"), ("1y", "2025-03-02")])
async def test_every_period_ends_yesterday(analyst: Analyst, period: str, first: str) -> None:
    made = await analyst.run(period=period)

    assert (made["firstDay"], made["lastDay"]) == (first, "2026-03-01")
    assert made["findings"][0]["kind"] == "anomaly"


@pytest.mark.mission("M-BI-15")
async def test_the_same_figures_give_the_same_insights_without_looking_again(analyst: Analyst) -> None:
    first = await analyst.run()
    analyst.now += 6 * 3_600_000
    second = await analyst.run()

    assert second == {**first, "cached": True}


@pytest.mark.mission("M-BI-15")
async def test_force_looks_again(analyst: Analyst) -> None:
    await analyst.run()
    analyst.now += 3_600_000

    made = await analyst.run(forceRegenerate=True)

    assert "cached" not in made
    assert made["generatedAt"] == NOW + 3_600_000


async def test_changed_figures_are_looked_at_again(analyst: Analyst) -> None:
    await analyst.run()
    await analyst.put({LAST: 640.0})

    made = await analyst.run()

    assert "cached" not in made
    assert [one for one in made.get("findings", []) if one["kind"] == "anomaly"] == []


async def test_the_newest_insights_can_be_read(analyst: Analyst) -> None:
    store = InsightStore(analyst.database)
    assert await store.latest("acme", "30d") is None
    made = await analyst.run()
    analyst.now += 86_400_000
    newer = await analyst.run()

    found = await store.latest("acme", "30d")
    assert found is not None
    assert json.loads(msgspec.json.encode(found)) == newer
    assert newer["lastDay"] > made["lastDay"]
    assert await store.forget(before=NOW + 1) == 2  # the report of the first day and the alarm
    assert (await store.latest("acme", "30d")) is not None


async def test_the_shops_of_an_organization_are_added_up_and_others_are_not(analyst: Analyst) -> None:
    await analyst.put({LAST: 1.0}, "orders", "", shop="a")
    await analyst.put({LAST: 2.0}, "orders", "", shop="b")
    await analyst.put({LAST: 4.0}, "orders", "", shop="c", organization="other")

    found = await DailyTable(analyst.database)("acme", LAST, LAST)

    assert {one.metric: one.values for one in found}["orders"] == {LAST: 3.0}


async def test_rates_are_made_of_what_is_there(analyst: Analyst) -> None:
    await analyst.put({LAST: 10.0}, "orders", "")
    await analyst.put({LAST: 400.0, LAST - timedelta(days=1): 0.0}, "sessions", "")
    await analyst.put({LAST: 50.0}, "ad_spend")
    await analyst.put({LAST: 150.0}, "ad_revenue")
    await analyst.put({LAST: 90.0}, "revenue", "USD")

    found = {(one.metric, one.unit): one for one in await DailyTable(analyst.database)("acme", LAST, LAST)}

    assert found["conversion_rate", "%"].values == {LAST: 2.5}
    assert found["return_on_ad_spend", ""].values == {LAST: 3.0}
    assert found["average_order_value", "EUR"].additive is False


async def test_a_table_that_is_not_there_is_named(analyst: Analyst) -> None:
    source = DailyTable(analyst.database, "elsewhere")

    with pytest.raises(ConfigError, match="no table elsewhere: include the data sync"):
        await source("acme", LAST, LAST)


# -- alarms ------------------------------------------------------------------------------------------------------------


async def test_a_bad_day_is_an_alarm_once(analyst: Analyst) -> None:
    await analyst.run()
    await analyst.run()
    await analyst.run(forceRegenerate=True)
    await analyst.run(period="7d")

    (alarm,) = analyst.alarms
    assert alarm.id == "insight-anomaly-revenue-2026-03-01-acme"
    assert alarm.organization_id == "acme"
    assert alarm.finding.severity == "critical"


async def test_an_alarm_that_could_not_be_told_is_told_by_the_next_run(analyst: Analyst) -> None:
    class Down(Exception):
        pass

    async def down(alarm: Alarm) -> None:
        raise Down

    made = bundle(InsightsSettings.load(), database=analyst.database, clock=lambda: NOW, on_alarm=down)
    with pytest.raises(Down):
        await Desk.of(analyst.storage, made).send(MONTH, "insights-generation")

    assert (await analyst.run())["cached"] is True
    assert len(analyst.alarms) == 1


async def test_a_bad_day_weeks_ago_is_no_alarm(database: Database, memory: Storage) -> None:
    analyst = Analyst(database, memory)
    await analyst.put(figures(lambda ago, value: value * 0.4 if ago == 14 else value))
    made = await analyst.run()

    assert made["findings"][0]["severity"] == "critical"
    assert analyst.alarms == []


# -- the summary by a model --------------------------------------------------------------------------------------------


class Model:
    """An OpenAI-compatible endpoint."""

    def __init__(self, server: HTTPServer) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Response | None = None
        self.text = "Sales collapsed on Sunday."
        self.url = server.url_for("/v1")
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(self.respond)

    def respond(self, request: Request) -> Response:
        self.asked.append({"key": request.headers.get("Authorization"), **request.get_json()})
        content = {"choices": [{"index": 0, "message": {"role": "assistant", "content": self.text}}]}
        return self.answer or Response(json.dumps(content), content_type="application/json")


@pytest.fixture
def model(httpserver: HTTPServer, analyst: Analyst) -> Model:
    """A model, and the analyst asks it."""
    made = Model(httpserver)
    analyst.open(insights_ai_url=made.url, insights_ai_key="sk-secret-123456", insights_ai_model="small-1")
    return made


async def test_a_model_may_sum_up_and_is_told_the_findings_alone(analyst: Analyst, model: Model) -> None:
    made = await analyst.run()

    assert (made["summary"], made["summaryBy"]) == ("Sales collapsed on Sunday.", "small-1")
    (asked,) = model.asked
    assert (asked["model"], asked["key"]) == ("small-1", "Bearer sk-secret-123456")
    told = json.loads(asked["messages"][1]["content"])
    assert told == {"period": "30d", "findings": [one["text"] for one in made["findings"]]}
    assert "acme" not in json.dumps(asked)


async def test_the_same_figures_ask_no_model_twice(analyst: Analyst, model: Model) -> None:
    await analyst.run()
    await analyst.run()
    assert len(model.asked) == 1

    await analyst.run(forceRegenerate=True)
    assert len(model.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Response("{}", status=500),
        Response("{}", status=401),
        Response("{}", status=429, headers={"Retry-After": "60"}),
        Response("not json", content_type="application/json"),
        Response('{"choices": []}', content_type="application/json"),
        Response('{"choices": [{"message": {"content": null}}]}', content_type="application/json"),
    ],
)
async def test_without_the_model_the_findings_sum_up(analyst: Analyst, model: Model, answer: Response) -> None:
    model.answer = answer

    made = await analyst.run()

    assert (made["summary"], made["summaryBy"]) == (made["findings"][0]["text"], "findings")
    assert made["summaryProblem"].startswith("the model ")
    assert "sk-secret" not in json.dumps(made)


async def test_what_a_model_writes_is_text_of_a_bounded_length(analyst: Analyst, model: Model) -> None:
    model.text = "\x1b[31mSales\x00 fell.\n" + "x" * 10_000

    summary = (await analyst.run())["summary"]

    assert summary.startswith("[31mSales fell.\nxxx")
    assert len(summary) == 2_000


# -- what may be asked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        {"organizationId": "acme"},
        {"organizationId": "acme", "period": "2w"},
        {"organizationId": "", "period": "7d"},
        {**MONTH, "model": "gpt"},
    ],
)
def test_a_payload_that_cannot_be_meant_is_refused_when_it_is_added(payload: dict[str, str]) -> None:
    (definition,) = bundle(InsightsSettings.load(), database=Database("sqlite:///app.db"))

    with pytest.raises(PayloadError):
        definition.new(payload)


def test_a_model_has_a_name() -> None:
    with pytest.raises(ConfigError, match="INSIGHTS_AI_URL needs INSIGHTS_AI_MODEL"):
        InsightsSettings.load(insights_ai_url="https://api.example.com/v1")


def test_the_key_does_not_show() -> None:
    settings = InsightsSettings.load(insights_ai_key="sk-secret-123456")

    assert "sk-secret" not in repr(settings)
