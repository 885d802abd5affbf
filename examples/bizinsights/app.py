"""The platform's application, as the environment wants it: what `corral worker` runs, and what a web request adds to.

await queue_service.add_job(QueueName.DATA_SYNC, {…})
await job_scheduler.schedule_immediate_sync(integration_id)
"""

from .build import make_platform
from .payloads import QueueName
from .settings import Settings

__all__ = ["QueueName", "app", "cache", "job_scheduler", "platform", "queue_service", "settings"]

settings = Settings()
platform = make_platform(settings)
app = platform.app
queue_service = platform.queue_service
job_scheduler = platform.job_scheduler
cache = platform.cache
