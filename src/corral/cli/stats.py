"""`corral stats`: the health of every queue in one table, once or again and again."""

from collections.abc import Sequence

import click

from corral.cli.backend.port import Reading, Row
from corral.cli.columns import STATS
from corral.cli.render import Printer
from corral.cli.session import known, look, queue_option
from corral.cli.shared import command, reads
from corral.cli.values import duration
from corral.cli.watching import until_enough, watch

WINDOW = 900.0  #: seconds that the monitor's own rates look back


@command("stats")
@queue_option()
@click.option("--window", default="15m", callback=reads(duration), metavar="DURATION", show_default=True,
              help="How far rates and means look back.")  # fmt: skip
@click.option("--watch", "interval", is_flag=False, flag_value="2s", callback=reads(duration), metavar="[DURATION]",
              help="Again and again, every 2s or so often; q ends it. corral top shows more.")  # fmt: skip
def stats(queue: str | None, window: float, interval: float | None) -> None:
    """Counts by state, done and failed a minute, share of failures, mean waiting and running time, oldest waiting job.

    A long WAIT with a short RUN asks for more workers; a long RUN for a faster handler.
    """
    if window < 60:
        raise click.BadParameter("the figures are kept by the minute: at least 1m", param_hint="--window")
    printer = Printer.current()

    async def work(back: Reading) -> None:
        await known(back, (queue,) if queue else ())

        async def look() -> Sequence[Row]:
            return await _figures(back, queue, window)

        if interval is not None:
            await watch(printer, STATS, look, interval)
            return
        printer.rows(STATS, await look())
        printer.note(await back.about())

    with until_enough(interval):
        look(work)


async def _figures(back: Reading, queue: str | None, window: float) -> Sequence[Row]:
    rows = [row for row in await back.queues() if queue in (None, row["queue"])]
    if window == WINDOW:
        return rows
    return [{**row, **_rates(await back.worked(str(row["queue"]), window), window)} for row in rows]


def _rates(worked: Row, window: float) -> Row:
    done, failed, retried = (_number(worked[key]) for key in ("done", "failed", "retried"))
    minutes = window / 60
    return {
        "window_s": window,
        "done_per_min": round(done / minutes, 2),
        "failed_per_min": round(failed / minutes, 2),
        "retried_per_min": round(retried / minutes, 2),
        "failed_rate": round(failed / (done + failed), 4) if done + failed else None,
        "mean_wait_s": worked["mean_wait_s"],
        "mean_run_s": worked["mean_run_s"],
    }


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
