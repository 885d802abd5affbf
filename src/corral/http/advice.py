"""Advice: what each code of a problem means and what to do, in one table, and as the page that `help` names."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

from corral.http.problems import CATALOGUE

#: What a code means and, behind it, what to do.
ADVICE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "invalid-query": (
            "The search has a field, a word or a sign that searches do not have; `position` is where.",
            "Mend it there. `GET /complete` offers what may be typed.",
        ),
        "invalid-cursor": (
            "The cursor was given for another list, other filters, or by nobody.",
            "Ask for the first page again, without a cursor.",
        ),
        "invalid-parameter": (
            "A parameter of the address or of the call has a value that nothing can be done with.",
            "`parameter` or `errors` name it, `detail` says what fits.",
        ),
        "invalid-json": ("The body is not JSON.", "Send one JSON value in UTF-8; check quotes, commas and brackets."),
        "invalid-request": ("The request itself is broken.", "Check method, address, headers and body."),
        "unauthenticated": (
            "The request does not say who asks, or nobody here knows them.",
            "Send `Authorization: Bearer …` with a token, or log in.",
        ),
        "token-expired": ("The token was good, and its time is over.", "Get a new one, or log in again."),
        "token-invalid": (
            "The token is not one of this server, was revoked, or its signature is wrong.",
            "Check that it was copied whole and belongs to this server; make a new one if need be.",
        ),
        "login-failed": (
            "There is no such name, or the password is another one.",
            "Try again. After several wrong guesses the next one has to wait, longer each time.",
        ),
        "forbidden": (
            "You are known, and what you asked for takes a permission that you do not have.",
            "`permission` names it; ask an administrator for a role that has it.",
        ),
        "read-only": (
            "This server shows queues and changes nothing, whoever asks.",
            "Use another server, or set `read_only` to false.",
        ),
        "csrf-rejected": (
            "A change came with a cookie, and from a page of another site.",
            "Send it from the API's own pages, or with a token instead of the cookie.",
        ),
        "redacted-field": (
            "The request reads or writes a field that is hidden from you.",
            "Leave the field out, or ask for the permission `payload:read`.",
        ),
        "host-rejected": (
            "The server does not answer to the name by which it was called.",
            "Call it by one of its names, or add this one to `allowed_hosts`.",
        ),
        "not-found": (
            "Nothing is at this address.",
            "Check the address; names and ids in it are escaped, `/` as `%2F`.",
        ),
        "queue-not-found": (
            "No queue has this name, or it is not among yours.",
            "`suggestion` may have the name that was meant. A queue is there once a job was added to it.",
        ),
        "job-not-found": (
            "The queue has no job with this id: it was removed, or cleaned away after its end, or is in another queue.",
            "Look for it with `GET /jobs?q=id:…`; the audit log says who removed it.",
        ),
        "schedule-not-found": ("The queue has no schedule with this id.", "`GET /schedules` lists those there are."),
        "worker-not-found": (
            "No worker with this id has been seen lately.",
            "`GET /workers` lists those there are; one that was started again has a new id.",
        ),
        "operation-not-found": (
            "No operation has this id, or it is not yours to see.",
            "`GET /operations` lists them. The newest 1,000 are kept.",
        ),
        "failure-not-found": ("No job has failed in this way, as far as is kept.", "`GET /failures` lists the kinds."),
        "flow-not-found": ("No flow has this job at its top.", "`GET /flows` lists those there are."),
        "token-not-found": ("No token has this id.", "`GET /tokens` lists them; it may have been revoked already."),
        "mark-not-found": ("No mark has this id.", "`GET /marks` lists them."),
        "mute-not-found": ("Nothing with this id is muted.", "There is nothing to do: it is spoken of already."),
        "finding-not-found": (
            "Nothing with this id wants attention now.",
            "`GET /attention` lists what does; it may have come right by itself.",
        ),
        "method-not-allowed": ("The address is right and takes other methods.", "The header `Allow` names them."),
        "not-acceptable": ("The answer cannot be given in any form that was accepted.", "Accept `application/json`."),
        "request-timeout": ("The body of the request did not come in time.", "Send it again; check the connection."),
        "conflict": ("The request does not fit to how things stand.", "Look at it again, then decide."),
        "job-active": ("The job runs.", "Wait for its end, or cancel it."),
        "job-locked": (
            "A worker holds the job, so nobody else may change it.",
            "Wait for its end, or cancel it; a dead worker's job is free within its lease.",
        ),
        "job-state": (
            "What was asked for cannot be done to a job in its state.",
            "`state` says which that is; `actions` of the job says what can be done.",
        ),
        "job-failed": (
            "The job that was waited for has failed.",
            "Look at its error; retry it when the cause is gone.",
        ),
        "job-finished": ("The job has ended already.", "To have it done again, retry it or make a new one from it."),
        "job-not-delayed": ("Only a job that is due later can be promoted.", "Nothing needs to be done if it waits."),
        "effect-in-progress": (
            "Another job is carrying out the same effect.",
            "Wait until it is through; then ask again.",
        ),
        "effect-uncertain": (
            "Whoever began the effect has died, and nobody can tell whether it happened.",
            "Look at the other side, then settle it by hand.",
        ),
        "job-not-retryable": (
            "Only a job that has ended can be retried.",
            "`state` says where it is. A delayed one can be promoted, a waiting one runs by itself.",
        ),
        "job-belongs-to-schedule": (
            "The job is the next run of a schedule, which would make it anew.",
            "Pause or delete the schedule; `schedule` names it.",
        ),
        "duplicate-active": (
            "A job with the same deduplication key has not ended.",
            "Wait for it, or let the key go: `DELETE /queues/{q}/dedup/{key}`.",
        ),
        "queue-has-active-jobs": (
            "Jobs of the queue run, and would lose what they have done.",
            "Pause the queue and wait until `active` is 0, or send `force`.",
        ),
        "queue-paused": ("The queue is paused.", "Resume it."),
        "selection-changed": (
            "Over a tenth more or fewer jobs fit now than `expect` says.",
            "Count again with `dry_run`, look at them, and send the new number.",
        ),
        "operation-running": ("An operation of this kind has not ended.", "Wait for it, or abort it."),
        "idempotency-in-flight": (
            "A request with the same Idempotency-Key is being served.",
            "Wait a little and send it again: you will be given its answer.",
        ),
        "precondition-failed": (
            "Somebody has changed it since you looked: the ETag is another one.",
            "Get it again, make your change in that, and send it with the new ETag.",
        ),
        "payload-too-large": (
            "The body or the payload is larger than this server or queue takes.",
            "Store what is large elsewhere and put a reference into the job; or raise `max_body`, `max_enqueue_body`.",
        ),
        "uri-too-long": ("The address is too long.", "Send a long search with `POST /jobs/search`."),
        "unsupported-media-type": ("The body is of another type.", "Send `Content-Type: application/json`."),
        "validation-failed": (
            "The body is JSON, and something in it is missing, unknown or out of bounds.",
            "`errors` names each place with a JSON pointer, and what is wrong there.",
        ),
        "unknown-job-name": (
            "The application has no handler for a job of this name in this queue.",
            "Check the name: `GET /queues/{q}/schema` lists those there are.",
        ),
        "invalid-schedule": (
            "The timing cannot be meant: a wrong cron line, an unknown time zone, a length that is none.",
            "Try it with `POST /schedules/preview` until it says what you mean.",
        ),
        "idempotency-mismatch": (
            "The Idempotency-Key was used for a request with another body or address within 24 hours.",
            "Take a new key for a new request.",
        ),
        "confirmation-required": (
            "What you ask for cannot be undone.",
            "Send in `confirm` what the problem's member `confirm` says.",
        ),
        "reason-required": (
            "This server wants to know why for every change; it goes into the audit log.",
            "Send the header `Corral-Reason`, or `reason` in the body.",
        ),
        "precondition-required": (
            "The change could overwrite somebody else's.",
            "Get it first and send its ETag as `If-Match`; `*` is any version.",
        ),
        "rate-limited": (
            "More was sent in a while than you may send, or than a queue takes.",
            "Wait as long as `Retry-After` says. The headers `RateLimit` and `RateLimit-Policy` tell what is left.",
        ),
        "headers-too-large": ("The headers are too large.", "Send fewer cookies or a shorter token."),
        "internal": (
            "Something went wrong that nobody expected. What was asked for may have been done or not.",
            "The server's log has what happened, under the problem's `request_id`.",
        ),
        "not-supported-by-engine": (
            "The kind of store behind this server cannot do this.",
            "`engine` and `feature` say what is missing.",
        ),
        "engine-unavailable": (
            "The server runs, and its store does not answer.",
            "Try again in some seconds. `corral doctor` tells what is wrong with the store.",
        ),
        "engine-full": (
            "The store has no room left, on the disk or in its memory.",
            "Make room: clean finished jobs, raise the limit. Nothing can be added until then.",
        ),
        "auth-unavailable": (
            "Who you are could not be found out: the keys of whoever signs tokens cannot be fetched.",
            "Try again in some seconds; an administrator looks at `jwks_url`.",
        ),
        "too-many-streams": (
            "You, or all together, have as many event streams open as there may be.",
            "Close some, or wait as long as `Retry-After` says.",
        ),
        "draining": ("The server is about to stop.", "Try again: another one takes its place."),
        "engine-timeout": (
            "The store took too long. A change may have been made or not.",
            "Try again; send adds with an Idempotency-Key, so that they happen once.",
        ),
    }
)

_STYLE = (
    ":root{color-scheme:light dark}body{margin:0 auto;max-width:40rem;padding:2rem 1rem;font:16px/1.5 system-ui,"
    "sans-serif}code{font:14px ui-monospace,monospace;overflow-wrap:anywhere}dt{font-weight:600;margin-top:1rem}"
    "dd{margin:0}"
)
#: What the page may load: its own style and nothing else.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def advice_page(code: str) -> str:
    """What a code means, as a page for people."""
    status, title = CATALOGUE[code]
    meaning, remedy = ADVICE[code]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"<p><code>{code}</code>, status {status}</p><dl><dt>What it means</dt><dd>{_prose(meaning)}</dd>"
        f"<dt>What to do</dt><dd>{_prose(remedy)}</dd></dl></main></body></html>"
    )


def _prose(text: str) -> str:
    """Backquotes as code."""
    parts = [escape(part, quote=False) for part in text.split("`")]
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
