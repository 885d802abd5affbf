"""The platform's application, as the environment wants it: what `corral worker` runs, and what the rest of it calls.

from examples.golive.app import EmailJobType, add_email_job

await add_email_job(EmailJobType.WELCOME, {"to": "user@example.com", "context": {"username": "John Doe"}})
"""

from corral import AppQueue

from . import processors
from .build import make_platform
from .payloads import CleanupJobType, EmailJobType, ReportJobType
from .queues import JobPriority, QueueName
from .settings import Settings

__all__ = [
    "CleanupJobType",
    "EmailJobType",
    "JobPriority",
    "QueueName",
    "ReportJobType",
    "add_cleanup_job",
    "add_email_job",
    "add_report_job",
    "app",
    "initialize_email_processor",
    "initialize_report_processor",
    "job_queue_manager",
    "schedule_daily_cleanup",
]

settings = Settings()
platform = make_platform(settings)
app = platform.app

job_queue_manager = platform.service.manager
add_email_job = platform.service.add_email_job
add_report_job = platform.service.add_report_job
add_cleanup_job = platform.service.add_cleanup_job
schedule_daily_cleanup = platform.service.schedule_daily_cleanup


def initialize_email_processor() -> AppQueue:
    """Register the handlers of mails. Making the application has done so; whoever calls it again changes nothing."""
    return processors.initialize_email_processor(app)


def initialize_report_processor() -> AppQueue:
    """Register the handlers of reports. Making the application has done so; whoever calls it again changes nothing."""
    return app.queues[QueueName.REPORT]
