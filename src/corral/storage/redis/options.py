"""A job's options and its parent in BullMQ's words: what stands in `opts` and `parent` of its hash."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from corral.job import NO_OPTIONS, ParentRef
from corral.options import Backoff, CustomBackoff, Dedup, Exponential, Fixed, JobOptions, Keep, ParentPolicy
from corral.timing import Millis

to_json = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, object]).decode

#: BullMQ's four flags for what a child's failure means. None of them: the parent waits.
FLAGS = {
    ParentPolicy.FAIL: "fpof",
    ParentPolicy.CONTINUE: "cpof",
    ParentPolicy.IGNORE: "idof",
    ParentPolicy.REMOVE: "rdof",
}


class UnreadableJobError(ValueError):
    """A stored job that means nothing here. Never leaves the adapter."""


# -- options -----------------------------------------------------------------------------------------------------------


def options_text(
    options: JobOptions, priority: int = 0, lifo: bool = False, delay_ms: Millis = 0, parent: ParentRef | None = None,
    prefix: str = "", dedup: Dedup | None = None, group: str | None = None,
) -> str:  # fmt: skip
    """A job's options as BullMQ stores them. What it has no word for is kept, whole, under `corral`."""
    if options.trace is None and not options.omit_trace:
        text = _usual_options(options, priority, lifo)
    else:  # each trace is another one: what jobs of one handler share is written once all the same
        text = _traced(options, _usual_options(replace(options, trace=None, omit_trace=False), priority, lifo))
    if not delay_ms and parent is None and dedup is None and group is None:
        return text
    stored = _decode_object(text)
    if delay_ms:
        stored["delay"] = delay_ms
    if parent is not None:
        stored["parent"] = {"id": parent.id, "queue": f"{prefix}:{parent.queue}"}
        if parent.policy in FLAGS:
            stored[FLAGS[parent.policy]] = True
    if dedup is not None:
        stored["de"] = _deduplication(dedup)
    if group is not None:
        stored["group"] = {"id": group}
    return to_json(stored).decode()


def _traced(options: JobOptions, text: str) -> str:
    """Such options with `telemetry.metadata` and `telemetry.omitContext`, as BullMQ calls them."""
    told: dict[str, object] = {}
    if options.trace is not None:
        told["tm"] = options.trace
    if options.omit_trace:
        told["omc"] = True
    more = to_json(told).decode()
    return more if text == "{}" else f"{text[:-1]},{more[1:]}"


def _deduplication(dedup: Dedup) -> dict[str, object]:
    stored: dict[str, object] = {"id": dedup.id}
    if dedup.ttl_ms is not None:
        stored["ttl"] = dedup.ttl_ms
    for name, wanted in (
        ("extend", dedup.extend), ("replace", dedup.replace), ("keepLastIfActive", dedup.keep_last),
        ("reschedule", dedup.reschedule),
    ):  # fmt: skip
        if wanted:
            stored[name] = True
    return stored


@lru_cache(maxsize=1024)
def _usual_options(options: JobOptions, priority: int, lifo: bool) -> str:
    """Jobs of one handler share these, so they are written once."""
    stored = _in_their_words(options)
    if options != NO_OPTIONS and _options_of(stored) != options:
        stored["corral"] = options
    if priority:
        stored["priority"] = priority
    if lifo:
        stored["lifo"] = True
    return to_json(stored).decode()


def _in_their_words(options: JobOptions) -> dict[str, object]:
    stored: dict[str, object] = {}
    if options.attempts is not None:
        stored["attempts"] = options.attempts
    match options.backoff:
        case Fixed(delay) | Exponential(delay):
            kind = "fixed" if isinstance(options.backoff, Fixed) else "exponential"
            stored["backoff"] = {"type": kind, "delay": round(delay * 1000)}
        case CustomBackoff():
            stored["backoff"] = {"type": "custom"}
    for name, keep in (("removeOnComplete", options.keep_completed), ("removeOnFail", options.keep_failed)):
        if keep is not None:
            stored[name] = _keep(keep)
    if options.keep_logs is not None:
        stored["kl"] = options.keep_logs
    return stored


def _keep(keep: Keep) -> object:
    if keep.age is None:
        return False if keep.count is None else True if keep.count == 0 else keep.count
    age = {"age": keep.age if keep.age % 1 else int(keep.age)}
    return age if keep.count is None else {**age, "count": keep.count}


@lru_cache(maxsize=4096)
def read_options(text: str) -> JobOptions:
    """The options in a job's `opts`.

    Raises:
        UnreadableJobError: not a JSON object, or options that cannot be meant.
    """
    try:
        stored = _decode_object(text)
        ours = stored.get("corral")
        if isinstance(ours, dict):
            options = msgspec.convert(ours, JobOptions)
            if "tm" in stored or "omc" in stored:
                options = replace(options, trace=_text_or_none(stored.get("tm")), omit_trace=stored.get("omc") is True)
            return options
        return _options_of(stored)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise UnreadableJobError(f"opts: {error}") from None


def _options_of(stored: Mapping[str, object]) -> JobOptions:
    attempts = stored.get("attempts")
    log_lines = stored.get("kl")
    return JobOptions(
        attempts=int(attempts) if isinstance(attempts, int | float) and attempts >= 1 else None,
        backoff=_read_backoff(stored.get("backoff")),
        keep_completed=_read_keep(stored.get("removeOnComplete")),
        keep_failed=_read_keep(stored.get("removeOnFail")),
        keep_logs=int(log_lines) if isinstance(log_lines, int | float) and log_lines >= 0 else None,
        trace=_text_or_none(stored.get("tm")),
        omit_trace=stored.get("omc") is True,
    )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _read_backoff(value: object) -> Backoff | None:
    """A number, or `{type, delay (ms), jitter}`. Types that only a Node worker knows the function of are left open."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Fixed(max(0.0, value / 1000))
    if not isinstance(value, dict):
        return None
    delay = value.get("delay")
    seconds = max(0.0, delay / 1000) if isinstance(delay, int | float) else 0.0
    match value.get("type"):
        case "fixed":
            return Fixed(seconds)
        case "exponential":
            return Exponential(seconds, maximum=max(86_400.0, seconds))
    return None


def _read_keep(value: object) -> Keep | None:
    match value:
        case True:
            return Keep(count=0)
        case False:
            return Keep()
        case int() | float():
            return Keep() if value < 0 else Keep(count=int(value))
        case dict():
            age, count = value.get("age"), value.get("count")
            return Keep(
                age=max(0.0, float(age)) if isinstance(age, int | float) else None,
                count=int(count) if isinstance(count, int | float) and count >= 0 else None,
            )
    return None


# -- parents -----------------------------------------------------------------------------------------------------------


def parent_text(parent: ParentRef, prefix: str) -> str:
    """The `parent` field of a child."""
    stored: dict[str, object] = {"id": parent.id, "queueKey": f"{prefix}:{parent.queue}"}
    if parent.policy in FLAGS:
        stored[FLAGS[parent.policy]] = True
    return to_json(stored).decode()


def read_parent(text: str, prefix: str) -> ParentRef:
    """The parent in a `parent` field.

    Raises:
        UnreadableJobError: it names none.
    """
    try:
        stored = _decode_object(text)
    except msgspec.MsgspecError as error:
        raise UnreadableJobError(f"parent: {error}") from None
    base, job_id = stored.get("queueKey"), stored.get("id")
    if not isinstance(base, str) or not isinstance(job_id, str):
        raise UnreadableJobError(f"parent: {text[:100]!r} names no job")
    policy = next((policy for policy, flag in FLAGS.items() if stored.get(flag)), ParentPolicy.WAIT)
    return ParentRef(queue=base.removeprefix(f"{prefix}:"), id=job_id, policy=policy)
