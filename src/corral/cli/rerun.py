"""`corral jobs rerun | edit`: a job again with other data, and a job that waits with other data, priority or time."""

import json

import click

from corral.cli.backend.port import Backend, Row
from corral.cli.failures import fail
from corral.cli.render import Printer
from corral.cli.session import ask, find_job, queue_option
from corral.cli.shared import command, reads
from corral.cli.values import duration, payload, priority
from corral.errors import ConfigError
from corral.payload import from_json

DATA = click.option("--data", metavar="JSON", help="Another payload: JSON text, @file or - for standard input.")
SET = click.option("--set", "settings", multiple=True, metavar="PATH=VALUE",
                   help="Change one place of the payload: user.name=Ann, user.id:=7.")  # fmt: skip
EDITOR = click.option("--edit", "editor", is_flag=True, help="Change the payload in $EDITOR.")


@command("rerun")
@click.argument("job_id", metavar="ID")
@queue_option("The job's queue; without it every queue is looked in.")
@click.option("--to", "to_queue", metavar="NAME", help="Add it to this queue.")
@DATA
@SET
@EDITOR
def rerun(
    job_id: str, queue: str | None, to_queue: str | None, data: str | None, settings: tuple[str, ...], editor: bool
) -> None:
    """Add a new job like one that is there, with another payload if wanted. The old one stays as it is."""
    printer = Printer.current()

    async def work(back: Backend) -> Row:
        where = await find_job(back, job_id, queue)
        change = await _payload(back, where, data, settings, editor=editor)
        if to_queue is not None:
            change["queue"] = to_queue
        if printer.chosen.dry_run:
            return {"queue": to_queue or where[0], "rerun_of": "/".join(where), "data": change.get("data", "as it was")}
        return await back.rerun(*where, change)

    printer.record(ask(work, app=True))


@command("edit")
@click.argument("job_id", metavar="ID")
@queue_option("The job's queue; without it every queue is looked in.")
@DATA
@SET
@EDITOR
@click.option("--priority", "level", callback=reads(priority), metavar="LEVEL", help="Another priority.")
@click.option("--delay", callback=reads(duration), metavar="DURATION", help="Run a delayed job this long from now.")
def edit(
    job_id: str, queue: str | None, data: str | None, settings: tuple[str, ...], editor: bool, level: int | None,
    delay: float | None,
) -> None:  # fmt: skip
    """Change a job that waits: its payload, its priority, or when it runs. The audit log keeps what it was."""
    printer = Printer.current()

    async def work(back: Backend) -> Row:
        where = await find_job(back, job_id, queue)
        change = await _payload(back, where, data, settings, editor=editor)
        change |= {key: value for key, value in (("priority", level), ("delay", delay)) if value is not None}
        if not change:
            raise click.UsageError("say what to change: --data, --set, --edit, --priority or --delay")
        if printer.chosen.dry_run:
            return {"queue": where[0], "id": where[1], **change}
        after = await back.edit(*where, change)
        return {key: after[key] for key in ("queue", "id", "state", "priority", "run_at", "data")}

    printer.record(ask(work))


async def _payload(
    back: Backend, where: tuple[str, str], data: str | None, settings: tuple[str, ...], *, editor: bool
) -> dict[str, object]:
    """`{"data": …}` when the payload is to be another one."""
    if data is not None:
        if settings or editor:
            raise click.UsageError("--data is the whole payload: leave --set and --edit out")
        return {"data": payload((data,))}
    if not settings and not editor:
        return {}
    value = await back.payload(*where, hide=False)
    for one in settings:
        value = with_setting(value, one)
    if editor:
        value = _edited(value)
    return {"data": value}


def _edited(value: object) -> object:
    text = click.edit(json.dumps(value, indent=2, ensure_ascii=False) + "\n", extension=".json")
    if text is None:
        fail("nothing was saved in the editor: nothing was changed", 1)
    return from_json(text)


def with_setting(value: object, setting: str) -> object:
    """The payload with one place changed: `a.b=text` or `a.b:=json`.

    Raises:
        ConfigError: not a setting, or a path through something that has no fields.
    """
    path, sign, word = setting.partition("=")
    if not sign or not path.strip(":"):
        raise ConfigError(f"{setting!r} is not PATH=VALUE; write user.name=Ann or user.id:=7", key="set")
    made = from_json(word) if path.endswith(":") else word
    return _put(value, path.removesuffix(":").split("."), made)


def _put(value: object, path: list[str], made: object) -> object:
    if not path:
        return made
    first, rest = path[0], path[1:]
    if isinstance(value, list) and first.isdigit() and int(first) < len(value):
        return [_put(one, rest, made) if place == int(first) else one for place, one in enumerate(value)]
    if isinstance(value, dict | None):
        fields = value or {}
        return {**fields, first: _put(fields.get(first), rest, made)}
    raise ConfigError(f"{first!r} cannot be set: there is {json.dumps(value)[:40]}, which has no fields", key="set")
