"""`corral bench`: how fast this store is, with jobs that do nothing."""

import json
import operator
import re

import click

from corral.cli.failures import CHECK_FAILED, USAGE, Failure, fail
from corral.cli.render import Printer
from corral.cli.shared import command, reads
from corral.cli.store import run
from corral.cli.values import duration, size
from corral.errors import ConfigError

_CLAIM = re.compile(r"\s*([a-z_0-9]+)\s*(<=|>=|<|>)\s*([\d.]+)\s*(ms|s)?\s*")
_SIGNS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


def claims(text: str) -> list[tuple[str, str, float]]:
    """`throughput>5000,p99<50ms`: name, sign and number (milliseconds) of each.

    Raises:
        ConfigError: anything else.
    """
    made = []
    for part in text.split(","):
        found = _CLAIM.fullmatch(part)
        if found is None:
            raise ConfigError(f"{part!r} is not a claim; write throughput>5000 or p99<50ms")
        made.append((found[1], found[2], float(found[3]) * (1_000 if found[4] == "s" else 1)))
    return made


@command("bench")
@click.option("--jobs", type=click.IntRange(1, 10_000_000), default=10_000, show_default=True, help="How many jobs.")
@click.option(
    "--concurrency", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Slots of the worker."
)
@click.option("--producers", type=click.IntRange(1, 100), default=1, show_default=True, help="Who add at once.")
@click.option("--batch", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Jobs added in one step.")
@click.option("--payload", "payload", default="256B", callback=reads(size), metavar="SIZE", show_default=True,
              help="Of each job.")  # fmt: skip
@click.option("--work", default="0ms", callback=reads(duration), metavar="DURATION", show_default=True,
              help="How long each job takes.")  # fmt: skip
@click.option("--report", type=click.Choice(["text", "json"]), default="text", help="How the figures are printed.")
@click.option("--assert", "asserted", callback=reads(claims), metavar="CLAIMS",
              help="Fail (exit 8) unless: throughput>5000,p99<50ms.")  # fmt: skip
def bench(
    jobs: int, concurrency: int, producers: int, batch: int, payload: int, work: float, report: str,
    asserted: list[tuple[str, str, float]] | None,
) -> None:  # fmt: skip
    """Measure this store: add jobs that do nothing, then work them off, in a queue of their own that is deleted after.

    Figures: enqueue and throughput (jobs a second), p50 and p99 (milliseconds from added to started, while the worker
    keeps up), run_p50 and run_p99. What else runs on this machine and in this store shows in them.
    """
    from corral.cli.measure import Plan, measure
    from corral.cli.settings import load_settings
    from corral.cli.store import store_url, with_prefix
    from corral.cli.target import target

    chosen = target()
    if chosen.api is not None:
        fail("a bench needs the store itself: say --url", USAGE)
    url = with_prefix(store_url(load_settings(url=chosen.url)), chosen.prefix)
    plan = Plan(jobs=jobs, concurrency=concurrency, producers=producers, batch=batch, payload=payload, work=work)
    printer = Printer.current()
    figures = run(measure(url, plan, tell=printer.note))
    if report == "json" or not printer.for_people:
        printer.line(json.dumps(figures))
    else:
        _show(printer, figures)
    _check(figures, asserted or [])


def _show(printer: Printer, figures: dict[str, float | str]) -> None:
    printer.line(f"{figures['engine']} · payload {figures['payload']} B · {figures['slots']} slots · one process")
    printer.line(f"enqueue  {figures['jobs']:>8,} in {figures['enqueue_s']:.2f} s   {figures['enqueue']:>8,.0f}/s")
    printer.line(
        f"process  {figures['jobs']:>8,} in {figures['process_s']:.2f} s   {figures['throughput']:>8,.0f}/s   "
        f"run p50 {figures['run_p50']:.2f} ms  p99 {figures['run_p99']:.2f} ms"
    )
    printer.line(f"pickup   p50 {figures['p50']:.1f} ms  p99 {figures['p99']:.1f} ms")


def _check(figures: dict[str, float | str], asserted: list[tuple[str, str, float]]) -> None:
    wrong = []
    for name, sign, bound in asserted:
        value = figures.get(name)
        if not isinstance(value, int | float):
            known = ", ".join(key for key, one in figures.items() if not isinstance(one, str))
            fail(f"there is no figure {name!r}; there are {known}", USAGE)
        if not _SIGNS[sign](value, bound):
            wrong.append(f"{name} is {value:,.1f}, not {sign}{bound:g}")
    if wrong:
        raise Failure("; ".join(wrong), CHECK_FAILED)
