"""Fetching people, channels and messages from a workspace on a real server, into both kinds of database."""

from collections.abc import Sequence

import pytest

from corral.handlers.kit.database import Database
from corral.handlers.slack import SCHEMA, Message, SlackError, SlackSettings, Workspaces, bundle
from corral.signals import Discard, Retry, Snooze
from corral.storage.port import Storage
from tests.handlers.databases import differences, opened_at_once
from tests.handlers.desk import Desk

from .workspace import TOKEN, Workspace, ts

WS = "workspace-123"


def asked(kind: str, **more: object) -> dict[str, object]:
    return {"workspaceId": WS, "syncType": kind, **more}


async def texts(store: Workspaces, channel: str | None = None) -> list[str]:
    return [one.text for one in await store.messages(WS, channel=channel)]


# -- tables ------------------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["slack_0001"] * 4


# -- people and channels -----------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-03")
async def test_everybody_is_fetched_page_by_page(desk: Desk, workspace: Workspace, store: Workspaces) -> None:
    for number in range(5):
        workspace.person(f"U{number}", deleted=number == 4, is_admin=number == 0)
    result = await desk.send(asked("users"), "sync-users")
    assert result == {"workspaceId": WS, "syncType": "users", "items": 5, "pages": 3}
    assert workspace.calls("users.list") == 3
    people = await store.users(WS)
    assert [one.id for one in people] == ["U0", "U1", "U2", "U3"]
    first = people[0]
    assert (first.real_name, first.email, first.title, first.time_zone, first.is_admin) == (
        "U0 Real", "u0@example.org", "Cook", "Europe/Oslo", True,
    )  # fmt: skip
    assert len(await store.users(WS, deleted=True)) == 5


async def test_what_changed_is_changed_here_too(desk: Desk, workspace: Workspace, store: Workspaces) -> None:
    workspace.person("U1")
    await desk.send(asked("users"), "sync-users")
    workspace.users[0]["deleted"] = True
    workspace.person("U2")
    await desk.send(asked("users"), "sync-users")
    assert [one.id for one in await store.users(WS)] == ["U2"]


@pytest.mark.mission("M-TS-03")
async def test_channels_are_fetched_with_what_the_app_may_read(
    desk: Desk, workspace: Workspace, store: Workspaces
) -> None:
    workspace.channel("C1")
    workspace.channel("C2", is_member=False)
    workspace.channel("C3", is_archived=True)
    assert (await desk.send(asked("channels"), "sync-channels"))["items"] == 3
    assert [(one.id, one.topic, one.members) for one in await store.channels(WS, readable=True)] == [("C1", "Talk", 3)]
    assert len(await store.channels(WS)) == 3


async def test_records_that_make_no_sense_are_left_out(desk: Desk, workspace: Workspace, store: Workspaces) -> None:
    workspace.users += [{"name": "nobody"}, {"id": "U1", "profile": None, "name": "a\0b", "tz": 7}]
    await desk.send(asked("users"), "sync-users")
    assert [(one.id, one.name, one.email, one.time_zone) for one in await store.users(WS)] == [("U1", "ab", "", "")]


# -- messages ----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-03")
async def test_messages_of_every_readable_channel_are_fetched_and_then_only_new_ones(
    desk: Desk, workspace: Workspace, store: Workspaces
) -> None:
    for channel in ("C1", "C2"):
        workspace.channel(channel)
        for number in range(5):
            workspace.say(channel, number, f"{channel} {number}")
    workspace.channel("C3", is_member=False)
    first = await desk.send(asked("messages"), "sync-messages")
    assert (first["items"], first["channels"], first["skipped"]) == (10, 2, {})
    assert await texts(store, "C1") == [f"C1 {number}" for number in range(5)]
    workspace.say("C2", 7, "late")
    workspace.asked.clear()
    assert (await desk.send(asked("messages"), "sync-messages"))["items"] == 1
    assert workspace.calls("conversations.history") == 2
    assert (await texts(store, "C2"))[-1] == "late"


async def test_of_chosen_channels_only_those_are_fetched(desk: Desk, workspace: Workspace, store: Workspaces) -> None:
    workspace.say("C1", 1)
    workspace.say("C2", 1)
    assert (await desk.send(asked("messages", channelIds=["C2"]), "sync-messages"))["channels"] == 1
    assert [one.channel for one in await store.messages(WS)] == ["C2"]


async def test_replies_come_with_their_thread(desk: Desk, workspace: Workspace, store: Workspaces) -> None:
    workspace.channel("C1")
    parent = workspace.say("C1", 1, "question")
    for number in (2, 3, 4):
        workspace.reply("C1", parent, number)
    await desk.send(asked("messages"), "sync-messages")
    found = await store.messages(WS)
    assert [(one.text, one.thread_ts, one.replies) for one in found] == [
        ("question", parent, 3), ("reply", parent, 0), ("reply", parent, 0), ("reply", parent, 0),
    ]  # fmt: skip
    assert [one.ts for one in found] == [ts(number) for number in (1, 2, 3, 4)]


async def test_a_reply_does_not_hide_what_was_said_before_it(
    desk: Desk, workspace: Workspace, store: Workspaces
) -> None:
    workspace.channel("C1")
    parent = workspace.say("C1", 1)
    workspace.reply("C1", parent, 9)
    await desk.send(asked("messages"), "sync-messages")
    workspace.say("C1", 5, "in between")
    await desk.send(asked("messages"), "sync-messages")
    assert "in between" in await texts(store)


async def test_edits_reactions_and_bots_are_kept(desk: Desk, workspace: Workspace, store: Workspaces) -> None:
    workspace.channel("C1")
    workspace.say("C1", 1, edited={"user": "U1"}, reactions=[{"name": "+1", "count": 2}, {"name": "eyes", "count": 1}])
    workspace.say("C1", 2, user=None, bot_id="B1", subtype="bot_message")
    await desk.send(asked("messages"), "sync-messages")
    first, second = await store.messages(WS)
    assert (first.edited, first.reactions) == (True, 3)
    assert (second.user, second.subtype) == ("B1", "bot_message")


async def test_what_was_written_can_be_left_out(
    memory: Storage, database: Database, workspace: Workspace, settings: SlackSettings, store: Workspaces
) -> None:
    workspace.channel("C1")
    workspace.say("C1", 1, "private")
    quiet = settings.model_copy(update={"slack_store_text": False})
    await Desk.of(memory, bundle(quiet, database=database)).send(asked("messages"), "sync-messages")
    assert await texts(store) == [""]


@pytest.mark.parametrize("code", ["not_in_channel", "channel_not_found", "is_archived"])
async def test_a_channel_that_cannot_be_read_is_skipped_and_said(
    desk: Desk, workspace: Workspace, store: Workspaces, code: str
) -> None:
    workspace.channel("C1")
    workspace.channel("C2")
    workspace.say("C2", 1)
    workspace.fail("conversations.history", code)
    result = await desk.send(asked("messages"), "sync-messages")
    assert (result["skipped"], result["items"]) == ({"C1": code}, 1)


@pytest.mark.mission("M-TS-03")
async def test_every_page_of_messages_is_handed_on_once_it_is_kept(
    memory: Storage, database: Database, workspace: Workspace, settings: SlackSettings, store: Workspaces
) -> None:
    heard: list[tuple[str, int, int]] = []

    async def hear(name: str, found: Sequence[Message]) -> None:
        heard.append((name, len(found), len(await store.messages(WS))))

    workspace.channel("C1")
    for number in range(3):
        workspace.say("C1", number)
    await Desk.of(memory, bundle(settings, database=database, on_messages=hear)).send(
        asked("messages"), "sync-messages"
    )
    assert heard == [(WS, 2, 2), (WS, 1, 3)]


# -- going on ----------------------------------------------------------------------------------------------------------


async def test_a_run_that_broke_off_is_gone_on_with_at_the_next_page(
    desk: Desk, workspace: Workspace, store: Workspaces
) -> None:
    workspace.channel("C1")
    for number in range(6):
        workspace.say("C1", number, str(number))
    workspace.fail("conversations.history", status=502, after=2)
    ctx = await desk.begin(asked("messages"), "sync-messages")
    with pytest.raises(SlackError, match="502"):
        await desk.run(ctx)
    assert await texts(store) == ["2", "3", "4", "5"]
    workspace.asked.clear()
    assert (await desk.run(await desk.retry(ctx)))["items"] == 2
    [(_, page)] = [one for one in workspace.asked if one[0] == "conversations.history"]
    assert page["cursor"] == "4"


async def test_what_was_said_while_a_walk_was_broken_off_is_fetched_by_the_one_after_it(
    desk: Desk, workspace: Workspace, store: Workspaces
) -> None:
    workspace.channel("C1")
    for number in range(4):
        workspace.say("C1", number, str(number))
    workspace.fail("conversations.history", status=502, after=1)
    ctx = await desk.begin(asked("messages"), "sync-messages")
    with pytest.raises(SlackError):
        await desk.run(ctx)
    await desk.run(await desk.retry(ctx))
    workspace.say("C1", 8, "8")
    await desk.send(asked("messages"), "sync-messages")
    assert await texts(store) == ["0", "1", "2", "3", "8"]


async def test_a_cursor_that_is_none_any_more_begins_the_walk_again(
    desk: Desk, workspace: Workspace, store: Workspaces
) -> None:
    for number in range(5):
        workspace.person(f"U{number}")
    workspace.fail("users.list", status=500, after=1)
    ctx = await desk.begin(asked("users"), "sync-users")
    with pytest.raises(SlackError):
        await desk.run(ctx)
    workspace.fail("users.list", "invalid_cursor")
    assert (await desk.run(await desk.retry(ctx)))["items"] == 5
    assert len(await store.users(WS)) == 5


async def test_a_full_sync_begins_from_the_start_once(desk: Desk, workspace: Workspace) -> None:
    workspace.channel("C1")
    for number in range(4):
        workspace.say("C1", number)
    await desk.send(asked("messages"), "sync-messages")
    workspace.fail("conversations.history", status=500, after=1)
    ctx = await desk.begin(asked("messages", full=True), "sync-messages")
    with pytest.raises(SlackError):
        await desk.run(ctx)
    assert (await desk.run(await desk.retry(ctx)))["items"] == 2


# -- what Slack refuses ------------------------------------------------------------------------------------------------


async def test_too_many_requests_put_a_job_without_a_group_off_for_as_long_as_slack_says(
    desk: Desk, workspace: Workspace
) -> None:
    workspace.fail("users.list", "ratelimited", status=429, headers={"Retry-After": "17"})
    with pytest.raises(Snooze) as caught:
        await desk.send(asked("users"), "sync-users")
    assert caught.value.seconds == 17


async def test_too_many_requests_rest_the_group_that_is_the_workspace(desk: Desk, workspace: Workspace) -> None:
    workspace.fail("users.list", "ratelimited", status=429, headers={"Retry-After": "17"})
    await desk.storage.add([desk.definitions["sync-users"].new(asked("users"), group=WS)])
    with pytest.raises(Retry) as caught:
        await desk.run(await desk.claim())
    assert (caught.value.after, caught.value.pause) == (17, "group")


@pytest.mark.parametrize("header", ["soon", "nan", ""])
async def test_without_a_time_that_can_be_followed_it_is_a_minute(
    desk: Desk, workspace: Workspace, header: str
) -> None:
    workspace.fail("users.list", "ratelimited", status=429, headers={"Retry-After": header})
    with pytest.raises(Snooze) as caught:
        await desk.send(asked("users"), "sync-users")
    assert caught.value.seconds == 60


@pytest.mark.parametrize("code", ["invalid_auth", "token_revoked", "missing_scope", "account_inactive"])
async def test_a_token_that_is_not_accepted_fails_at_once_and_is_noted_with_the_workspace(
    desk: Desk, workspace: Workspace, store: Workspaces, code: str
) -> None:
    workspace.fail("users.list", code, needed="users:read")
    with pytest.raises(Discard, match=code):
        await desk.send(asked("users"), "sync-users")
    found = await store.status(WS)
    assert found is not None
    assert (found[0], code in found[1], "users:read" in found[1]) == ("error", True, True)
    await desk.send(asked("users"), "sync-users")
    assert await store.status(WS) == ("active", "")


@pytest.mark.parametrize("code", ["internal_error", "fatal_error", "request_timeout"])
async def test_a_problem_of_slack_s_own_is_tried_again(desk: Desk, workspace: Workspace, code: str) -> None:
    workspace.fail("users.list", code)
    with pytest.raises(SlackError, match=code):
        await desk.send(asked("users"), "sync-users")


@pytest.mark.parametrize("status", [200, 500, 503])
async def test_an_answer_that_is_no_json_is_tried_again(desk: Desk, workspace: Workspace, status: int) -> None:
    workspace.fail("users.list", status=status)
    with pytest.raises(SlackError):
        await desk.send(asked("users"), "sync-users")


async def test_nobody_listening_is_tried_again(memory: Storage, database: Database) -> None:
    settings = SlackSettings.load(slack_bot_token=TOKEN, slack_api_url="http://127.0.0.1:1/api/")
    with pytest.raises(SlackError, match=r"users\.list failed"):
        await Desk.of(memory, bundle(settings, database=database)).send(asked("users"), "sync-users")


async def test_what_slack_will_never_do_fails_at_once(desk: Desk, workspace: Workspace) -> None:
    workspace.fail("users.list", "invalid_limit")
    with pytest.raises(Discard, match="invalid_limit"):
        await desk.send(asked("users"), "sync-users")
