"""WooCommerce: pages that do not shift, refunds, and sites that are not somebody's."""

import pytest

from corral.handlers.kit.web import WebError
from corral.signals import Discard, Snooze
from tests.handlers.sync.fakes import FakeWoo, answer
from tests.handlers.sync.shop import DAY, HOUR, NOON, Office


@pytest.fixture
def desk(office: Office, woo: FakeWoo) -> Office:
    """The office of a site with pages of two objects."""
    return office.open(
        "woocommerce", woocommerce_site="https://shop.example", woocommerce_key=woo.key, woocommerce_secret=woo.secret,
        woocommerce_url=woo.url, sync_page_size=2,
    )  # fmt: skip


@pytest.mark.mission("M-BI-13")
async def test_everything_is_fetched_page_by_page(desk: Office, woo: FakeWoo) -> None:
    for number in range(1, 6):
        woo.order(number, NOON - 5 * DAY + number * HOUR)
    for number in range(11, 14):
        woo.product(number, NOON - DAY)
        woo.customer(number, NOON - number * DAY)

    done = await desk.sync(syncType="full")

    assert await desk.ids("orders") == ["1", "2", "3", "4", "5"]
    assert await desk.ids("products") == ["11", "12", "13"]
    assert await desk.ids("customers") == ["11", "12", "13"]
    assert "email" not in (await desk.rows("customers"))[0]
    assert done["fetched"]["customers"] == 3


async def test_an_order_is_kept_as_it_is_there(desk: Office, woo: FakeWoo) -> None:
    woo.order(7, NOON - DAY, "12.34", refunds=[{"id": 1, "total": "-2.50"}, {"id": 2, "total": "-0.04"}])
    await desk.sync()

    (order,) = await desk.rows("orders")
    assert (order["total_minor"], order["refunded_minor"], order["items"]) == (1234, 254, 3)
    assert (order["number"], order["customer_id"], order["day"]) == ("7", "7", "2026-03-01")
    assert await desk.daily("revenue") == {"2026-03-01": 9.8}


async def test_orders_that_came_to_nothing_are_not_counted(desk: Office, woo: FakeWoo) -> None:
    for number, status in enumerate(("completed", "processing", "cancelled", "failed", "pending"), 1):
        woo.order(number, NOON - DAY, status=status)
    await desk.sync()

    assert await desk.daily("orders") == {"2026-03-01": 2.0}


async def test_nothing_is_missed_when_an_order_changes_between_two_pages(desk: Office, woo: FakeWoo) -> None:
    """With pages by number the fourth order would move to where the third one was, which was read already."""
    for number in range(1, 6):
        woo.order(number, NOON - 5 * DAY + number * HOUR)

    def change() -> None:
        woo.between = None
        woo.order(1, NOON - DAY)

    woo.between = change
    await desk.sync()

    assert await desk.ids("orders") == ["1", "2", "3", "4", "5"]
    assert (await desk.rows("orders"))[0]["changed_at"] == NOON - DAY


async def test_many_changes_within_one_second_are_all_fetched(desk: Office, woo: FakeWoo) -> None:
    for number in range(1, 8):
        woo.order(number, NOON - DAY)

    await desk.sync()
    await desk.sync()

    assert await desk.ids("orders") == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.mission("M-BI-13")
async def test_the_next_sync_asks_for_what_changed_since(desk: Office, woo: FakeWoo) -> None:
    woo.order(1, NOON - 2 * DAY)
    woo.order(2, NOON - DAY)
    await desk.sync()
    woo.asked.clear()
    desk.now += HOUR
    woo.order(3, NOON + 60_000)

    done = await desk.sync()

    assert done["fetched"]["orders"] == 2
    assert woo.asked[0]["modified_after"] == "2026-03-01T11:54:59Z"
    assert woo.asked[0]["dates_are_gmt"] == "true"


@pytest.mark.mission("M-BI-13")
async def test_a_full_sync_removes_what_is_gone(desk: Office, woo: FakeWoo) -> None:
    for number in range(1, 4):
        woo.order(number, NOON - DAY)
    await desk.sync()
    woo.objects["orders"].pop()

    done = await desk.sync(syncType="full")

    assert done["removed"] == {"orders": 1}
    assert await desk.daily("orders") == {"2026-03-01": 2.0}


async def test_a_site_that_is_busy_is_left_alone_for_as_long_as_it_says(desk: Office, woo: FakeWoo) -> None:
    woo.troubles = [answer({}, 429, Retry_After="30")]

    with pytest.raises(Snooze) as caught:
        await desk.sync()
    assert caught.value.seconds == 30


async def test_keys_that_are_not_accepted_end_the_integration(desk: Office, woo: FakeWoo) -> None:
    woo.secret = "cs_another"

    with pytest.raises(Discard, match="WooCommerce answered 401"):
        await desk.sync()
    assert (await desk.integration()).status == "error"


async def test_a_page_of_html_is_no_answer(desk: Office, woo: FakeWoo) -> None:
    maintenance = answer("x")
    maintenance.set_data("<html>Briefly unavailable for scheduled maintenance</html>")
    woo.troubles = [maintenance]

    with pytest.raises(WebError, match="did not answer as it should"):
        await desk.sync()


@pytest.mark.parametrize(
    "site",
    [
        "http://169.254.169.254",
        "https://10.0.0.1",
        "ftp://shop.example",
        "https://ann:secret@shop.example",
    ],
)
async def test_a_site_inside_the_network_is_not_gone_to(office: Office, woo: FakeWoo, site: str) -> None:
    desk = office.open("woocommerce", woocommerce_site=site, woocommerce_key=woo.key, woocommerce_secret=woo.secret)

    with pytest.raises(Discard) as caught:
        await desk.sync()
    assert (await desk.integration()).status == "error"
    assert woo.secret not in str(caught.value)
