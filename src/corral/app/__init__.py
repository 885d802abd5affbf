"""The application: queues, handlers and schedules declared in one place."""
