"""The platform's application, as the environment wants it: what `corral worker` runs, and what a web request adds to.

The queues have the names they have everywhere in TeamSpark: `await add_job(email_queue, "welcome-email", {…})`.
"""

from .build import add_job, make_app
from .payloads import JobType
from .settings import Settings

__all__ = ["JobType", "add_job", "app", "settings"]

settings = Settings()
app = make_app(settings)

email_queue = app.queues[JobType.SEND_EMAIL]
slack_queue = app.queues[JobType.SYNC_SLACK]
report_queue = app.queues[JobType.GENERATE_REPORT]
cleanup_queue = app.queues[JobType.CLEANUP_OLD_DATA]
kudos_queue = app.queues[JobType.SEND_KUDOS_NOTIFICATION]
checkin_queue = app.queues[JobType.PROCESS_CHECKIN]
metrics_queue = app.queues[JobType.CALCULATE_METRICS]
