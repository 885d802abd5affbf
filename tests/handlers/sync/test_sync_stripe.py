"""Stripe: lists with the newest first, connected accounts, amounts in the currency's smallest unit."""

import pytest

from corral.signals import Discard, Snooze
from tests.handlers.sync.fakes import FakeStripe, answer
from tests.handlers.sync.shop import DAY, HOUR, NOON, Office


@pytest.fixture
def desk(office: Office, stripe: FakeStripe) -> Office:
    """The office of an account with pages of two objects."""
    return office.open("stripe", stripe_api_key=stripe.key, stripe_url=stripe.url, sync_page_size=2)


@pytest.mark.mission("M-BI-12")
async def test_everything_is_fetched_page_by_page(desk: Office, stripe: FakeStripe) -> None:
    for number in range(5):
        stripe.charge(f"ch_{number}", NOON - HOUR - number * DAY)
    stripe.refund("re_1", NOON - DAY)
    stripe.customer("cus_1", NOON - 9 * DAY)

    done = await desk.sync(syncType="full")

    assert done["fetched"] == {"payments": 5, "refunds": 1, "customers": 1}
    assert await desk.ids("payments") == ["ch_0", "ch_1", "ch_2", "ch_3", "ch_4", "re_1"]
    asked = [one.get("starting_after") for one in stripe.asked if one["kind"] == "charges"]
    assert asked == [None, "ch_1", "ch_3"]


async def test_the_version_of_the_api_is_the_one_that_was_tested(desk: Office, stripe: FakeStripe) -> None:
    await desk.sync()

    assert {one["version"] for one in stripe.asked} == {"2025-09-30.clover"}
    assert {one["account"] for one in stripe.asked} == {None}


async def test_a_connected_account_is_named(desk: Office, stripe: FakeStripe) -> None:
    desk.open("stripe", stripe_api_key=stripe.key, stripe_url=stripe.url, stripe_account="acct_1")
    await desk.sync()

    assert {one["account"] for one in stripe.asked} == {"acct_1"}


async def test_figures_count_what_was_paid(desk: Office, stripe: FakeStripe) -> None:
    stripe.charge("ch_1", NOON, 1999)
    stripe.charge("ch_2", NOON, 500, "jpy")
    stripe.charge("ch_3", NOON, 700, status="failed")
    stripe.refund("re_1", NOON, 250)
    desk.now += 1000
    await desk.sync()

    assert await desk.daily("payments") == {"2026-03-02": 2.0}
    assert await desk.daily("refunded") == {"2026-03-02": 2.5}
    paid = {row["external_id"]: (row["currency"], row["amount_minor"]) for row in await desk.rows("payments")}
    assert paid["ch_2"] == ("JPY", 500)


async def test_the_days_before_are_looked_at_again(desk: Office, stripe: FakeStripe) -> None:
    stripe.charge("ch_1", NOON - 2 * DAY, status="pending")
    stripe.charge("ch_2", NOON - DAY)
    await desk.sync()
    assert await desk.daily("payments") == {"2026-03-01": 1.0}

    stripe.charge("ch_1", NOON - 2 * DAY, status="succeeded")
    desk.now += HOUR
    await desk.sync()

    assert await desk.daily("payments") == {"2026-02-28": 1.0, "2026-03-01": 1.0}


async def test_the_key_stands_in_no_error(desk: Office, stripe: FakeStripe) -> None:
    body = {"error": {"message": f"Invalid API Key provided: {stripe.key}"}}
    stripe.troubles = [answer(body, 401)]

    with pytest.raises(Discard, match="Stripe answered 401") as caught:
        await desk.sync()
    assert stripe.key not in str(caught.value)
    assert stripe.key not in str((await desk.integration()).last_error)


async def test_a_limit_without_a_time_rests_a_minute(desk: Office, stripe: FakeStripe) -> None:
    stripe.troubles = [answer({"error": {"code": "rate_limit"}}, 429)]

    with pytest.raises(Snooze) as caught:
        await desk.sync()
    assert caught.value.seconds == 60


async def test_a_pass_whose_place_is_not_known_any_more_begins_anew(desk: Office, stripe: FakeStripe) -> None:
    """What a page ended with may be deleted before the next one is asked for."""
    for number in range(4):
        stripe.charge(f"ch_{number}", NOON - HOUR - number * DAY)
    stripe.troubles = [None, answer({}, 503, Retry_After="5")]
    ctx = await desk.desk.begin(desk.payload(), "data-sync")
    with pytest.raises(Snooze):
        await desk.desk.run(ctx)
    stripe.objects["charges"] = [one for one in stripe.objects["charges"] if one["id"] != "ch_1"]

    await desk.desk.run(ctx)

    assert await desk.ids("payments") == ["ch_0", "ch_1", "ch_2", "ch_3"]
    assert (await desk.integration()).status == "active"
