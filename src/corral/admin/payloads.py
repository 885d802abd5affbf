"""Payloads that people write: what the handler says about them holds for them too."""

from typing import Any, Unpack

from corral.app.app import Corral
from corral.app.definition import JobDefinition
from corral.codec.chain import UNREADABLE
from corral.errors import ConfigError, UnknownJobError
from corral.job import Job, NewJob
from corral.keywords import AddKeywords, new_job
from corral.naming import check_name
from corral.payload import from_json, to_json


def definition(app: Corral | None, queue: str, name: str) -> JobDefinition[Any, Any] | None:
    """How the application declares such jobs; None where it says nothing about the queue.

    Raises:
        UnknownJobError: it has handlers for the queue, and none of this name.
    """
    declared = None if app is None else app.queues.get(queue)
    if declared is None or not declared.definitions:
        return None
    if name not in declared.definitions:
        raise UnknownJobError(queue, name, declared.definitions)
    return declared.definitions[name]


def checked(app: Corral | None, queue: str, name: str, data: str) -> str:
    """JSON text as the payload of such a job: what its type refuses is refused, and its defaults are filled in.

    What the type leaves as it is stays the same text.

    Raises:
        PayloadError: not JSON, too long, or refused. UnknownJobError: nobody would run it.
    """
    made = definition(app, queue, name)
    value = from_json(data)
    plain = to_json(value, "payload")
    checked = plain if made is None else made.handler.payload.encode(value)
    # Where nothing was changed the text is kept: a number that Python would round stands in it as it was written.
    return data if checked == plain else checked


def draft(app: Corral | None, queue: str, name: str, data: object, /, **options: Unpack[AddKeywords]) -> NewJob:
    """The job as it would be added, with what the application declares for it. Nothing is written.

    Raises:
        PayloadError, ConfigError: what was given is refused. UnknownJobError: nobody would run it.
    """
    made = definition(app, check_name(queue, "queue name"), check_name(name, "job name"))
    if made is not None:
        return made.new(data, **options)
    return new_job(queue, name, to_json({} if data is None else data, "payload"), options)


def readable(job: Job) -> Job:
    """A job whose payload can be read here. Raises: ConfigError: it is sealed, and its key is not at hand."""
    if job.data.startswith(UNREADABLE):
        raise ConfigError(f"the payload of job {job.id!r} cannot be opened here: its key is missing", key="data")
    return job
