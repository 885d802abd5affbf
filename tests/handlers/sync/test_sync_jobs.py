"""What becomes of a sync: dead workers, long ones, several at once, and what people are told."""

import asyncio
import json
from contextlib import suppress

import msgspec
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from pydantic import SecretStr

from corral import Corral, GroupLimits, Queue
from corral.errors import ConfigError, PayloadError, RecordNotFoundError
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import WebError
from corral.handlers.sync import PLATFORMS, SCHEMA, Integrations, SyncSettings, bundle, by_integration
from corral.handlers.sync.tables import INTEGRATIONS
from corral.signals import Discard, Retry, Snooze
from corral.storage.port import Storage
from tests.handlers.databases import differences, opened_at_once
from tests.handlers.sync.fakes import FakeShopify, FakeStripe, answer
from tests.handlers.sync.shop import DAY, HOUR, NOON, Office


@pytest.fixture
def desk(office: Office, shopify: FakeShopify) -> Office:
    """The office of a shop with pages of two objects and ten orders."""
    for number in range(10):
        shopify.order(number, NOON - 10 * DAY + number * HOUR)
    return office.open(
        "shopify", shopify_shop="acme.myshopify.com", shopify_access_token=shopify.token, shopify_url=shopify.url,
        sync_page_size=2,
    )  # fmt: skip


async def until_held(queue: Queue, group: str) -> None:
    """Wait until a group rests."""
    async with asyncio.timeout(30):
        while (await queue.group(group).info()).held_until is None:  # noqa: ASYNC110  # the store has no event for it
            await asyncio.sleep(0.02)


def orders_asked(shopify: FakeShopify) -> list[str | None]:
    return [one["after"] for one in shopify.asked if one["kind"] == "orders"]


# -- tables ------------------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["0001"] * 4


# -- runs that do not come to their end --------------------------------------------------------------------------------


async def test_a_run_that_died_is_gone_on_with_where_it_was(desk: Office, shopify: FakeShopify) -> None:
    shopify.troubles = [None, None, answer({}, 500)]
    ctx = await desk.desk.begin(desk.payload(), "data-sync")
    with pytest.raises(WebError):
        await desk.desk.run(ctx)
    assert await desk.ids("orders") == ["0", "1", "2", "3"]

    again = await desk.desk.recover(ctx)
    await desk.desk.run(again)

    assert orders_asked(shopify) == [None, "2", "4", "6", "8"]
    assert len(await desk.ids("orders")) == 10
    assert sum((await desk.daily("orders")).values()) == 10


async def test_a_job_that_is_added_again_under_its_id_fetches_anew(desk: Office, shopify: FakeShopify) -> None:
    ctx = await desk.desk.begin(desk.payload(), "data-sync")
    await desk.desk.run(ctx)
    shopify.order(11, NOON - HOUR)
    desk.now += HOUR

    await desk.desk.run(ctx)  # the worker died after all was done, or a person retries the job

    assert len(await desk.ids("orders")) == 11


async def test_a_long_sync_gives_up_its_slot_and_goes_on(desk: Office, shopify: FakeShopify) -> None:
    desk.open(
        "shopify", shopify_shop="acme.myshopify.com", shopify_access_token=shopify.token, shopify_url=shopify.url,
        sync_page_size=2, sync_turn=0.001,
    )  # fmt: skip
    ticking = iter(range(NOON, NOON + 1_000_000, 10))
    desk.desk = desk.desk.of(desk.storage, bundle(desk.settings, database=desk.database, clock=lambda: next(ticking)))
    ctx = await desk.desk.begin(desk.payload(), "data-sync")
    for _ in range(4):
        with pytest.raises(Snooze, match="another turn goes on from here"):
            await desk.desk.run(ctx)

    done = msgspec.to_builtins(await desk.desk.run(ctx))

    assert orders_asked(shopify) == [None, "2", "4", "6", "8"]
    assert done["fetched"] == {"orders": 10, "products": 0, "customers": 0}
    assert (done["pages"], done["calls"]) == (7, 7)


async def test_two_jobs_do_not_sync_the_same_integration_at_once(desk: Office, shopify: FakeShopify) -> None:
    async with desk.database.begin() as connection:
        await connection.execute(
            sa.insert(INTEGRATIONS).values(
                id="shop", organization_id="acme", platform="shopify", status="active", config={}, failures=0, calls=0,
                calls_day="", held_by="another", held_until=NOON + 5_000, created_at=0, updated_at=0,
            )
        )  # fmt: skip

    with pytest.raises(Snooze, match="another job is syncing it") as caught:
        await desk.sync()
    assert (caught.value.seconds, shopify.asked) == (5, [])

    desk.now += 5_001  # it died
    await desk.sync()
    assert len(await desk.ids("orders")) == 10


async def test_whoever_lost_the_integration_writes_nothing_more(desk: Office, shopify: FakeShopify) -> None:
    """A job that hung for two minutes does not know that another one has begun."""

    async def taken_over() -> None:
        async with desk.database.begin() as connection:
            await connection.execute(sa.update(INTEGRATIONS).values(held_by="another"))

    loop = asyncio.get_running_loop()

    def meanwhile() -> None:
        asyncio.run_coroutine_threadsafe(taken_over(), loop).result(timeout=30)

    shopify.troubles = [None, meanwhile]
    with pytest.raises(Snooze, match="another job has taken the integration over"):
        await desk.sync()
    assert await desk.ids("orders") == ["0", "1"]
    async with desk.database.connect() as connection:
        assert await connection.scalar(sa.select(INTEGRATIONS.c.held_by)) == "another"


async def test_a_platform_that_wants_a_rest_gets_one_for_the_integration_alone(
    desk: Office, shopify: FakeShopify
) -> None:
    shopify.troubles = [answer({}, 429, Retry_After="20")]
    definition = desk.desk.definitions["data-sync"]
    await desk.storage.add([definition.new(desk.payload(), group="shop")])

    with pytest.raises(Retry) as caught:
        await desk.desk.run(await desk.desk.claim())

    assert (caught.value.after, caught.value.pause) == (20, "group")


async def test_others_go_on_while_one_integration_rests(
    app_database: str, shopify: FakeShopify, stripe: FakeStripe
) -> None:
    settings = SyncSettings.load(
        shopify_shop="acme.myshopify.com", shopify_access_token=shopify.token, shopify_url=shopify.url,
        stripe_api_key=stripe.key, stripe_url=stripe.url,
    )  # fmt: skip
    shopify.troubles = [answer({}, 429, Retry_After="3000")]
    app, database = Corral("sqlite:///:memory:"), Database(app_database)
    database.attach(app)
    queue = app.include(bundle(settings, database=database), concurrency=2, group_limits=GroupLimits(concurrency=1))
    app.enqueue_middleware(by_integration())
    sync = queue.definition("data-sync")

    async with app, await app.worker():
        first = await sync.add({"integrationId": "a", "organizationId": "acme", "platform": "shopify"})
        await until_held(await app.open_queue("data-sync"), "a")
        await sync.add({"integrationId": "a", "organizationId": "acme", "platform": "shopify"})
        other = await sync.add({"integrationId": "b", "organizationId": "acme", "platform": "stripe"})

        assert (await other.result(timeout=30))["platform"] == "stripe"
        assert (await first.get()).attempts_made == 0
    assert len(shopify.asked) == 0


# -- integrations ------------------------------------------------------------------------------------------------------


async def test_an_integration_works_again_when_its_keys_are_right(desk: Office, shopify: FakeShopify) -> None:
    shopify.troubles = [answer({}, 401), answer({}, 403)]
    for _ in range(2):
        with pytest.raises(Discard):
            await desk.sync()
    assert ((await desk.integration()).failures, len(desk.problems)) == (2, 1)

    await desk.sync()

    state = await desk.integration()
    assert (state.status, state.last_error, state.failures, state.synced_at) == ("active", None, 0, NOON)


async def test_people_are_told_under_the_same_id_in_every_attempt(desk: Office, shopify: FakeShopify) -> None:
    shopify.troubles = [answer({}, 401)]
    ctx = await desk.desk.begin(desk.payload(), "data-sync", id="sync-1")
    with pytest.raises(Discard):
        await desk.desk.run(ctx)

    assert [problem.id for problem in desk.problems] == ["sync-shop-sync-1"]


async def test_a_paused_integration_is_left_alone(desk: Office, shopify: FakeShopify) -> None:
    await desk.sync()
    await desk.integrations.pause("shop")
    shopify.asked.clear()

    assert (await desk.sync())["skipped"] == "the integration is paused"
    assert shopify.asked == []
    await desk.integrations.resume("shop")
    await desk.sync()
    assert shopify.asked != []


@pytest.mark.parametrize("status", [200, 401])
async def test_an_integration_that_is_paused_while_it_is_synced_stays_paused(
    desk: Office, shopify: FakeShopify, status: int
) -> None:
    loop = asyncio.get_running_loop()

    def meanwhile() -> None:
        asyncio.run_coroutine_threadsafe(desk.integrations.pause("shop"), loop).result(timeout=30)

    shopify.troubles = [meanwhile, *([answer({}, 401)] if status == 401 else [])]
    with suppress(Discard):
        await desk.sync()

    assert (await desk.integration()).status == "paused"


async def test_an_integration_of_somebody_else_is_not_synced(desk: Office, shopify: FakeShopify) -> None:
    await desk.sync()

    with pytest.raises(Discard, match="'shop' is not a shopify account of 'evil'"):
        await desk.sync(organizationId="evil")


async def test_requests_are_counted_by_day(desk: Office, shopify: FakeShopify) -> None:
    await desk.sync()
    await desk.sync()
    assert (await desk.integration()).calls_today == 14 - 4  # the second one has one page of each

    desk.now += DAY
    assert (await desk.integration()).calls_today == 0


async def test_missing_keys_are_named(office: Office) -> None:
    desk = office.open("shopify")

    with pytest.raises(Discard, match="shopify needs SHOPIFY_SHOP and SHOPIFY_ACCESS_TOKEN"):
        await desk.sync()
    assert (await desk.integration()).status == "error"


async def test_an_integration_has_keys_of_its_own(office: Office, shopify: FakeShopify) -> None:
    desk = office.open("shopify", shopify_url=shopify.url, sync_keys=Fernet.generate_key().decode())
    saved = await desk.integrations.save(
        "shop", organization_id="acme", platform="shopify", config={"shop": "acme.myshopify.com"},
        credentials={"accessToken": shopify.token},
    )  # fmt: skip
    shopify.order(1, NOON - DAY)
    await desk.sync()

    assert saved.has_credentials
    assert await desk.ids("orders") == ["1"]
    async with desk.database.connect() as connection:
        sealed = await connection.scalar(sa.select(INTEGRATIONS.c.credentials))
    assert sealed is not None
    assert shopify.token not in sealed


async def test_keys_can_be_replaced_one_after_the_other(office: Office, shopify: FakeShopify) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    desk = office.open("shopify", shopify_url=shopify.url, sync_keys=old)
    await desk.integrations.save(
        "shop", organization_id="acme", platform="shopify", config={"shop": "acme.myshopify.com"},
        credentials={"accessToken": shopify.token},
    )  # fmt: skip
    await desk.open("shopify", shopify_url=shopify.url, sync_keys=f"{new},{old}").sync()

    with pytest.raises(Discard, match="none of SYNC_KEYS opens"):
        await desk.open("shopify", shopify_url=shopify.url, sync_keys=new).sync()


async def test_the_operators_keys_go_to_no_shop_of_somebody_else(office: Office, shopify: FakeShopify) -> None:
    desk = office.open(
        "shopify", shopify_shop="acme.myshopify.com", shopify_access_token=shopify.token, shopify_url=shopify.url
    )
    await desk.integrations.save(
        "shop", organization_id="acme", platform="shopify", config={"shop": "other.myshopify.com"}
    )

    with pytest.raises(Discard, match="names its own shop and has no credentials"):
        await desk.sync()
    assert shopify.asked == []


async def test_credentials_are_not_kept_open(office: Office) -> None:
    desk = office.open("stripe")

    with pytest.raises(ConfigError, match="set SYNC_KEYS"):
        await desk.integrations.save("s", organization_id="a", platform="stripe", credentials={"apiKey": "sk_1"})


async def test_saving_again_keeps_the_credentials(office: Office) -> None:
    desk = office.open("stripe", sync_keys=Fernet.generate_key().decode())
    keys = {"apiKey": "sk_1"}
    await desk.integrations.save("s", organization_id="a", platform="stripe", credentials=keys)
    kept = await desk.integrations.save("s", organization_id="a", platform="stripe", config={"account": "acct_1"})
    gone = await desk.integrations.save("s", organization_id="a", platform="stripe", credentials=None)

    assert (kept.has_credentials, kept.config, gone.has_credentials) == (True, {"account": "acct_1"}, False)


@pytest.mark.parametrize(
    ("platform", "config", "complaint"),
    [
        ("magento", {}, "'magento' is not known"),
        ("stripe", {"shop": "x"}, "config of stripe may have account, timezone, not shop"),
        ("shopify", {"timezone": "Mars/Olympus"}, "'Mars/Olympus' is not known"),
    ],
)
async def test_what_a_platform_does_not_know_is_refused(
    office: Office, platform: str, config: dict[str, str], complaint: str
) -> None:
    desk = office.open("stripe")

    with pytest.raises(ConfigError, match=complaint):
        await desk.integrations.save("s", organization_id="a", platform=platform, config=config)


async def test_integrations_can_be_listed_counted_and_deleted(desk: Office, shopify: FakeShopify) -> None:
    await desk.sync()
    await desk.integrations.save("other", organization_id="beta", platform="stripe")

    assert [one.id for one in await desk.integrations.list()] == ["other", "shop"]
    assert [one.id for one in await desk.integrations.list("acme")] == ["shop"]
    assert (await desk.integrations.counts("shop"))["orders"] == 10

    await desk.integrations.delete("shop", data=True)
    assert (await desk.integrations.counts("shop"))["orders"] == 0
    assert await desk.daily("orders") == {}
    with pytest.raises(RecordNotFoundError):
        await desk.integrations.get("shop")
    with pytest.raises(RecordNotFoundError):
        await desk.integrations.pause("shop")


# -- what a job may carry ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_platform_may_be_named(platform: str, memory: Storage, tmp_path: object) -> None:
    made = bundle(SyncSettings.load(), database=Database(f"sqlite:///{tmp_path}/app.db"))
    (definition,) = made
    job = definition.new({"integrationId": "1", "organizationId": "2", "platform": platform})
    assert json.loads(job.data)["syncType"] == "incremental"


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"platform": "magento"}, "platform"),
        ({"syncType": "sideways"}, "syncType"),
        ({"startDate": "2026-02-01", "endDate": "2026-01-01"}, "startDate 2026-02-01 is after endDate 2026-01-01"),
        ({"startDate": "soon"}, "startDate"),
        ({"integrationId": ""}, "integrationId"),
        ({"token": "x"}, "token"),
    ],
)
def test_a_payload_that_cannot_be_meant_is_refused_when_it_is_added(
    more: dict[str, str], complaint: str, tmp_path: object
) -> None:
    (definition,) = bundle(SyncSettings.load(), database=Database(f"sqlite:///{tmp_path}/app.db"))

    with pytest.raises(PayloadError, match=complaint):
        definition.new({"integrationId": "1", "organizationId": "2", "platform": "stripe", **more})


def test_secrets_do_not_show() -> None:
    settings = SyncSettings.load(stripe_api_key="sk_live_1", sync_keys="x", shopify_access_token="shpat_1")

    assert "sk_live_1" not in repr(settings)
    assert "shpat_1" not in repr(settings)
    assert isinstance(settings.stripe_api_key, SecretStr)


def test_keys_that_are_none_are_refused_at_once(tmp_path: object) -> None:
    settings = SyncSettings.load(sync_keys="too short")

    with pytest.raises(ConfigError, match="SYNC_KEYS must be Fernet keys"):
        bundle(settings, database=Database(f"sqlite:///{tmp_path}/app.db"))


def test_integrations_of_a_database_need_its_tables(tmp_path: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/app.db")
    Integrations(database, SyncSettings.load())

    assert database.schemas == (SCHEMA,)
