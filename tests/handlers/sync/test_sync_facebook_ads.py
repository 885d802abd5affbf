"""Facebook Ads: what campaigns cost and brought, and errors that come as codes."""

import pytest

from corral.handlers.kit.web import WebError
from corral.signals import Discard, Snooze
from tests.handlers.sync.fakes import FakeMeta
from tests.handlers.sync.shop import DAY, Office


@pytest.fixture
def desk(office: Office, meta: FakeMeta) -> Office:
    """The office of an ad account with pages of two lines."""
    return office.open(
        "facebook-ads", facebook_ad_account="act_77", facebook_access_token=meta.token, facebook_url=meta.url,
        sync_page_size=2, sync_history_days=30,
    )  # fmt: skip


@pytest.mark.mission("M-BI-12")
async def test_everything_is_fetched_page_by_page(desk: Office, meta: FakeMeta) -> None:
    for day in range(1, 6):
        meta.day(f"2026-02-2{day}", "100", f"{day}.50", bought=day)

    done = await desk.sync()

    assert (done["fetched"], done["pages"]) == ({"ad-spend": 5}, 3)
    assert [one.get("after") for one in meta.asked] == [None, "2", "4"]
    assert (meta.asked[0]["since"], meta.asked[0]["until"]) == ("2026-01-31", "2026-03-02")
    assert await desk.daily("ad_spend") == {f"2026-02-2{day}": day + 0.5 for day in range(1, 6)}


async def test_a_purchase_is_counted_once(desk: Office, meta: FakeMeta) -> None:
    meta.day("2026-03-01", "100", "10.00", bought=3)
    await desk.sync()

    assert await desk.daily("ad_conversions") == {"2026-03-01": 3}
    assert await desk.daily("ad_revenue") == {"2026-03-01": 40.5}
    (line,) = await desk.rows("ad-spend")
    assert (line["campaign"], line["impressions"], line["clicks"]) == ("Campaign 100", 1000, 20)


async def test_the_last_week_is_looked_at_again(desk: Office, meta: FakeMeta) -> None:
    meta.day("2026-02-28", "100", "10.00")
    await desk.sync()
    meta.day("2026-02-28", "100", "11.00")
    desk.now += DAY

    await desk.sync()

    assert meta.asked[-1]["since"] == "2026-02-23"
    assert await desk.daily("ad_spend") == {"2026-02-28": 11.0}


async def test_the_usage_is_noted(desk: Office, meta: FakeMeta) -> None:
    await desk.sync()

    quota = (await desk.integration()).quota
    assert quota is not None
    assert (quota.limit, quota.remaining) == (100, 88)


@pytest.mark.parametrize(("code", "minutes", "rest"), [(17, None, 300), (80_000, 19, 1140), (613, 0, 300)])
async def test_a_limit_rests_for_as_long_as_it_says(
    desk: Office, meta: FakeMeta, code: int, minutes: int | None, rest: float
) -> None:
    meta.troubles = [meta.failure(code, minutes=minutes)]

    with pytest.raises(Snooze) as caught:
        await desk.sync()
    assert caught.value.seconds == rest


@pytest.mark.parametrize(("code", "status"), [(190, 400), (10, 403), (200, 403)])
async def test_a_token_that_has_run_out_ends_the_integration(
    desk: Office, meta: FakeMeta, code: int, status: int
) -> None:
    meta.troubles = [meta.failure(code, status)]

    with pytest.raises(Discard, match=f"OAuthException {code}"):
        await desk.sync()
    assert (await desk.integration()).status == "error"
    assert len(desk.problems) == 1


async def test_an_error_of_theirs_is_tried_again(desk: Office, meta: FakeMeta) -> None:
    meta.troubles = [meta.failure(2, 500)]

    with pytest.raises(WebError, match="failed: OAuthException 2"):
        await desk.sync()


async def test_a_question_that_is_refused_is_not_asked_again(desk: Office, meta: FakeMeta) -> None:
    meta.troubles = [meta.failure(100)]

    with pytest.raises(Discard, match="refused"):
        await desk.sync()


async def test_an_account_is_digits(office: Office, meta: FakeMeta) -> None:
    desk = office.open("facebook-ads", facebook_ad_account="act_1/../me", facebook_access_token=meta.token)

    with pytest.raises(Discard, match="ad account must be act_ and digits"):
        await desk.sync()
