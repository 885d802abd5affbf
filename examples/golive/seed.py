"""A small realistic database, the same each time: `python -m examples.golive.seed [FOLDER]`.

Three months of pipelines, tests and deployments of four projects, the people who work on them, and the files that
builds and scanners leave behind. Days are counted back from today.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.handlers.kit.database import Database

from .build import Platform, make_platform
from .data import GoLive
from .settings import Settings
from .tables import audit_events, deployments, pipeline_runs, projects, refresh_tokens, test_runs, users

DAYS = 90
PEOPLE = (
    ("user-1", "Ann Lee", "ADMIN"), ("user-2", "Bob Ray", "DEVELOPER"), ("user-3", "Cleo Park", "DEVELOPER"),
    ("user-4", "Dan Ortiz", "DEVELOPER"), ("user-5", "Eva Lind", "ADMIN"), ("user-6", "Finn Moe", "VIEWER"),
)  # fmt: skip
PROJECTS = (("shop", "Shop"), ("billing", "Billing"), ("website", "Website"), ("mobile", "Mobile App"))
STEPS = ("checkout", "build", "unit-tests", "integration-tests", "package")


class Size(NamedTuple):
    """How much there is."""

    runs: int
    tests: int
    deployments: int
    events: int


def _ms(day: date, seconds: float) -> int:
    return round((datetime.combine(day, time(), UTC).timestamp() + seconds) * 1000)


async def seed(golive: GoLive, home: Path, *, today: date | None = None, days: int = DAYS) -> Size:
    """Put everything there, in place of what was there; answers how much it is."""
    today = today or datetime.now(UTC).date()
    dice = random.Random(20251023)
    every = [today - timedelta(back) for back in range(days, 0, -1)]
    runs = [row for day in every for row in _runs(dice, day)]
    tests = [row for day in every for row in _tests(dice, day)]
    rollouts = [row for day in every for row in _deployments(dice, day)]
    events = [row for day in every for row in _events(dice, day)]
    database = golive.database
    async with database.begin() as connection:
        for table in (users, projects, refresh_tokens, pipeline_runs, test_runs, deployments, audit_events):
            await connection.execute(sa.delete(table))
        begin = _ms(today - timedelta(days), 0)
        await _fill(
            database, connection, users,
            [
                {"id": id, "name": name, "email": f"{id}@example.com", "role": role, "created_at": begin}
                for id, name, role in PEOPLE
            ],
        )  # fmt: skip
        await _fill(
            database, connection, projects,
            [{"id": id, "name": name, "owner_id": PEOPLE[index][0]} for index, (id, name) in enumerate(PROJECTS)],
        )  # fmt: skip
        # 40 tokens have expired, 20 have not.
        tokens = [{"user_id": PEOPLE[n % 6][0], "expires_at": _ms(today + timedelta(n - 39), 0)} for n in range(60)]
        tokens = [{**one, "id": number} for number, one in enumerate(tokens, 1)]
        await _fill(database, connection, refresh_tokens, tokens)
        for table, rows in ((pipeline_runs, runs), (test_runs, tests), (deployments, rollouts), (audit_events, events)):
            await _fill(database, connection, table, rows)
    for day in every:
        await golive.roll_up(day)
    await asyncio.to_thread(_files, home, today)
    return Size(len(runs), len(tests), len(rollouts), len(events))


async def _fill(
    database: Database, connection: AsyncConnection, table: sa.Table, rows: Sequence[dict[str, object]]
) -> None:
    await database.upsert(connection, table, rows, key=["id"])


# -- rows --------------------------------------------------------------------------------------------------------------


def _runs(dice: random.Random, day: date) -> Iterable[dict[str, object]]:
    busy = 2 if day.weekday() >= 5 else 7
    for id, name in PROJECTS:
        for number in range(dice.randint(1, busy)):
            failed = dice.random() < (0.22 if id == "mobile" else 0.09)
            cancelled = not failed and dice.random() < 0.03
            yield {
                "id": f"{id}-{day:%Y%m%d}-{number}",
                "pipeline_id": f"{id}-main",
                "pipeline": f"{name} main",
                "project": id,
                "status": "failed" if failed else "cancelled" if cancelled else "success",
                "started_at": _ms(day, dice.uniform(7, 19) * 3_600),
                "seconds": round(dice.lognormvariate(5.2, 0.35), 1),
                "triggered_by": dice.choice(PEOPLE)[1],
                "failed_step": dice.choice(STEPS[1:]) if failed else "",
            }


def _tests(dice: random.Random, day: date) -> Iterable[dict[str, object]]:
    for index, (id, _) in enumerate(PROJECTS):
        failed = dice.choice((0, 0, 0, 0, 1, 3))
        yield {
            "id": f"tests-{id}-{day:%Y%m%d}",
            "project": id,
            "suite": "unit",
            "status": "failed" if failed else "passed",
            "started_at": _ms(day, dice.uniform(8, 18) * 3_600),
            "tests": 300 * (index + 1) + (day.toordinal() % 50),
            "failed": failed,
            "skipped": dice.randint(0, 4),
        }


def _deployments(dice: random.Random, day: date) -> Iterable[dict[str, object]]:
    for id, _ in PROJECTS:
        if day.weekday() < 5 and dice.random() < 0.35:
            yield {
                "id": f"deploy-{id}-{day:%Y%m%d}",
                "project": id,
                "environment": dice.choice(("staging", "production")),
                "version": f"{day:%Y.%m.%d}",
                "status": dice.choices(("deployed", "rolled-back", "failed"), (92, 6, 2))[0],
                "started_at": _ms(day, dice.uniform(9, 17) * 3_600),
                "seconds": round(dice.uniform(40, 400), 1),
            }


def _events(dice: random.Random, day: date) -> Iterable[dict[str, object]]:
    actions = ("login", "login", "project.update", "pipeline.run", "member.invite", "token.create", "settings.change")
    for number in range(dice.randint(4, 14)):
        yield {
            "id": f"event-{day:%Y%m%d}-{number}",
            "at": _ms(day, dice.uniform(7, 20) * 3_600),
            "actor": dice.choice(PEOPLE)[1],
            "action": dice.choice(actions),
            "target": dice.choice(PROJECTS)[1],
            "outcome": "refused" if dice.random() < 0.04 else "ok",
        }


# -- files -------------------------------------------------------------------------------------------------------------


def _files(home: Path, today: date) -> None:
    """What builds, scanners and the platform itself leave behind, some of it old enough to be cleaned up."""
    for index, (id, _) in enumerate(PROJECTS):
        for back in (60, 30, 1):
            covered = 62 + 6 * index + (60 - back) // 10
            _write(home / "inputs" / "coverage" / id / f"coverage-{back}.xml", _cobertura(id, covered), today, back)
        _write(home / "inputs" / "security" / id / "scan.sarif", _sarif(id, index), today, 2)
    for back in (45, 40, 3, 0):
        _write(
            home / "logs" / f"system-{today - timedelta(back)}.log",
            f"{today - timedelta(back)} all is well\n",
            today,
            back,
        )
    for back in (9, 4, 0):
        _write(home / "tmp" / f"upload-{back}.part", "x" * 1_000, today, back)
    for back in (30, 8, 2):
        _write(home / "pipelines" / "artifacts" / f"build-{back}" / "app.bin", "x" * 10_000, today, back)


def _write(path: Path, text: str, today: date, back: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    then = _ms(today - timedelta(back), 12 * 3_600) / 1000
    os.utime(path, (then, then))
    os.utime(path.parent, (then, then))


def _cobertura(project: str, percent: int) -> str:
    files = []
    for name in ("orders", "payments", "users", "reports"):
        lines = "".join(f'<line number="{n}" hits="{int(n * 7 % 100 < percent)}"/>' for n in range(1, 101))
        files.append(
            f'<class name="{name}" filename="src/{project}/{name}.py" line-rate="{percent / 100}">'
            f"<methods/><lines>{lines}</lines></class>"
        )
    return (
        f'<?xml version="1.0"?><coverage line-rate="{percent / 100}" branch-rate="0" version="7.6" timestamp="0" '
        f'lines-valid="400" lines-covered="{percent * 4}"><sources><source>.</source></sources><packages>'
        f'<package name="{project}" line-rate="{percent / 100}"><classes>{"".join(files)}</classes></package>'
        "</packages></coverage>"
    )


def _sarif(project: str, count: int) -> str:
    rules = (
        ("sql-injection", "SQL built from user input", "error", "8.8"),
        ("weak-hash", "A hash that is not collision resistant", "warning", "5.3"),
        ("debug-on", "Debug mode in a deployed configuration", "note", "3.1"),
    )
    found = [
        {
            "ruleId": rule, "level": level, "message": {"text": text},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": f"src/{project}/orders.py"},
                        "region": {"startLine": 10 * number + 7},
                    }
                }
            ],
        }
        for number, (rule, text, level, _) in enumerate(rules[: count + 1])
    ]  # fmt: skip
    known = [
        {"id": rule, "shortDescription": {"text": text}, "properties": {"security-severity": score}}
        for rule, text, _, score in rules
    ]
    run = {"tool": {"driver": {"name": "scanner", "version": "2.1", "rules": known}}, "results": found}
    return json.dumps({"version": "2.1.0", "runs": [run]})


async def _main(folder: str | None) -> None:
    platform: Platform = make_platform(Settings(golive_home=None if folder is None else Path(folder)))
    platform.make_home()
    async with platform.golive.database:
        size = await seed(platform.golive, platform.home)
    print(f"{size.runs:,} pipeline runs, {size.tests:,} test runs, {size.deployments:,} deployments, ", end="")
    print(f"{size.events:,} audit events and the files of {len(PROJECTS)} projects in {platform.home}")


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1] if len(sys.argv) > 1 else None))
