"""What was enqueued: looked up and asserted, with failures that say what was added instead."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypedDict, Unpack

from corral.app.app import Corral
from corral.app.definition import JobDefinition
from corral.errors import ConfigError, UnknownJobError, closest
from corral.job import Job, JobId, JobState, NewJob
from corral.options import check_keywords
from corral.payload import from_json, to_json
from corral.storage.port import Storage
from corral.testing.store import ClockedStorage
from corral.timing import Millis, Seconds, to_ms

#: A failing assertion shows at most so many jobs, and so much of each payload.
SHOWN = 10
MAX_DATA = 200


class Match(TypedDict, total=False):
    """What a job must be like. `data` as a mapping names some of the payload; a model names all of it."""

    data: object
    id: str
    queue: str
    priority: int
    delay: Seconds
    attempts: int
    state: JobState
    schedule: str


class _Entry(NamedTuple):
    job: Job
    due_at: Millis | None  #: when it was to run, as it was added


async def added(app: Corral, job: JobDefinition[Any, Any] | str | None = None, /, **match: Unpack[Match]) -> list[Job]:
    """The jobs that were added and are like this, oldest first: of a declared job, of a job's name, or all of them.

    In `app_in_memory`, a job that was removed since is given as it was added.

    Raises:
        ConfigError: an unknown keyword. UnknownJobError, QueueNotFoundError: a job this application does not declare.
    """
    return [
        entry.job
        for entry in await _entries(app)
        if _is_of(app, entry.job, job) and not _differences(entry, job, match)
    ]


async def assert_added(
    app: Corral, job: JobDefinition[Any, Any] | str, /, *, count: int | None = None, **match: Unpack[Match]
) -> list[Job]:
    """Fail unless a job like this was added (with `count`: exactly so many); answers those that were.

    Raises:
        AssertionError: it tells what was added instead, and in what it differs.
        ConfigError, UnknownJobError, QueueNotFoundError: as for `added`.
    """
    __tracebackhide__ = True  # pytest then shows the test's own line
    found = await added(app, job, **match)
    if len(found) == count or (found and count is None):
        return found
    raise AssertionError(_complaint(await _entries(app), app, job, match, count, len(found)))


# -- looking -----------------------------------------------------------------------------------------------------------


async def _entries(app: Corral) -> list[_Entry]:
    store = await app.open()
    if not isinstance(store, ClockedStorage):
        return [_Entry(job, job.run_at) for job in await _stored(store, app.queues)]
    entries = []
    for new, job_id, at in store.asked:
        [job] = await store.get(new.queue, [job_id])
        due = at + new.delay_ms if new.run_at is None else new.run_at
        entries.append(_Entry(job or _as_added(new, job_id, at), due))
    return entries


async def _stored(store: Storage, queues: Iterable[str]) -> list[Job]:
    jobs: list[Job] = []
    for queue in queues:
        start = 0
        while True:
            page = await store.page(queue, tuple(JobState), start=start, limit=1000, newest_first=False)
            jobs += page.items
            start += len(page.items)
            if not page.items or start >= page.total:
                break
    return sorted(jobs, key=lambda job: job.created_at)


def _as_added(new: NewJob, job_id: JobId, at: Millis) -> Job:
    return Job(
        id=job_id, queue=new.queue, name=new.name, state=JobState.WAITING, data=new.data, options=new.options,
        priority=new.priority, created_at=at, parent=new.parent, schedule=new.schedule, scheduled_for=new.scheduled_for,
    )  # fmt: skip


# -- matching ----------------------------------------------------------------------------------------------------------


def _is_of(app: Corral, job: Job, wanted: JobDefinition[Any, Any] | str | None) -> bool:
    if wanted is None or isinstance(wanted, str):
        return wanted in (None, job.name)
    return job.name == wanted.name and job.queue in _homes(app, wanted)


def _homes(app: Corral, wanted: JobDefinition[Any, Any]) -> list[str]:
    """The queues it is declared in: an application may include a bundle's job into another queue than the bundle's."""
    homes = [
        queue.name
        for queue in app.queues.values()
        if (own := queue.definitions.get(wanted.name)) is not None and own.handler.function is wanted.handler.function
    ]
    if not homes:
        app.definition(wanted.queue, wanted.name)
        raise UnknownJobError(wanted.queue, wanted.name)
    return homes


def _differences(entry: _Entry, wanted: JobDefinition[Any, Any] | str | None, match: Match) -> list[str]:
    """In what the job is not as wanted; empty when it is."""
    check_keywords(dict(match), frozenset(Match.__annotations__))
    job = entry.job
    delay_ms = 0 if entry.due_at is None else max(0, entry.due_at - job.created_at)
    found: dict[str, object] = {
        "id": job.id, "queue": job.queue, "priority": job.priority, "attempts": job.options.attempts or 1,
        "state": job.state, "schedule": job.schedule,
    }  # fmt: skip
    asked: Mapping[str, object] = match
    wrong = [
        f"{key} is {found[key]!r}, not {asked[key]!r}" for key in found if key in asked and found[key] != asked[key]
    ]
    if "delay" in match and delay_ms != to_ms(match["delay"], "delay"):
        wrong.append(f"delay is {delay_ms / 1000:g} s, not {to_ms(match['delay'], 'delay') / 1000:g} s")
    return wrong + (_data_differences(job, wanted, match["data"]) if "data" in match else [])


def _data_differences(job: Job, wanted: JobDefinition[Any, Any] | str | None, expected: object) -> list[str]:
    actual = from_json(job.data)
    if isinstance(expected, Mapping) and isinstance(actual, dict):
        partly = from_json(to_json(dict(expected), "data"))
        assert isinstance(partly, dict)
        return [
            f"data[{key!r}] is {actual[key]!r}, not {value!r}" if key in actual else f"data has no {key!r}"
            for key, value in partly.items()
            if key not in actual or actual[key] != value
        ]
    if isinstance(wanted, JobDefinition):
        expected = from_json(wanted.handler.payload.encode(expected))
    elif not isinstance(expected, str | int | float | bool | list | None):
        raise ConfigError("data of a job that is known by its name only must be plain JSON", key="data")
    return [] if actual == expected else [f"data is {_short(job.data)}, not {_short(json.dumps(expected))}"]


# -- telling -----------------------------------------------------------------------------------------------------------


def _complaint(
    entries: list[_Entry],
    app: Corral,
    wanted: JobDefinition[Any, Any] | str,
    match: Match,
    count: int | None,
    found: int,
) -> str:
    name = wanted if isinstance(wanted, str) else wanted.name
    like = ", ".join(f"{key}={value!r}" for key, value in match.items())
    times = "no job" if found == 0 else f"{found} jobs" if found > 1 else "1 job"
    expected = "" if count is None else f", expected {count}"
    lines = [f"{times} {name!r}{f' with {like}' if like else ''} {'were' if found > 1 else 'was'} added{expected}"]
    near = [entry for entry in entries if _is_of(app, entry.job, wanted)]
    others = [entry for entry in entries if entry not in near]
    lines += [f"  {_told(entry.job)}{_why(entry, wanted, match)}" for entry in near[:SHOWN]]
    if not near:
        names = {entry.job.name for entry in others} | {
            key for queue in app.queues.values() for key in queue.definitions
        }
        near_name = None if name in names else closest(name, names)
        lines[0] += f"; did you mean {near_name!r}?" if near_name else ""
        lines.append("  nothing was added" if not others else "  what was added:")
        lines += [f"  {_told(entry.job)}" for entry in others[:SHOWN]]
    hidden = len(near or others) - SHOWN
    return "\n".join([*lines, f"  … and {hidden} more"] if hidden > 0 else lines)


def _why(entry: _Entry, wanted: JobDefinition[Any, Any] | str, match: Match) -> str:
    return "".join(f"\n    {difference}" for difference in _differences(entry, wanted, match))


def _told(job: Job) -> str:
    return f"{job.queue}/{job.name} {job.id} ({job.state}): {_short(job.data)}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_DATA else f"{text[:MAX_DATA]} …"
