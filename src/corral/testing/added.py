"""What was enqueued: looked up and asserted, with failures that say what was added instead."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypedDict, Unpack

from corral.app.app import Corral
from corral.app.definition import JobDefinition
from corral.errors import UnknownJobError, closest
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
    group: str


class _Entry(NamedTuple):
    job: Job
    due_at: Millis | None  #: when it was to run, as it was added


async def added(app: Corral, job: JobDefinition[Any, Any] | str | None = None, /, **match: Unpack[Match]) -> list[Job]:
    """The jobs that were added and are like this, oldest first: of a declared job, of a job's name, or all of them.

    In `app_in_memory`, a job that was removed since is given as it was added.

    Raises:
        ConfigError: an unknown keyword. UnknownJobError, QueueNotFoundError: a job this application does not declare.
    """
    wanted = _Wanted(app, job, match)
    return [entry.job for entry in await _entries(app) if wanted.names(entry) and not wanted.differences(entry)]


async def assert_added(
    app: Corral, job: JobDefinition[Any, Any] | str, /, *, count: int | None = None, **match: Unpack[Match]
) -> list[Job]:
    """Fail unless a job like this was added (with `count`: exactly so many); answers those that were.

    Raises:
        AssertionError: it tells what was added instead, and in what it differs.
        ConfigError, UnknownJobError, QueueNotFoundError: as for `added`.
    """
    __tracebackhide__ = True  # pytest then shows the test's own line
    wanted = _Wanted(app, job, match)
    entries = await _entries(app)
    found = [entry.job for entry in entries if wanted.names(entry) and not wanted.differences(entry)]
    if len(found) == count or (found and count is None):
        return found
    declared = {name for queue in app.queues.values() for name in queue.definitions}
    raise AssertionError("\n".join(_complaint(wanted, entries, declared, count, len(found))))


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
        group=new.group,
    )  # fmt: skip


# -- matching ----------------------------------------------------------------------------------------------------------


class _Wanted:
    """What is looked for: jobs of a name or a declaration, and what they must be like."""

    def __init__(self, app: Corral, job: JobDefinition[Any, Any] | str | None, match: Match) -> None:
        check_keywords(dict(match), frozenset(Match.__annotations__))
        self.match = match
        self.definition = job if isinstance(job, JobDefinition) else None
        self.name = job.name if isinstance(job, JobDefinition) else job
        self._queues = None if self.definition is None else _homes(app, self.definition)

    def names(self, entry: _Entry) -> bool:
        """Whether it is a job of the name, in a queue where it is declared."""
        return self.name in (None, entry.job.name) and (self._queues is None or entry.job.queue in self._queues)

    def differences(self, entry: _Entry) -> list[str]:
        """In what the job is not as wanted; empty when it is."""
        job = entry.job
        delay_ms = 0 if entry.due_at is None else max(0, entry.due_at - job.created_at)
        found: dict[str, object] = {
            "id": job.id, "queue": job.queue, "priority": job.priority, "attempts": job.options.attempts or 1,
            "state": job.state, "schedule": job.schedule, "group": job.group,
        }  # fmt: skip
        asked: Mapping[str, object] = self.match
        wrong = [
            f"{key} is {found[key]!r}, not {asked[key]!r}" for key in found if key in asked and found[key] != asked[key]
        ]
        if "delay" in self.match and delay_ms != to_ms(self.match["delay"], "delay"):
            wrong.append(f"delay is {delay_ms / 1000:g} s, not {to_ms(self.match['delay'], 'delay') / 1000:g} s")
        return wrong + (self._data_differences(job, self.match["data"]) if "data" in self.match else [])

    def _data_differences(self, job: Job, expected: object) -> list[str]:
        actual = from_json(job.data)
        if isinstance(expected, Mapping) and isinstance(actual, dict):
            partly = from_json(to_json(dict(expected), "data"))
            assert isinstance(partly, dict)
            return [
                f"data[{key!r}] is {actual[key]!r}, not {value!r}" if key in actual else f"data has no {key!r}"
                for key, value in partly.items()
                if key not in actual or actual[key] != value
            ]
        encode = _plain if self.definition is None else self.definition.handler.payload.encode
        text = encode(expected)
        return [] if actual == from_json(text) else [f"data is {_short(job.data)}, not {_short(text)}"]


def _plain(value: object) -> str:
    """The expected data of a job that is known by its name only. Raises: PayloadError when it is not JSON."""
    return to_json(value, "data")


def _homes(app: Corral, wanted: JobDefinition[Any, Any]) -> list[str]:
    """The queues it is declared in: an application may include a bundle's job into another queue than the bundle's."""
    homes = [
        queue.name
        for queue in app.queues.values()
        if (own := queue.definitions.get(wanted.name)) is not None and own.handler.function is wanted.handler.function
    ]
    if not homes:
        app.definition(wanted.queue, wanted.name)
        raise UnknownJobError(wanted.queue, wanted.name)  # another application's job of the same name
    return homes


# -- telling -----------------------------------------------------------------------------------------------------------


def _complaint(
    wanted: _Wanted, entries: list[_Entry], declared: set[str], count: int | None, found: int
) -> Iterator[str]:
    like = ", ".join(f"{key}={value!r}" for key, value in wanted.match.items())
    times = {0: "no job", 1: "1 job"}.get(found, f"{found} jobs")
    head = f"{times} {wanted.name!r}{f' with {like}' if like else ''} {'were' if found > 1 else 'was'} added"
    expected = "" if count is None else f", expected {count}"
    shown = [entry for entry in entries if wanted.names(entry)]
    if shown:
        yield head + expected
        for entry in shown[:SHOWN]:
            yield f"  {_told(entry.job)}"
            yield from (f"    {difference}" for difference in wanted.differences(entry))
    else:
        names = declared | {entry.job.name for entry in entries}
        near = None if wanted.name is None or wanted.name in names else closest(wanted.name, names)
        yield head + expected + (f"; did you mean {near!r}?" if near else "")
        yield "  what was added:" if entries else "  nothing was added"
        yield from (f"  {_told(entry.job)}" for entry in entries[:SHOWN])
    hidden = len(shown or entries) - SHOWN
    if hidden > 0:
        yield f"  … and {hidden} more"


def _told(job: Job) -> str:
    return f"{job.queue}/{job.name} {job.id} ({job.state}): {_short(job.data)}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_DATA else f"{text[:MAX_DATA]} …"
