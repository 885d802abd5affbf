"""All platforms at once on one Redis server, and each on a SQLite file: nothing is lost, limits hold, schedules run.

A shorter form of `make platforms`, whose verdict is the same one.
"""

from pathlib import Path

import pytest

from examples.demo.stage import platforms
from tests.load.crew import play, together
from tests.load.plan import Plan, Verdict
from tests.redis_server import fresh_prefix, with_prefix

# Demos take the seconds that their retries take. Four of them share the machine with everything else that is tested.
pytestmark = [pytest.mark.torture, pytest.mark.timeout(900)]

PLAN = Plan(fires=2, period=2, burst=10, patience=600)


def check(verdict: Verdict) -> None:
    """No problems, and something happened."""
    assert verdict.problems == [], f"{verdict.platform}: {verdict.problems}"
    assert verdict.completed > 0
    assert verdict.schedules
    assert set(verdict.schedules.values()) == {PLAN.fires}


async def test_all_platforms_at_once_on_one_redis_lose_nothing_and_keep_every_promise(
    redis_url: str, tmp_path: Path
) -> None:
    prefixes = {platform: fresh_prefix() for platform in platforms()}
    verdicts = await together(platforms(), lambda platform: with_prefix(redis_url, prefixes[platform]), tmp_path, PLAN)
    assert [verdict.platform for verdict in verdicts] == platforms()
    for verdict in verdicts:
        check(verdict)


@pytest.mark.parametrize("platform", platforms())
async def test_each_platform_on_a_file_loses_nothing_and_keeps_every_promise(platform: str, tmp_path: Path) -> None:
    check(await play(platform, f"sqlite:///{tmp_path / 'corral.db'}", tmp_path / platform, PLAN))
