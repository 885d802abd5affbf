"""Shopify: pages by cursor, throttling by cost, keys that are not accepted."""

import pytest

from corral.handlers.kit.web import WebError
from corral.signals import Discard, Snooze
from tests.handlers.sync.fakes import FakeShopify, answer, iso
from tests.handlers.sync.shop import DAY, HOUR, NOON, Office


@pytest.fixture
def desk(office: Office, shopify: FakeShopify) -> Office:
    """The office of a shop with pages of two objects."""
    return office.open(
        "shopify", shopify_shop="acme.myshopify.com", shopify_access_token=shopify.token, shopify_url=shopify.url,
        sync_page_size=2,
    )  # fmt: skip


@pytest.mark.mission("M-BI-12")
async def test_everything_is_fetched_page_by_page(desk: Office, shopify: FakeShopify) -> None:
    for number in range(5):
        shopify.order(number, NOON - 5 * DAY + number * HOUR)
    shopify.product(1, NOON - DAY)
    shopify.customer(1, NOON - DAY)

    done = await desk.sync(syncType="full")

    assert done == {
        "integrationId": "shop", "platform": "shopify", "syncType": "full",
        "fetched": {"orders": 5, "products": 1, "customers": 1}, "pages": 5, "calls": 5,
    }  # fmt: skip
    assert await desk.ids("orders") == ["0", "1", "2", "3", "4"]
    assert [one["after"] for one in shopify.asked if one["kind"] == "orders"] == [None, "2", "4"]


async def test_an_order_is_kept_as_it_is_there(desk: Office, shopify: FakeShopify) -> None:
    refunded = {"shopMoney": {"amount": "2.5", "currencyCode": "EUR"}}
    shopify.order(7, NOON - DAY, "12.34", totalRefundedSet=refunded)
    await desk.sync()

    (order,) = await desk.rows("orders")
    del order["run"]
    assert order == {
        "integration_id": "shop", "external_id": "gid://shopify/Order/7", "organization_id": "acme",
        "day": "2026-03-01", "placed_at": NOON - DAY, "changed_at": NOON - DAY, "number": "#7", "status": "paid",
        "cancelled": 0,
        "currency": "EUR", "total_minor": 1234, "refunded_minor": 250, "items": 2,
        "customer_id": "gid://shopify/Customer/1",
    }  # fmt: skip


async def test_products_and_customers_are_kept_without_who_they_are(desk: Office, shopify: FakeShopify) -> None:
    shopify.product(1, NOON - DAY)
    shopify.customer(1, NOON - DAY)
    await desk.sync()

    (product,), (customer,) = await desk.rows("products"), await desk.rows("customers")
    assert (product["title"], product["price_minor"], product["inventory"]) == ("Thing 1", 995, 5)
    assert (customer["orders"], customer["spent_minor"], customer["day"]) == (3, 3000, "2026-03-01")


@pytest.mark.mission("M-BI-12")
async def test_the_next_sync_asks_for_what_changed_since(desk: Office, shopify: FakeShopify) -> None:
    shopify.order(0, NOON - 3 * DAY)
    shopify.order(1, NOON - 2 * DAY)
    await desk.sync()
    desk.now += HOUR
    shopify.order(2, NOON + 60_000)
    shopify.asked.clear()

    done = await desk.sync()

    assert done["fetched"]["orders"] == 2  # the newest one again: what else came within its second may be missing
    asked = next(one for one in shopify.asked if one["kind"] == "orders")
    since, until = iso(NOON - 2 * DAY - 300_000), iso(NOON + HOUR)
    assert asked["query"] == f"updated_at:>='{since}' updated_at:<'{until}'"
    assert await desk.ids("orders") == ["0", "1", "2"]


async def test_a_changed_order_is_written_in_place_and_its_day_counted_again(
    desk: Office, shopify: FakeShopify
) -> None:
    shopify.order(1, NOON - DAY, "10.00")
    shopify.order(2, NOON - DAY, "20.00")
    await desk.sync()
    assert (await desk.daily("revenue"), await desk.daily("orders")) == ({"2026-03-01": 30.0}, {"2026-03-01": 2.0})

    shopify.order(1, NOON - DAY, "10.00", cancelledAt=iso(NOON), updatedAt=iso(NOON))
    desk.now += HOUR
    await desk.sync()

    assert (await desk.daily("revenue"), await desk.daily("orders")) == ({"2026-03-01": 20.0}, {"2026-03-01": 1.0})


async def test_days_are_those_of_the_business(desk: Office, shopify: FakeShopify) -> None:
    await desk.integrations.save(
        "shop", organization_id="acme", platform="shopify", config={"timezone": "Pacific/Auckland"}
    )
    shopify.order(1, NOON - DAY)  # 13 hours ahead, it is the next day already
    await desk.sync()

    assert await desk.daily("orders") == {"2026-03-02": 1.0}


async def test_amounts_of_other_currencies_keep_to_themselves(desk: Office, shopify: FakeShopify) -> None:
    shopify.order(1, NOON - DAY, "1500", "JPY")
    await desk.sync()

    (order,) = await desk.rows("orders")
    assert order["total_minor"] == 1500
    assert await desk.daily("revenue") == {"2026-03-01": 1500.0}


@pytest.mark.mission("M-BI-12")
async def test_a_full_sync_removes_products_that_are_gone(desk: Office, shopify: FakeShopify) -> None:
    shopify.product(1, NOON - DAY)
    shopify.product(2, NOON - DAY)
    shopify.order(1, NOON - DAY)
    await desk.sync()
    shopify.objects["products"].pop()
    shopify.objects["orders"].clear()  # without a scope, orders older than 60 days are not shown

    incremental = await desk.sync()
    full = await desk.sync(syncType="full")

    assert "removed" not in incremental
    assert full["removed"] == {"products": 1}
    assert (await desk.ids("products"), await desk.ids("orders")) == (["1"], ["1"])


@pytest.mark.mission("M-BI-12")
async def test_a_span_of_days_is_fetched_and_leaves_the_watermark(desk: Office, shopify: FakeShopify) -> None:
    shopify.order(1, NOON - 40 * DAY)
    shopify.order(2, NOON - DAY)

    await desk.sync(startDate="2026-01-20", endDate="2026-01-25")
    assert await desk.ids("orders") == ["1"]
    await desk.sync()

    assert await desk.ids("orders") == ["1", "2"]


async def test_a_throttled_query_waits_until_its_cost_is_there(desk: Office, shopify: FakeShopify) -> None:
    shopify.troubles = [shopify.throttled(left=10, cost=110, rate=50)]

    with pytest.raises(Snooze) as caught:
        await desk.sync()

    assert caught.value.seconds == 2.0
    quota = (await desk.integration()).quota
    assert quota is not None
    assert (quota.limit, quota.remaining) == (1000, 10)


async def test_a_token_that_is_not_accepted_ends_the_integration(desk: Office, shopify: FakeShopify) -> None:
    shopify.troubles = [answer({"errors": "[API] Invalid API key or access token"}, 401)]

    with pytest.raises(Discard, match="Shopify answered 401"):
        await desk.sync()

    state = await desk.integration()
    assert (state.status, state.failures, state.error_at) == ("error", 1, NOON)
    assert [problem.integration.status for problem in desk.problems] == ["error"]
    assert shopify.token not in str(state.last_error)


async def test_access_denied_in_the_answer_is_the_same(desk: Office, shopify: FakeShopify) -> None:
    denied = {"message": "Access denied for orders field.", "extensions": {"code": "ACCESS_DENIED"}}
    shopify.troubles = [answer({"errors": [denied]})]

    with pytest.raises(Discard, match="denies access: Access denied for orders"):
        await desk.sync()
    assert (await desk.integration()).status == "error"


async def test_a_query_that_is_refused_is_not_tried_again(desk: Office, shopify: FakeShopify) -> None:
    shopify.troubles = [
        answer({"errors": [{"message": "Field 'x' doesn't exist", "extensions": {"code": "undefined"}}]})
    ]

    with pytest.raises(Discard, match="refused the query"):
        await desk.sync()


@pytest.mark.parametrize(
    "trouble",
    [
        answer({"errors": [{"message": "Internal error", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}),
        answer({"error": "oops"}, 502),
        answer({"data": {"orders": {"nodes": [{"id": 5}]}}}),
        answer({"data": {}}),
        answer([]),
    ],
)
async def test_an_answer_that_makes_no_sense_is_asked_for_again(
    desk: Office, shopify: FakeShopify, trouble: object
) -> None:
    shopify.troubles = [trouble]  # type: ignore[list-item]

    with pytest.raises(WebError):
        await desk.sync()
    state = await desk.integration()
    assert (state.status, state.failures) == ("active", 1)


async def test_only_shops_of_shopify_get_the_token(office: Office, shopify: FakeShopify) -> None:
    desk = office.open("shopify", shopify_shop="evil.example", shopify_access_token=shopify.token)

    with pytest.raises(Discard, match=r"shop must be name\.myshopify\.com, not 'evil\.example'"):
        await desk.sync()
