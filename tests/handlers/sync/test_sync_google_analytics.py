"""Google Analytics: signed in as a service account, figures of days that change afterwards."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from corral.signals import Discard, Snooze
from tests.handlers.sync.fakes import FakeGoogle, answer
from tests.handlers.sync.shop import DAY, NOON, Office


@pytest.fixture
def desk(office: Office, google: FakeGoogle, service_account: str) -> Office:
    """The office of a property with pages of three lines."""
    return office.open(
        "google-analytics", google_analytics_property="1234", google_analytics_credentials=service_account,
        google_analytics_url=google.url, sync_page_size=3, sync_history_days=30,
    )  # fmt: skip


def failure(code: int, status: str) -> dict[str, object]:
    return {"error": {"code": code, "status": status, "message": "no"}}


@pytest.mark.mission("M-BI-12")
async def test_everything_is_fetched_page_by_page(desk: Office, google: FakeGoogle) -> None:
    for day in range(1, 8):
        google.day(f"2026-02-2{day}", "Organic Search", 10 * day, "1.50")
    google.day("2026-01-01", "Direct", 1)  # before all history

    done = await desk.sync()

    assert (done["fetched"], done["pages"]) == ({"traffic": 7}, 3)
    assert [one["offset"] for one in google.asked] == ["0", "3", "6"]
    assert google.asked[0]["dateRanges"] == [{"startDate": "2026-01-31", "endDate": "2026-03-02"}]
    assert google.signed_in == 1
    assert (await desk.daily("sessions"))["2026-02-27"] == 70
    assert (await desk.daily("site_revenue"))["2026-02-21"] == 1.5


async def test_the_channels_of_a_day_are_added_up(desk: Office, google: FakeGoogle) -> None:
    google.day("2026-03-01", "Organic Search", 10)
    google.day("2026-03-01", "Direct", 5)
    await desk.sync()

    assert await desk.daily("sessions") == {"2026-03-01": 15}
    assert await desk.daily("conversions") == {"2026-03-01": 4}


async def test_a_line_that_is_gone_afterwards_does_not_count_twice(desk: Office, google: FakeGoogle) -> None:
    """For two days Google moves sessions from one channel to another."""
    google.day("2026-03-01", "Unassigned", 10)
    await desk.sync()
    google.lines.clear()
    google.day("2026-03-01", "Organic Search", 12)

    done = await desk.sync()

    assert done["removed"] == {"traffic": 1}
    assert await desk.daily("sessions") == {"2026-03-01": 12}


@pytest.mark.mission("M-BI-12")
async def test_the_next_sync_asks_for_the_last_days_again(desk: Office, google: FakeGoogle) -> None:
    await desk.sync()
    desk.now += DAY
    await desk.sync()

    assert google.asked[-1]["dateRanges"] == [{"startDate": "2026-02-27", "endDate": "2026-03-03"}]


async def test_the_quota_is_noted(desk: Office, google: FakeGoogle) -> None:
    await desk.sync()

    state = await desk.integration()
    assert state.quota is not None
    assert (state.quota.limit, state.quota.remaining) == (25_000, 24_995)
    assert state.quota.resets_at == NOON + DAY // 2
    assert state.calls_today == 2  # signing in is one


async def test_a_used_up_quota_rests_for_a_quarter_of_an_hour(desk: Office, google: FakeGoogle) -> None:
    google.troubles = [answer(failure(429, "RESOURCE_EXHAUSTED"), 429)]

    with pytest.raises(Snooze) as caught:
        await desk.sync()
    assert caught.value.seconds == 900


@pytest.mark.parametrize("status", ["PERMISSION_DENIED", "UNAUTHENTICATED"])
async def test_a_property_that_is_not_ours_ends_the_integration(desk: Office, google: FakeGoogle, status: str) -> None:
    google.troubles = [answer(failure(403, status), 403)]

    with pytest.raises(Discard, match="does not let us in"):
        await desk.sync()
    assert (await desk.integration()).status == "error"


async def test_a_key_that_google_does_not_know_ends_the_integration(desk: Office, google: FakeGoogle) -> None:
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2048).public_key()
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    google.public_key = other.public_bytes(*form).decode()

    with pytest.raises(Discard, match="invalid_grant"):
        await desk.sync()


@pytest.mark.parametrize(
    ("credentials", "complaint"),
    [
        ("/no/such/file.json", "must be a service account's JSON or the path of its file"),
        ('{"client_email": "x"}', "must be a service account's JSON or the path of its file"),
        ('{"client_email": "x", "private_key": "hunter2"}', "private key cannot be used"),
        ('{"client_email": "x", "private_key": "hunter2", "token_uri": "https://evil.example/token"}', "not Google's"),
    ],
)
async def test_credentials_that_are_none_are_not_shown(desk: Office, credentials: str, complaint: str) -> None:
    url = desk.settings.google_analytics_url
    desk.open("google-analytics", google_analytics_property="1", google_analytics_credentials=credentials,
              google_analytics_url=None if "Google" in complaint else url)  # fmt: skip

    with pytest.raises(Discard, match=complaint) as caught:
        await desk.sync()
    assert "hunter2" not in str(caught.value)


async def test_the_credentials_may_be_in_a_file(desk: Office, google: FakeGoogle, service_account: str) -> None:
    Path("account.json").write_text(service_account)
    desk.open("google-analytics", google_analytics_property="properties/1234",
              google_analytics_credentials="account.json", google_analytics_url=google.url)  # fmt: skip

    assert (await desk.sync())["fetched"] == {"traffic": 0}
