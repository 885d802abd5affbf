"""The platform's application, as the environment wants it: what `corral worker` runs, and what web requests add to."""

from .ai_service import AiService
from .build import make_app
from .payloads import QueueName
from .settings import Settings

__all__ = ["QueueName", "ai_service", "app", "settings"]

settings = Settings()
app = make_app(settings)

ai_queue = app.queues[QueueName.AI_TASKS]
email_queue = app.queues[QueueName.EMAIL]
maintenance_queue = app.queues[QueueName.MAINTENANCE]
ai_service = AiService(app)
