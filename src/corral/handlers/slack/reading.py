"""What Slack says about people, channels and messages, read into what is kept. A field that is missing is empty."""

import re
from collections.abc import Iterator, Mapping

from corral.handlers.slack.store import ChannelFacts, Message, User

#: Slack's id of a message in its channel. As text of one length it sorts by time, until the year 2286.
_TS = re.compile(r"[0-9]{10}\.[0-9]{6}")


def items(answer: Mapping[str, object], key: str) -> Iterator[Mapping[str, object]]:
    """The records of a page."""
    found = answer.get(key)
    return (one for one in found if isinstance(one, dict)) if isinstance(found, list) else iter(())


def next_cursor(answer: Mapping[str, object]) -> str:
    """Where the next page is; "" on the last one."""
    return _text(_record(answer, "response_metadata"), "next_cursor", 2_000)


def user(record: Mapping[str, object]) -> User | None:
    """A person; None of a record without an id."""
    profile = _record(record, "profile")
    id = _text(record, "id", 40)
    if not id:
        return None
    return User(
        id=id,
        name=_text(record, "name"),
        real_name=_text(profile, "real_name") or _text(record, "real_name"),
        email=_text(profile, "email", 320),
        title=_text(profile, "title"),
        time_zone=_text(record, "tz", 64),
        is_bot=record.get("is_bot") is True,
        is_admin=record.get("is_admin") is True,
        deleted=record.get("deleted") is True,
    )


def channel(record: Mapping[str, object]) -> ChannelFacts | None:
    """A channel; None of a record without an id."""
    id = _text(record, "id", 40)
    if not id:
        return None
    return ChannelFacts(
        id=id,
        name=_text(record, "name"),
        topic=_text(_record(record, "topic"), "value", 1_000),
        members=_number(record, "num_members"),
        is_private=record.get("is_private") is True,
        is_archived=record.get("is_archived") is True,
        is_member=record.get("is_member") is True,
    )


def message(channel: str, record: Mapping[str, object], *, text: bool) -> Message | None:
    """A message; None of a record without a time. `text` says whether what was written is kept."""
    ts = _text(record, "ts", 20)
    if not _TS.fullmatch(ts):
        return None
    seconds, _, fraction = ts.partition(".")
    return Message(
        channel=channel,
        ts=ts,
        user=_text(record, "user", 40) or _text(record, "bot_id", 40),
        subtype=_text(record, "subtype", 40),
        text=_text(record, "text", 40_000) if text else "",
        thread_ts=_text(record, "thread_ts", 20),
        replies=_number(record, "reply_count"),
        reactions=sum(_number(one, "count") for one in items(record, "reactions")),
        edited="edited" in record,
        sent_at=int(seconds) * 1_000 + int(fraction) // 1_000,
    )


def _record(record: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _text(record: Mapping[str, object], key: str, limit: int = 200) -> str:
    found = record.get(key)
    if not isinstance(found, str):
        return ""
    # No database has half a surrogate pair, and PostgreSQL no zero byte.
    return found.replace("\0", "")[:limit].encode("utf-8", "replace").decode()


def _number(record: Mapping[str, object], key: str) -> int:
    found = record.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**31 else 0
