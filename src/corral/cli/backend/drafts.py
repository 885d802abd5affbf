"""What was typed, as jobs and schedules: checked by the application where one is known."""

from collections.abc import Sequence
from typing import cast

from msgspec.structs import replace

from corral.app.app import Corral
from corral.cli.backend.port import Draft, ScheduleDraft
from corral.cli.text import cut
from corral.errors import ConfigError, PayloadError, ScheduleNotFoundError
from corral.flow.node import Node, make_node
from corral.job import NewJob, check_name
from corral.keywords import AddKeywords
from corral.payload import to_json
from corral.queue import new_job
from corral.schedule import Cron, Every, Schedule
from corral.storage.port import Storage

MAX_DEPTH = 64  #: of a flow in a file


def new_jobs(app: Corral | None, queue: str, drafts: Sequence[Draft]) -> list[NewJob]:
    """The jobs; all are checked before one is added.

    Raises:
        PayloadError: one is refused; of several, the message says which line.
        QueueNotFoundError, UnknownJobError: nobody would run it.
    """
    jobs = []
    for draft in drafts:
        try:
            jobs.append(new_job_of(app, queue, draft))
        except PayloadError as error:
            if draft.line is None:
                raise
            raise PayloadError(f"line {draft.line}: {error}; nothing was added") from None
    return jobs


def new_job_of(app: Corral | None, queue: str, draft: Draft) -> NewJob:
    """One job."""
    options = cast(AddKeywords, dict(draft.options))
    if app is not None:
        return app.definition(queue, draft.name).new(draft.data, **options)
    check_name(queue, "queue name")
    return new_job(queue, check_name(draft.name, "job name"), to_json(draft.data, "payload"), options)


def node_of(app: Corral | None, tree: object, depth: int = 0) -> Node[object]:
    """A tree as it stands in a file: `queue`, `name`, `data`, `opts`, `on_failure`, `children`.

    Raises:
        ConfigError: what cannot be meant; the message says which node.
    """
    if not isinstance(tree, dict):
        raise ConfigError(f"a node of a flow must be an object, not {tree!r}", key="flow")
    known = {"queue", "name", "data", "opts", "on_failure", "children"}
    if odd := set(tree) - known:
        raise ConfigError(f"a node has {', '.join(sorted(known))}, not {', '.join(sorted(odd))}", key="flow")
    if depth > MAX_DEPTH:
        raise ConfigError(f"a flow may be {MAX_DEPTH} levels deep", key="flow")
    queue, name, options, children = tree.get("queue"), tree.get("name"), tree.get("opts"), tree.get("children")
    if not isinstance(queue, str) or not isinstance(name, str):
        raise ConfigError(f"a node needs a queue and a name: {cut(str(tree), 80)}", key="flow")
    if not isinstance(options, dict | None) or not isinstance(children, list | None):
        raise ConfigError(f"opts of {queue}/{name} must be an object and children a list", key="flow")
    job = new_job_of(app, queue, Draft(name=name, data=tree.get("data") or {}, options=options or {}))
    below = [node_of(app, one, depth + 1) for one in children or ()]
    return make_node(job, below, tree.get("on_failure") or "fail")


async def stored_schedule(storage: Storage, queue: str, key: str) -> Schedule:
    """The schedule as it is stored. Raises: ScheduleNotFoundError."""
    found = (await storage.schedules(queue=queue, limit=100_000)).items
    for one in found:
        if one.key == key:
            return one
    raise ScheduleNotFoundError(key, [one.key for one in found])


def schedule_of(draft: ScheduleDraft, old: Schedule | None) -> Schedule:
    """The schedule, or the old one with what was said anew.

    Raises:
        ConfigError: a new one without a job's name or without a time, or one with two times.
    """
    if draft.cron is not None and draft.every is not None:
        raise ConfigError("give --cron or --every, not both", key="cron")
    if old is None:
        if draft.name is None:
            raise ConfigError("say the name of the job that it makes", key="name")
        return Schedule(
            key=check_name(draft.key, "schedule key"),
            queue=check_name(draft.queue, "queue name"),
            name=check_name(draft.name, "job name"),
            timing=_timing(draft, None),
            data=to_json({} if draft.data is None else draft.data, "payload"),
            limit=draft.limit,
        )
    return replace(
        old,
        name=draft.name or old.name,
        timing=_timing(draft, old.timing),
        data=old.data if draft.data is None else to_json(draft.data, "payload"),
        limit=old.limit if draft.limit is None else draft.limit,
    )


def _timing(draft: ScheduleDraft, old: Cron | Every | None) -> Cron | Every:
    if draft.every is not None:
        return Every(draft.every)
    if draft.cron is not None:
        return Cron(draft.cron, draft.tz or (old.tz if isinstance(old, Cron) else "UTC"))
    if old is None:
        raise ConfigError("say when: --cron '0 9 * * 1' or --every 5m", key="cron")
    return Cron(old.expression, draft.tz) if draft.tz and isinstance(old, Cron) else old
