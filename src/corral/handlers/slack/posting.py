"""Posting, and what can be done with channels."""

from collections.abc import Mapping

from corral.handlers.slack.api import SlackApi, SlackRefusedError
from corral.handlers.slack.payload import ManageChannel, PostMessage
from corral.handlers.slack.reading import items, next_cursor

#: Done already is done.
_DONE = {
    "join": frozenset({"already_in_channel"}),
    "archive": frozenset({"already_archived"}),
    "unarchive": frozenset({"not_archived"}),
    "invite": frozenset({"already_in_channel"}),
    "topic": frozenset[str](),
    "create": frozenset[str](),
}


def escape(text: str) -> str:
    """A text as it is: nothing in it becomes a mention, a link or markup that Slack acts on."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


async def post(api: SlackApi, message: PostMessage) -> tuple[str, str]:
    """Post a message; answers the channel and the message's `ts`. Raises: SlackError."""
    answer = await api.call(
        "chat.postMessage",
        channel=message.channel,
        text=escape(message.text) if message.plain else message.text,
        mrkdwn=not message.plain,
        blocks=list(message.blocks) or None,
        thread_ts=message.thread_ts,
        unfurl_links=False,
    )
    return str(answer.get("channel", message.channel)), str(answer.get("ts", ""))


async def manage(api: SlackApi, change: ManageChannel) -> str:
    """Do something with a channel; answers its id. Raises: SlackError."""
    if change.action == "create":
        return await _create(api, change)
    channel = await _id_of(api, change.channel)
    try:
        match change.action:
            case "invite":
                await api.call("conversations.invite", channel=channel, users=",".join(change.user_ids))
            case "topic":
                await api.call("conversations.setTopic", channel=channel, topic=change.topic)
            case action:
                await api.call(f"conversations.{action}", channel=channel)
    except SlackRefusedError as error:
        if error.code not in _DONE[change.action]:
            raise
    return channel


async def _create(api: SlackApi, change: ManageChannel) -> str:
    name = change.channel.removeprefix("#").lower()
    try:
        answer = await api.call("conversations.create", name=name, is_private=change.private)
    except SlackRefusedError as error:
        if error.code != "name_taken":  # an earlier run may have made it, and died before it could say so
            raise
        return await _id_of(api, f"#{name}")
    made = answer.get("channel")
    return str(made.get("id", "")) if isinstance(made, Mapping) else ""


async def _id_of(api: SlackApi, channel: str) -> str:
    """The id behind `#name`; an id is one already. Raises: SlackRefusedError when there is no such channel."""
    if not channel.startswith("#"):
        return channel
    name, cursor = channel[1:].lower(), ""
    while True:
        answer = await api.call(
            "conversations.list", types="public_channel,private_channel", limit=1_000, cursor=cursor or None
        )
        for one in items(answer, "channels"):
            if one.get("name") == name:
                return str(one.get("id", ""))
        cursor = next_cursor(answer)
        if not cursor:
            raise SlackRefusedError(f"there is no channel {channel} that the app can see", code="channel_not_found")
