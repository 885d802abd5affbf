"""The notification jobs on a real store and both kinds of database."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from pytest_httpserver import HTTPServer

from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web, WebError
from corral.handlers.notifications import (
    JOBS,
    SCHEMA,
    Browsers,
    Inbox,
    KnownPeople,
    KudosBook,
    NotificationSettings,
    Subscription,
    bundle,
    new_vapid_key,
)
from corral.options import Exponential
from corral.signals import Discard, Snooze
from corral.storage.port import Storage
from tests.handlers.databases import differences, opened_at_once
from tests.handlers.desk import Desk

from .conftest import Outbox
from .receiver import Receiver

KUDOS = {"organizationId": "org", "senderId": "ann", "recipientId": "bo", "message": "Well done!", "value": "teamwork"}
UPDATE = {
    "organizationId": "org",
    "recipientIds": ["ann", "bo", "cy", "dee", "nobody"],
    "title": "Weekly update",
    "kudosCount": 25,
    "topPerformers": ["Alice", {"name": "Bob", "kudos": 3}],
}
NOTE = {"organizationId": "org", "recipientIds": ["bo"], "title": "Deployed", "message": "v1", "url": "/deployments/7"}
TODAY = datetime.now(UTC).date()


# -- tables ------------------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["notifications_0001"] * 4


# -- kudos -------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-06")
async def test_kudos_are_kept_and_told_to_the_one_who_earned_them(
    desk: Desk, database: Database, outbox: Outbox
) -> None:
    result = await desk.send(KUDOS, "kudos")
    assert result == {"told": ["bo"], "inbox": 1, "email": 1, "push": 0, "unknown": []}
    [mail] = outbox.mails.values()
    assert (mail.to, mail.subject, mail.template) == (("bo@example.org",), "Ann gave you kudos", "kudos")
    assert mail.data == {"name": "Bo", "senderName": "Ann", "message": "Well done!", "value": "teamwork"}
    [note] = await Inbox(database).notes("org", "bo")
    assert (note.kind, note.title, note.message, note.data) == (
        "kudos", "Kudos from Ann", "Well done!", {"senderId": "ann", "value": "teamwork"},
    )  # fmt: skip
    [praise] = await KudosBook(database).kudos("org", TODAY - timedelta(1), TODAY + timedelta(1))
    assert (praise.sender, praise.recipient, praise.value) == ("ann", "bo", "teamwork")


async def test_kudos_whose_job_runs_again_are_one(desk: Desk, database: Database, outbox: Outbox) -> None:
    ctx = await desk.begin(KUDOS, "kudos")
    await desk.run(ctx)
    assert (await desk.run(await desk.recover(ctx)))["told"] == ["bo"]
    assert (len(outbox.mails), len(await Inbox(database).notes("org", "bo"))) == (1, 1)
    assert len(await KudosBook(database).kudos("org", TODAY - timedelta(1), TODAY + timedelta(1))) == 1


async def test_a_mail_that_could_not_be_handed_in_is_made_up_for(
    desk: Desk, database: Database, outbox: Outbox
) -> None:
    outbox.full = True
    ctx = await desk.begin(KUDOS, "kudos")
    with pytest.raises(ConnectionError):
        await desk.run(ctx)
    outbox.full = False
    await desk.run(await desk.retry(ctx))
    assert outbox.recipients == ["bo@example.org"]


@pytest.mark.parametrize(("channels", "warnings"), [(["email"], 1), (["email", "push"], 1), (["inbox", "email"], 0)])
async def test_a_job_that_only_asks_for_ways_there_are_not_says_so(
    memory: Storage, database: Database, people: KnownPeople, caplog: pytest.LogCaptureFixture,
    channels: list[str], warnings: int,
) -> None:  # fmt: skip
    bare = Desk.of(memory, bundle(database=database, people=people))
    result = await bare.send({**NOTE, "channels": channels}, "send-notification")
    assert (result["email"], result["push"]) == (0, 0)
    assert caplog.text.count(f"the bundle has no way for {' and '.join(channels)}") == warnings


@pytest.mark.parametrize("change", [{"senderId": "bo"}, {"recipientId": "stranger"}])
async def test_kudos_are_between_two_people_who_are_known(desk: Desk, change: dict[str, str]) -> None:
    with pytest.raises(Discard, match="must be two people"):
        await desk.send({**KUDOS, **change}, "kudos")


async def test_who_is_praised_most_can_be_asked(desk: Desk, database: Database) -> None:
    for sender, recipient in (("ann", "bo"), ("cy", "bo"), ("bo", "ann")):
        await desk.send({**KUDOS, "senderId": sender, "recipientId": recipient}, "kudos")
    around = (TODAY - timedelta(1), TODAY + timedelta(1))
    assert await KudosBook(database).most_praised("org", *around) == [("bo", 2), ("ann", 1)]


# -- achievements ------------------------------------------------------------------------------------------------------


REACHED = {"organizationId": "org", "personId": "ann", "achievement": "streak-10", "title": "Ten days in a row"}


@pytest.mark.mission("M-TS-06")
async def test_an_achievement_is_told_once_though_several_jobs_say_it(
    desk: Desk, database: Database, outbox: Outbox
) -> None:
    first = await desk.send(REACHED, "achievement")
    second = await desk.send(REACHED, "achievement")
    assert (first["new"], first["inbox"], second["new"], second["inbox"]) == (True, 1, False, 0)
    assert len(outbox.mails) == 1
    assert await KudosBook(database).achievements("org", "ann") == ["streak-10"]


async def test_the_job_that_reached_it_first_may_still_tell_it_when_it_runs_again(
    desk: Desk, database: Database, outbox: Outbox
) -> None:
    outbox.full = True
    ctx = await desk.begin(REACHED, "achievement")
    with pytest.raises(ConnectionError):
        await desk.run(ctx)
    outbox.full = False
    assert (await desk.run(await desk.retry(ctx)))["new"] is True
    assert outbox.recipients == ["ann@example.org"]


# -- teams and people --------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-06")
async def test_a_team_is_told_as_each_of_its_people_wants(desk: Desk, outbox: Outbox) -> None:
    result = await desk.send(UPDATE, "team-update")
    assert result == {"told": ["ann", "bo", "cy", "dee"], "inbox": 4, "email": 2, "push": 0, "unknown": ["nobody"]}
    assert outbox.recipients == ["ann@example.org", "bo@example.org"]
    mail = next(iter(outbox.mails.values()))
    assert mail.template == "team-update"
    assert (mail.data["kudosCount"], mail.data["topPerformers"]) == (25, ["Alice", {"name": "Bob", "kudos": 3}])


async def test_who_is_named_twice_is_told_once(desk: Desk, outbox: Outbox) -> None:
    await desk.send({**NOTE, "recipientIds": ["bo", "bo"]}, "send-notification")
    assert outbox.recipients == ["bo@example.org"]


async def test_only_the_ways_that_the_job_names_are_used(desk: Desk, outbox: Outbox) -> None:
    result = await desk.send({**NOTE, "channels": ["inbox"]}, "send-notification")
    assert (result["inbox"], result["email"], outbox.mails) == (1, 0, {})


async def test_a_path_becomes_a_link_in_a_mail_where_the_application_s_address_is_known(
    memory: Storage, database: Database, people: KnownPeople, outbox: Outbox, desk: Desk
) -> None:
    await desk.send(NOTE, "send-notification")
    settings = NotificationSettings.load(notify_base_url="https://app.example.org/x/")
    made = bundle(settings, database=database, people=people, send=outbox, queue="other")
    await Desk.of(memory, made).send(NOTE, "send-notification")
    assert [mail.data.get("actionUrl") for mail in outbox.mails.values()] == [
        None, "https://app.example.org/deployments/7",
    ]  # fmt: skip


async def test_news_for_nobody_fails_at_once(desk: Desk) -> None:
    with pytest.raises(Discard, match="nobody has one of the ids x, y"):
        await desk.send({**NOTE, "recipientIds": ["x", "y"]}, "send-notification")


async def test_without_people_an_id_is_a_name(memory: Storage, database: Database, outbox: Outbox) -> None:
    result = await Desk.of(memory, bundle(database=database, send=outbox)).send(KUDOS, "kudos")
    assert (result["inbox"], result["email"]) == (1, 0)
    assert (await Inbox(database).notes("org", "bo"))[0].title == "Kudos from ann"


# -- the inbox ---------------------------------------------------------------------------------------------------------


async def test_notes_are_read_newest_first_and_marked(desk: Desk, database: Database) -> None:
    inbox = Inbox(database)
    for title in ("one", "two", "three"):
        await desk.send({**NOTE, "title": title}, "send-notification")
    notes = await inbox.notes("org", "bo")
    assert len(notes) == await inbox.unread("org", "bo") == 3
    assert await inbox.read("org", "bo", [notes[0].id]) == 1
    assert {one.id for one in await inbox.notes("org", "bo", unread=True)} == {one.id for one in notes[1:]}
    assert await inbox.read("org", "ann") == 0
    assert (await inbox.read("org", "bo"), await inbox.unread("org", "bo")) == (2, 0)


async def test_a_note_that_was_read_stays_read_when_its_job_runs_again(desk: Desk, database: Database) -> None:
    ctx = await desk.begin(NOTE, "send-notification")
    await desk.run(ctx)
    await Inbox(database).read("org", "bo")
    await desk.run(await desk.retry(ctx))
    assert await Inbox(database).unread("org", "bo") == 0


async def test_of_another_organization_nothing_is_seen(desk: Desk, database: Database) -> None:
    await desk.send(NOTE, "send-notification")
    assert await Inbox(database).notes("other", "bo") == []


# -- pushes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pushing(memory: Storage, database: Database, people: KnownPeople, httpserver: HTTPServer) -> Desk:
    """A desk that can push to browsers whose service is this server."""
    settings = NotificationSettings.load(vapid_private_key=new_vapid_key(), vapid_subject="mailto:ops@example.org")
    web = Web(trusted=[httpserver.url_for("").rstrip("/")])
    return Desk.of(memory, bundle(settings, database=database, people=people, web=web))


async def browser(database: Database, server: HTTPServer, name: str) -> tuple[Receiver, str]:
    receiver = Receiver(server.url_for(f"/push/{name}"))
    id = await Browsers(database).subscribe("org", "bo", Subscription.model_validate(receiver.subscription))
    return receiver, id


async def test_every_browser_of_a_person_is_pushed_to(
    pushing: Desk, database: Database, httpserver: HTTPServer
) -> None:
    receivers = [(await browser(database, httpserver, name))[0] for name in ("one", "two")]
    for name in ("one", "two"):
        httpserver.expect_request(f"/push/{name}").respond_with_data(status=201)
    assert (await pushing.send(NOTE, "send-notification"))["push"] == 2
    sent = {request.path: request.get_data() for request, _ in httpserver.log}
    for receiver, name in zip(receivers, ("one", "two"), strict=True):
        content = json.loads(receiver.read(sent[f"/push/{name}"]))
        assert (content["title"], content["body"], content["url"]) == ("Deployed", "v1", "/deployments/7")


async def test_a_browser_that_is_gone_is_forgotten(pushing: Desk, database: Database, httpserver: HTTPServer) -> None:
    await browser(database, httpserver, "gone")
    httpserver.expect_request("/push/gone").respond_with_data(status=410)
    assert (await pushing.send(NOTE, "send-notification"))["push"] == 0
    assert await Browsers(database).of("org", "bo") == {}


async def test_what_one_browser_took_it_does_not_get_again_when_another_failed(
    pushing: Desk, database: Database, httpserver: HTTPServer
) -> None:
    for name in ("good", "bad"):
        await browser(database, httpserver, name)
    httpserver.expect_request("/push/good").respond_with_data(status=201)
    httpserver.expect_oneshot_request("/push/bad").respond_with_data(status=500)
    httpserver.expect_oneshot_request("/push/bad").respond_with_data(status=201)
    ctx = await pushing.begin(NOTE, "send-notification")
    with pytest.raises(WebError, match="500"):
        await pushing.run(ctx)
    assert (await pushing.run(await pushing.retry(ctx)))["push"] == 2
    assert sorted(request.path for request, _ in httpserver.log) == ["/push/bad", "/push/bad", "/push/good"]


async def test_a_push_service_that_is_busy_is_left_alone_for_as_long_as_it_says(
    pushing: Desk, database: Database, httpserver: HTTPServer
) -> None:
    await browser(database, httpserver, "busy")
    httpserver.expect_request("/push/busy").respond_with_data(status=429, headers={"Retry-After": "40"})
    with pytest.raises(Snooze) as caught:
        await pushing.send(NOTE, "send-notification")
    assert caught.value.seconds == 40


async def test_a_push_that_is_never_taken_does_not_fail_the_job(
    pushing: Desk, database: Database, httpserver: HTTPServer
) -> None:
    _, id = await browser(database, httpserver, "other-key")
    httpserver.expect_request("/push/other-key").respond_with_data(status=403)
    assert (await pushing.send(NOTE, "send-notification"))["push"] == 0
    assert list(await Browsers(database).of("org", "bo")) == [id]


async def test_a_browser_belongs_to_whoever_subscribed_with_it_last(database: Database) -> None:
    browsers = Browsers(database)
    subscription = Subscription.model_validate(Receiver("https://push.example/1").subscription)
    assert await browsers.subscribe("org", "ann", subscription) == await browsers.subscribe("org", "bo", subscription)
    assert (await browsers.of("org", "ann"), len(await browsers.of("org", "bo"))) == ({}, 1)


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_the_jobs_have_three_attempts() -> None:
    made = bundle(database=Database("sqlite:///app.db"))
    assert (made.queue, tuple(one.name for one in made)) == ("send-kudos-notification", JOBS)
    assert {(one.handler.options.attempts, one.handler.options.backoff) for one in made} == {(3, Exponential(2))}


def test_jobs_may_be_chosen() -> None:
    made = bundle(database=Database("sqlite:///app.db"), queue="notification", jobs=["send-notification"])
    assert (made.queue, [one.name for one in made]) == ("notification", ["send-notification"])
    with pytest.raises(ConfigError, match="no notification job 'shout'"):
        bundle(database=Database("sqlite:///app.db"), jobs=["shout"])


@pytest.mark.mission("M-TS-42")
@pytest.mark.parametrize(
    ("name", "data", "wrong"),
    [
        ("kudos", {"organizationId": "o"}, ["senderId", "recipientId", "message"]),
        ("achievement", {"organizationId": "o", "personId": "p", "title": "a\nb"}, ["achievement", "title"]),
        ("team-update", {"organizationId": "o", "recipientIds": [], "title": "t"}, ["recipientIds"]),
        ("send-notification", {**NOTE, "channels": ["sms"], "kind": "X"}, ["channels", "channels.0", "kind"]),
    ],
)
def test_a_payload_is_refused_with_every_complaint(name: str, data: dict[str, object], wrong: list[str]) -> None:
    queue = Corral("sqlite:///:memory:").include(bundle(database=Database("sqlite:///app.db")))
    with pytest.raises(PayloadError) as caught:
        queue.definition(name).new(data)
    assert sorted(error.partition(":")[0] for error in caught.value.errors) == sorted(wrong)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example", "data:text/html,x", "ftp://x/y", "/\\evil.example"]
)
def test_a_link_leads_to_a_page_and_runs_nothing(url: str) -> None:
    queue = Corral("sqlite:///:memory:").include(bundle(database=Database("sqlite:///app.db")))
    with pytest.raises(PayloadError, match="url"):
        queue.definition("send-notification").new({**NOTE, "url": url})
