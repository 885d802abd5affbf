"""Several worker processes under one supervisor, seen as one."""

import os
import signal
from pathlib import Path

import pytest

from corral.observe.merged import together
from tests.cli.helpers import Command
from tests.observe.helpers import APP, add, ask, becomes, field, until
from tests.observe.test_prometheus import samples, value

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]  # real processes


def test_one_port_tells_all_and_what_a_dead_child_counted_stays(storage_url: str, tmp_path: Path) -> None:
    words = ("--processes", "2", "--health-port", "0", "--metrics-port", "0", "--log-format", "logfmt", "-Q", "mail=2")
    with Command("--url", storage_url, "worker", APP, *words, cwd=tmp_path) as crowd:
        port = int(field(crowd.line("event=worker.listening"), "health_port"))
        rows = becomes(port, "/readyz?verbose", 200)
        assert "[+]process-0 ok" in rows
        assert "[+]process-1 ok" in rows
        becomes(port, "/livez", 200)
        becomes(port, "/startupz", 200)
        until(lambda: _counted(port, "corral_worker_slots", queue="mail"), lambda count: count == 4)
        add(storage_url, "quick", {}, count=30)
        finished = {"queue": "mail", "job": "quick", "outcome": "completed"}
        until(lambda: _counted(port, "corral_jobs_finished_total", **finished), lambda count: count == 30)

        children = _children(crowd.process.pid)
        os.kill(children[0], signal.SIGKILL)
        until(lambda: _children(crowd.process.pid), lambda now: len(now) == 2 and children[0] not in now)
        becomes(port, "/readyz", 200)
        assert _counted(port, "corral_jobs_finished_total", **finished) == 30
        until(lambda: _counted(port, "corral_worker_slots", queue="mail"), lambda count: count == 4)
        add(storage_url, "quick", {}, count=5)
        until(lambda: _counted(port, "corral_jobs_finished_total", **finished), lambda count: count == 35)

        os.kill(_children(crowd.process.pid)[0], signal.SIGSTOP)
        assert "no answer within 2 s" in becomes(port, "/livez", 503)


def _counted(port: int, name: str, **labels: str) -> float | None:
    return value(samples(ask(port, "/metrics")[1]), name, **labels)


def _children(parent: int) -> list[int]:
    """The processes below this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return sorted(found)


def test_metrics_of_several_are_added_up_and_of_states_the_worst_counts() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    one = (
        '# TYPE corral_jobs_started_total counter\ncorral_jobs_started_total{queue="a",job="b"} 2\n'
        "# TYPE corral_worker_loop_lag_seconds gauge\ncorral_worker_loop_lag_seconds 3\n"
        "# TYPE corral_worker_last_fetch_timestamp_seconds gauge\ncorral_worker_last_fetch_timestamp_seconds 100\n"
        '# TYPE corral_jobs_active gauge\ncorral_jobs_active{queue="a",job="b"} 1\n'
    )
    other = one.replace(" 2\n", " 5\n").replace(" 3\n", " 1\n").replace(" 100\n", " 90\n")
    metrics = [family for text in (one, other) for family in text_string_to_metric_families(text)]
    found = {sample.name: sample.value for metric in together(metrics) for sample in metric.samples}
    assert found == {
        "corral_jobs_started_total": 7, "corral_worker_loop_lag_seconds": 3,
        "corral_worker_last_fetch_timestamp_seconds": 90, "corral_jobs_active": 2,
    }  # fmt: skip
