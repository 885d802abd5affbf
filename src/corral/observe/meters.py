"""The numbers of metrics.md for those who collect by OpenTelemetry."""

from opentelemetry.metrics import Meter

from corral.observe.names import SECONDS

_COUNTED = ("completed", "failed", "delayed", "retried", "waiting", "waiting_children")


class Meters:
    """Instruments by the messaging conventions, and those of BullMQ."""

    def __init__(self, meter: Meter) -> None:
        self.sent = meter.create_counter("messaging.client.sent.messages", "{message}", "Jobs that were added")
        self.consumed = meter.create_counter("messaging.client.consumed.messages", "{message}", "Runs that began")
        self.process = meter.create_histogram(
            "messaging.process.duration", "s", "From claimed to ended", explicit_bucket_boundaries_advisory=SECONDS
        )
        self.operation = meter.create_histogram(
            "messaging.client.operation.duration", "s", "Of one call", explicit_bucket_boundaries_advisory=SECONDS
        )
        self.duration = meter.create_histogram("bullmq.job.duration", "ms", "From claimed to ended")
        self.queue_jobs = meter.create_gauge("bullmq.queue.jobs", "{job}", "Jobs of a queue by state")
        self.unreadable = meter.create_counter("corral.trace.unreadable", "{job}", "Jobs whose carrier is none")
        self.jobs = {word: meter.create_counter(f"bullmq.jobs.{word}", "{job}") for word in _COUNTED}
