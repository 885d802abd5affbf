"""Metrics for Prometheus, where `corral[metrics]` is installed. Nothing of it is imported before it is asked for.

`worker_page(worker)` is what a worker tells, `api_page(monitor)` what the process of the HTTP API tells about the
store, and `count_adds(app)` counts in the process that adds jobs. Names, labels and buckets: docs/guides/metrics.md.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING
