"""Metrics for Prometheus. Names, labels and buckets are in docs/guides/metrics.md.

`WorkerMetrics` is what a worker tells, `ApiMetrics` what the process of the HTTP API tells about the store, and
`count_adds` counts in a process that adds jobs. Importing this module is asking for it: without `corral[metrics]` it
raises ConfigError.
"""

from importlib.util import find_spec

from corral.errors import ConfigError

if find_spec("prometheus_client") is None:
    raise ConfigError("metrics need the package prometheus-client: pip install 'corral[metrics]'", key="metrics")

from corral.observe.adds import AddMetrics, CountingStorage, count_adds
from corral.observe.api_metrics import ApiMetrics
from corral.observe.merged import CrowdMetrics
from corral.observe.pages import page
from corral.observe.worker_metrics import WorkerMetrics

__all__ = ["AddMetrics", "ApiMetrics", "CountingStorage", "CrowdMetrics", "WorkerMetrics", "count_adds", "page"]
