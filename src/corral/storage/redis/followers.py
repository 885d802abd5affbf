"""The job that deduplication keeps back while its owner runs, between `NewJob` and BullMQ's hash `dn:<id>`."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from corral.errors import ConfigError
from corral.job import After, JobId, NewJob
from corral.options import Dedup
from corral.storage.redis.adding import new_job
from corral.storage.redis.options import UnreadableJobError, read_options, read_parent, to_json
from corral.timing import Millis


class _Said(Struct):
    """BullMQ's deduplication options; those for `ttl` are in ms."""

    id: str
    ttl: float | None = None
    extend: bool = False
    replace: bool = False
    keep_last: bool = msgspec.field(default=False, name="keepLastIfActive")
    reschedule: bool = False


class _Options(Struct):
    """What of its options is no `JobOptions`."""

    delay: float = 0
    priority: int = 0
    lifo: bool = False
    de: _Said | None = None


class _More(Struct, omit_defaults=True):
    """What BullMQ has no word for: the field `corral`."""

    at: Millis | None = None
    lifespan: Millis | None = None
    group: str | None = None
    schedule: str | None = None
    slot: Millis | None = None
    after: tuple[After, ...] = ()


_decode_options = msgspec.json.Decoder(_Options).decode
_decode_more = msgspec.json.Decoder(_More, strict=False).decode


def follower_of(queue: str, prefix: str, stored: Mapping[str, str]) -> NewJob | None:
    """The job in such a hash; None when another program wrote what cannot be read."""
    try:
        text = stored.get("opts") or "{}"
        options, more = _decode_options(text), _decode_more(stored.get("corral") or "{}")
        parent = read_parent(stored["pd"], prefix) if "pd" in stored else None
        return NewJob(
            queue=queue, name=stored.get("name", ""), data=stored.get("data") or "{}", id=_chosen(stored.get("jid")),
            delay_ms=max(0, int(options.delay)), run_at=more.at, priority=options.priority, lifo=options.lifo,
            options=read_options(text), parent=parent, after=more.after, group=more.group,
            dedup=_dedup(options.de), schedule=more.schedule, scheduled_for=more.slot,
        )  # fmt: skip
    except (msgspec.MsgspecError, UnreadableJobError, ConfigError):
        return None


def _chosen(job_id: JobId | None) -> JobId | None:
    """An id that somebody chose; numbers are the store's own."""
    return None if job_id is None or job_id.isdigit() else job_id


def _dedup(said: _Said | None) -> Dedup | None:
    if said is None:
        return None
    return Dedup(
        said.id, None if said.ttl is None else said.ttl / 1000, said.extend, said.replace, said.keep_last,
        said.reschedule,
    )  # fmt: skip


def kept_fields(job: NewJob, prefix: str) -> list[str]:
    """The hash of such a job, names and values by turns."""
    asked = new_job(job, prefix)
    fields = ["name", asked.name, "data", asked.data, "opts", asked.opts]
    if asked.id is not None:
        fields += ["jid", asked.id]
    if asked.parent is not None:
        fields += ["pk", f"{prefix}:{asked.parent.queue}:{asked.parent.id}", "pd", asked.parent.json]
    more = _More(asked.at, asked.lifespan, asked.group, asked.schedule, asked.slot, asked.after)
    return fields if more == _More() else [*fields, "corral", to_json(more).decode()]
