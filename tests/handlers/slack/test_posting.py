"""Messages posted and channels looked after."""

import logging

import pytest
from pydantic import SecretStr

from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError
from corral.handlers.kit.database import Database
from corral.handlers.slack import (
    SYNC_JOBS,
    PostMessage,
    SlackError,
    SlackSettings,
    SyncSlack,
    bundle,
    escape,
)
from corral.options import Exponential
from corral.signals import Discard
from corral.storage.port import Storage
from tests.handlers.desk import Desk

from .workspace import TOKEN, Workspace, ts

WS = "workspace-123"
HELLO = {"workspaceId": WS, "channel": "#general", "text": "Hello"}


# -- posting -----------------------------------------------------------------------------------------------------------


async def test_a_message_is_posted_once_however_often_its_job_runs(desk: Desk, workspace: Workspace) -> None:
    ctx = await desk.begin(HELLO, "post-message")
    first = await desk.run(ctx)
    again = await desk.run(await desk.recover(ctx))
    assert (first["channel"], len(workspace.posted)) == ("C1", 1)
    assert again == {**first, "alreadySent": True}


async def test_another_job_with_the_same_id_posts_its_own(desk: Desk, workspace: Workspace) -> None:
    ctx = await desk.begin(HELLO, "post-message", id="x")
    await desk.complete(ctx, await desk.run(ctx))
    await desk.remove(ctx)
    await desk.run(await desk.begin(HELLO, "post-message", id="x"))
    assert len(workspace.posted) == 2


async def test_a_message_that_could_not_be_posted_is_tried_again(desk: Desk, workspace: Workspace) -> None:
    workspace.fail("chat.postMessage", status=503)
    ctx = await desk.begin(HELLO, "post-message")
    with pytest.raises(SlackError):
        await desk.run(ctx)
    await desk.run(await desk.retry(ctx))
    assert len(workspace.posted) == 1


async def test_what_people_wrote_mentions_nobody(desk: Desk, workspace: Workspace) -> None:
    await desk.send({**HELLO, "text": "<!channel> & <https://evil.example|click>"}, "post-message")
    [sent] = workspace.posted
    assert sent["text"] == "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;"
    assert sent["mrkdwn"] == "0"


async def test_a_text_that_is_written_for_slack_stays_as_it_is(desk: Desk, workspace: Workspace) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Hello*"}}]
    text = {**HELLO, "text": "<@U1> *hello*", "plain": False, "blocks": blocks, "threadTs": ts(1)}
    await desk.send(text, "post-message")
    [sent] = workspace.posted
    assert (sent["text"], sent["blocks"], sent["thread_ts"]) == ("<@U1> *hello*", blocks, ts(1))


def test_escaping_changes_three_characters() -> None:
    assert escape("a & b < c > d *e*") == "a &amp; b &lt; c &gt; d *e*"


# -- channels ----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-03")
@pytest.mark.parametrize(
    ("action", "method", "done"),
    [
        ("join", "conversations.join", "already_in_channel"),
        ("archive", "conversations.archive", "already_archived"),
        ("unarchive", "conversations.unarchive", "not_archived"),
        ("invite", "conversations.invite", "already_in_channel"),
    ],
)
async def test_what_is_done_with_a_channel_already_is_done(
    desk: Desk, workspace: Workspace, action: str, method: str, done: str
) -> None:
    change = {"workspaceId": WS, "action": action, "channel": "C1", "userIds": ["U1", "U2"]}
    assert await desk.send(change, "manage-channel") == {"action": action, "channel": "C1"}
    workspace.fail(method, done)
    assert (await desk.send(change, "manage-channel"))["channel"] == "C1"
    assert workspace.calls(method) == 2


async def test_people_are_invited_together(desk: Desk, workspace: Workspace) -> None:
    await desk.send({"workspaceId": WS, "action": "invite", "channel": "C1", "userIds": ["U1", "U2"]}, "manage-channel")
    assert workspace.asked == [("conversations.invite", {"channel": "C1", "users": "U1,U2"})]


async def test_a_channel_is_found_by_its_name_on_whatever_page_it_is(desk: Desk, workspace: Workspace) -> None:
    for id in ("C1", "C2", "C3"):
        workspace.channel(id)
    change = {"workspaceId": WS, "action": "topic", "channel": "#c3", "topic": "New"}
    assert (await desk.send(change, "manage-channel"))["channel"] == "C3"
    with pytest.raises(Discard, match="no channel #c9"):
        await desk.send({**change, "channel": "#c9"}, "manage-channel")


async def test_a_channel_that_an_earlier_run_made_is_not_made_again(desk: Desk, workspace: Workspace) -> None:
    change = {"workspaceId": WS, "action": "create", "channel": "#Team-Red"}
    assert (await desk.send(change, "manage-channel"))["channel"] == "C-new"
    workspace.channel("team-red")
    workspace.fail("conversations.create", "name_taken")
    assert (await desk.send(change, "manage-channel"))["channel"] == "team-red"


# -- without a token ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("sync-users", {"workspaceId": WS, "syncType": "users"}),
        ("post-message", HELLO),
        ("manage-channel", {"workspaceId": WS, "action": "join", "channel": "C1"}),
    ],
)
async def test_while_nothing_is_configured_it_says_so_and_does_nothing(
    memory: Storage, workspace: Workspace, caplog: pytest.LogCaptureFixture, name: str, payload: dict[str, object]
) -> None:
    settings = SlackSettings.load(slack_api_url=workspace.url)
    with caplog.at_level(logging.WARNING):
        result = await Desk.of(memory, bundle(settings, database=Database("sqlite:///app.db"))).send(payload, name)
    assert result["dryRun"] is True
    assert "SLACK_BOT_TOKEN" in caplog.text
    assert workspace.asked == []


async def test_a_workspace_without_a_token_beside_others_with_one_fails_at_once(memory: Storage) -> None:
    settings = SlackSettings.load(slack_tokens={"other": TOKEN})
    with pytest.raises(Discard, match="workspace-123 has no token: set SLACK_TOKENS or SLACK_BOT_TOKEN"):
        await Desk.of(memory, bundle(settings, database=Database("sqlite:///app.db"))).send(HELLO, "post-message")


async def test_tokens_may_come_from_the_application(memory: Storage, database: Database, workspace: Workspace) -> None:
    async def find(name: str) -> SecretStr | None:
        return {WS: SecretStr(TOKEN)}.get(name)

    settings = SlackSettings.load(slack_api_url=workspace.url)
    desk = Desk.of(memory, bundle(settings, database=database, tokens=find))
    await desk.send(HELLO, "post-message")
    assert len(workspace.posted) == 1
    with pytest.raises(Discard, match="no token"):
        await desk.send({**HELLO, "workspaceId": "other"}, "post-message")


async def test_the_token_shows_nowhere(
    memory: Storage, database: Database, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "xoxb-another-canary"
    settings = SlackSettings.load(slack_tokens={WS: secret}, slack_api_url=workspace.url)
    with caplog.at_level(logging.DEBUG), pytest.raises(Discard) as caught:
        await Desk.of(memory, bundle(settings, database=database)).send(HELLO, "post-message")
    assert secret not in f"{caught.value} {settings!r} {caplog.text}"


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_the_jobs_have_three_attempts() -> None:
    made = bundle(database=Database("sqlite:///app.db"))
    assert (made.queue, [one.name for one in made]) == ("sync-slack", [*SYNC_JOBS, "post-message", "manage-channel"])
    assert {(one.handler.options.attempts, one.handler.options.backoff) for one in made} == {(3, Exponential(2))}


@pytest.mark.mission("M-TS-39")
@pytest.mark.parametrize("kind", ["users", "channels", "messages"])
def test_a_sync_is_about_users_channels_or_messages(kind: str) -> None:
    data = SyncSlack.model_validate({"workspaceId": WS, "syncType": kind})
    assert data.model_dump(by_alias=True, exclude_defaults=True) == {"workspaceId": WS, "syncType": kind}


@pytest.mark.mission("M-TS-39")
def test_anything_else_is_refused() -> None:
    queue = Corral("sqlite:///:memory:").include(bundle(database=Database("sqlite:///app.db")))
    with pytest.raises(PayloadError) as caught:
        queue.definition("sync-users").new({"syncType": "emoji", "since": 1})
    assert [error.partition(":")[0] for error in caught.value.errors] == ["workspaceId", "syncType", "since"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel": "two words"}, {"channel": "C1\nC2"}, {"text": ""}, {"text": "x" * 40_001}, {"threadTs": "today"},
    ],
)  # fmt: skip
def test_a_message_that_slack_would_not_take_is_refused_when_it_is_added(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PostMessage.model_validate({**HELLO, **wrong})


def test_a_text_shows_in_no_representation() -> None:
    assert "hush" not in repr(PostMessage.model_validate({**HELLO, "text": "hush"}))


@pytest.mark.parametrize("url", ["http://slack.example/api/", "ftp://slack.com/", "slack.com", "http://10.0.0.1/api/"])
def test_the_token_is_sent_nowhere_without_protection(url: str) -> None:
    with pytest.raises(ConfigError, match="slack_api_url"):
        SlackSettings.load(slack_api_url=url)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKENS", '{"one": "xoxb-1"}')
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-2")
    settings = SlackSettings.load()
    found = [settings.token(name) for name in ("one", "two")]
    assert [one.get_secret_value() for one in found if one] == ["xoxb-1", "xoxb-2"]
