"""A database to look at: two organizations, six integrations, five months of figures, one bad Sunday.

    python -m examples.bizinsights.seed

The same every time, but for the day on which it ends: yesterday.
"""

import argparse
import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from corral.handlers.kit.database import Row
from corral.handlers.sync import DAILY, METADATA

from .build import Platform, make_platform
from .organizations import Organization
from .settings import Settings

DAYS = 150
ACME = Organization("org-acme", "Acme Outdoor", "growth", "EUR", ("owner@acme.example",))
NORDIC = Organization("org-nordic", "Nordic Tea", "enterprise", "NOK", ("hello@nordic.example",))
#: Integration, organization, platform.
INTEGRATIONS = (
    ("acme-shopify", ACME, "shopify"),
    ("acme-stripe", ACME, "stripe"),
    ("acme-analytics", ACME, "google-analytics"),
    ("acme-ads", ACME, "facebook-ads"),
    ("nordic-shop", NORDIC, "woocommerce"),
    ("nordic-analytics", NORDIC, "google-analytics"),
)
#: Monday to Sunday: what a weekday is against the week.
RHYTHM = (0.85, 0.9, 0.95, 1.0, 1.2, 1.35, 0.75)
CHANNELS = (("Organic Search", 0.42), ("Direct", 0.25), ("Paid Social", 0.2), ("Email", 0.13))


def figures(
    organization: Organization, last: date, *, size: float, seed: int
) -> Iterator[tuple[date, dict[str, float]]]:
    """A shop's figures by day: a little growth, the rhythm of the week, chance; and on the last day hardly any sale."""
    chance = random.Random(seed)
    for ago in range(DAYS - 1, -1, -1):
        day = last - timedelta(days=ago)
        level = size * RHYTHM[day.weekday()] * (1 + 0.001 * (DAYS - ago)) * chance.uniform(0.93, 1.07)
        sessions = round(900 * level)
        orders = round(sessions * 0.024 * (0.45 if ago == 0 else chance.uniform(0.95, 1.05)))
        yield (
            day,
            {
                "sessions": sessions,
                "orders": orders,
                "revenue": round(orders * chance.uniform(58, 66), 2),
                "new_customers": round(orders * 0.55),
                "ad_spend": round(45 * size * chance.uniform(0.9, 1.1), 2),
                "clicks": round(180 * level),
            },
        )


async def seed(platform: Platform, last: date | None = None) -> int:
    """Write it all down; answers how many rows of figures. Doing so again changes nothing."""
    end = last or datetime.now(UTC).date() - timedelta(days=1)
    await platform.organizations.save(ACME, NORDIC)
    for id, organization, kind in INTEGRATIONS:
        if await platform.integrations.find(id) is None:
            await platform.integrations.save(id, organization_id=organization.id, platform=kind)
    rows: list[Row] = []
    visits: list[Row] = []
    for organization, shop, size, start in ((ACME, "acme-shopify", 1.0, 11), (NORDIC, "nordic-shop", 6.0, 23)):
        site = f"{organization.id.removeprefix('org-')}-analytics"
        for day, values in figures(organization, end, size=size, seed=start):
            for metric, value in values.items():
                money = metric in ("revenue", "ad_spend")
                where = site if metric == "sessions" else "acme-ads" if metric in ("ad_spend", "clicks") else shop
                if where == "acme-ads" and organization is NORDIC:
                    continue  # they do not advertise
                rows.append(
                    {"integration_id": where, "organization_id": organization.id, "day": day.isoformat(),
                     "metric": metric, "currency": organization.currency if money else "", "value": float(value)}
                )  # fmt: skip
            visits += list(_visits(organization, site, day, values["sessions"]))
    database = platform.database
    async with database.begin() as connection:
        await database.upsert(connection, DAILY, rows, key=["integration_id", "day", "metric", "currency"])
        table = METADATA.tables["sync_traffic"]
        await database.upsert(connection, table, visits, key=["integration_id", "external_id"])
    return len(rows)


def _visits(organization: Organization, site: str, day: date, sessions: float) -> Iterator[Row]:
    for channel, share in CHANNELS:
        visits = round(sessions * share)
        yield {
            "integration_id": site, "organization_id": organization.id, "external_id": f"{day.isoformat()}/{channel}",
            "day": day.isoformat(), "run": "seed", "sessions": visits, "users": round(visits * 0.8),
            "new_users": round(visits * 0.3), "engaged_sessions": round(visits * 0.6), "page_views": visits * 4,
            "conversions": round(visits * 0.024), "currency": organization.currency,
            "revenue_minor": round(visits * 0.024 * 6_200),
        }  # fmt: skip


async def _main(platform: Platform) -> None:
    async with platform.opened():
        count = await seed(platform)
        schedules = await platform.job_scheduler.initialize()
    print(f"{count:,} figures of 2 organizations, 6 integrations, {schedules} schedules in {platform.home}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    asyncio.run(_main(make_platform(Settings())))
