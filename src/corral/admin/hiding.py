"""Hiding: what of a change may stand in the audit log. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from corral.errors import QueryError, RedactedFieldError
from corral.monitor.grammar import Query, parse
from corral.monitor.plan import check_paths
from corral.sensitive import HIDDEN, shown, shown_text

#: Characters of a value that is kept: an audit entry is no archive of payloads.
MOST = 16_000


def kept_text(text: str, sensitive: Sequence[str] = ()) -> object:
    """JSON text as it is kept in an audit entry: as a value, without what is sensitive; of a long one its length."""
    if len(text) > MOST:
        return {"omitted": f"{len(text.encode('utf-8', 'replace')):,} bytes"}
    return msgspec.json.decode(shown_text(text, sensitive))


def kept(values: Mapping[str, object]) -> Mapping[str, object] | None:
    """Facts about something that was changed, what their names say is secret hidden; None for nothing, or too much."""
    made = shown(msgspec.to_builtins(dict(values)))
    if not isinstance(made, dict) or not made or len(msgspec.json.encode(made)) > 2 * MOST:
        return None
    return made


def changed(before: msgspec.Struct, after: msgspec.Struct) -> tuple[dict[str, object], dict[str, object]]:
    """The fields in which two values of one kind differ, as they were and as they are."""
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    differ = [key for key in old if old[key] != new[key]]
    return {key: old[key] for key in differ}, {key: new[key] for key in differ}


def shown_query(text: str, sensitive: Sequence[str] = ()) -> str:
    """A search as others may read it: what it says about hidden fields is hidden. One that is none says nothing."""
    try:
        terms = parse(text, now=0).terms
    except QueryError:
        return HIDDEN
    parts: list[str] = []
    at = 0
    for term in terms:
        parts.append(text[at : term.start])
        try:
            check_paths(Query((term,)), sensitive)
        except RedactedFieldError as error:
            parts.append(f"{'-' if term.negated else ''}{error.path}:{HIDDEN}")
        else:
            parts.append(text[term.start : term.end])
        at = term.end
    return "".join((*parts, text[at:]))
