"""`corral jobs show`: everything about one job."""

import json

import click

from corral.cli.backend.plan_rows import lines_of
from corral.cli.backend.port import Reading, Row
from corral.cli.cells import span
from corral.cli.render import Printer
from corral.cli.session import find_job, look, queue_option
from corral.cli.shared import command

#: What a script sees as lists and people below the fields.
_BELOW = ("traces", "history", "whole", "why", "flow")
_SPANS = ("wait_s", "run_s")


@command("show")
@click.argument("job_id", metavar="ID")
@queue_option("The job's queue; without it every queue is looked in.")
@click.option("--reveal", is_flag=True, help="Show fields that only their name makes sensitive (token, password …).")
@click.option("--payload", is_flag=True, help="Only its payload, as JSON.")
@click.option("--raw", is_flag=True, help="Every field, also those that are empty.")
@click.option("--why", "why", is_flag=True, help="Why it does not run, and when it may.")
@click.option(
    "--attempts", "attempts", is_flag=True, help="Every attempt that is kept: when it ran, where, and how it ended."
)
@click.option("--flow", "flow", is_flag=True, help="The jobs below it.")
@click.option("--depth", type=click.IntRange(1, 50), default=10, show_default=True, help="Of --flow.")
def show(
    job_id: str, queue: str | None, reveal: bool, payload: bool, raw: bool, why: bool, attempts: bool, flow: bool,
    depth: int,
) -> None:  # fmt: skip
    """Everything about one job: state, times, attempts, payload, result, the last error and its traceback.

    ID may be written queue/id. Values that are sensitive are shown as ••••.
    """
    printer = Printer.current()

    async def work(back: Reading) -> dict[str, object]:
        where = await find_job(back, job_id, queue)
        if payload and not reveal:
            return {"data": await back.payload(*where, hide=True)}
        record = dict(await back.job(*where, reveal=reveal))
        if why:
            record["why"] = await back.why(*where)
        if flow:
            record["flow"] = await back.flow(*where, depth=depth)
        return record

    record = look(work)
    if payload:
        printer.line(json.dumps(record["data"], ensure_ascii=False))
        return
    if not printer.for_people:
        printer.record(record)
        return
    printer.record(_for_people(record, raw=raw))
    if not record["whole"]:
        printer.note("its texts are larger than 64 KB and are not shown; --payload has the payload")
    if attempts:
        _attempts(printer, record["history"])
    _tracebacks(printer, record, every=attempts)
    if why:
        _why(printer, record["why"])
    if flow:
        _flow(printer, record["flow"])


def _for_people(record: Row, *, raw: bool) -> dict[str, object]:
    shown: dict[str, object] = {}
    for key, value in record.items():
        if key in _BELOW or (not raw and value in (None, 0, [], "")):
            continue
        if key in ("data", "result", "progress"):
            shown[key] = json.dumps(value, ensure_ascii=False)
        elif key in _SPANS:
            shown[key.removesuffix("_s")] = span(value)
        else:
            shown[key] = str(value) if isinstance(value, int) else value
    return shown


def _attempts(printer: Printer, history: object) -> None:
    assert isinstance(history, list)
    for one in history:
        began = one["started_at"] or "times not recorded"
        ran = span(one["run_s"]) if one["run_s"] is not None else ""
        parts = [f"attempt {one['n']} {one['outcome']}", began, ran, one["worker"] or "", one["reason"] or ""]
        if one["retry_delay_s"] is not None:
            parts.append(f"→ again after {span(one['retry_delay_s'])}")
        printer.line("  ".join(part for part in parts if part))


def _tracebacks(printer: Printer, record: Row, *, every: bool) -> None:
    traces = record["traces"]
    assert isinstance(traces, list)
    for number, trace in enumerate(traces, 1):
        if not every and number < len(traces):
            continue
        if every:
            printer.line(f"failed attempt {number} of the {len(traces)} that are kept:")
        for line in str(trace).splitlines():
            printer.line(f"    {line}")


def _why(printer: Printer, why: object) -> None:
    assert isinstance(why, dict)
    for number, reason in enumerate(why["reasons"]):
        remedy = f"   → {reason['remedy']}" if reason["remedy"] else ""
        printer.line(f"{'Why:' if not number else '    '}  {reason['message']}{remedy}")
    if why["starts_at"] and why["state"] not in ("active", "completed", "failed"):
        taken = f", if {', and '.join(why['assumptions'])}" if why["assumptions"] else ""
        printer.line(f"      it may start about {why['starts_at']}{taken}")


def _flow(printer: Printer, flow: object) -> None:
    assert isinstance(flow, dict)
    for depth, node in lines_of(flow):
        printer.line(f"{'  ' * depth}{node_line(node)}")


def node_line(node: Row) -> str:
    """A job of a flow in a line."""
    reason = f"  {node['reason']}" if node["reason"] else ""
    more = f"  ({node['left_out']} more below)" if node["left_out"] else ""
    return f"{node['queue']}/{node['id']}  {node['name'] or ''}  {node['state'] or 'gone'}{reason}{more}"
