"""Queue `insights-generation`: what stands out in the figures, in words."""

from corral import Corral
from corral.handlers import insights
from corral.handlers.kit.database import Database

from ..payloads import QueueName, RaiseAlert, Severity
from ..queues import take_in


def register(app: Corral, settings: insights.InsightsSettings, database: Database) -> None:
    """Serve the queue. A bad day is one alert, however many figures it shows in; the weightiest comes first."""

    async def tell(alarm: insights.Alarm) -> None:
        found = alarm.finding
        alert = RaiseAlert(
            organization_id=alarm.organization_id, alert_type="DATA_ANOMALY", severity=Severity.HIGH,
            key=str(found.day), message=found.text,
            metadata={"metric": found.metric, "day": found.day, "change": round(100 * (found.change or 0))},
        )  # fmt: skip
        await app.definition(QueueName.ALERTS, "alerts").add(alert, id=alarm.id)

    made = insights.bundle(settings, database=database, on_alarm=tell, queue=QueueName.INSIGHTS_GENERATION)
    take_in(app, made, "insights-generation")
