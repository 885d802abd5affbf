"""Where a job's attempts are told: when each of them ran, where, and what came of it."""

import re

from .surfing import Surfer


async def test_every_attempt_has_its_times_worker_and_error(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get(f"/queues/mail/jobs/{ids['failed']}?tab=attempts")
    assert "not recorded" not in page.words
    html = page.answer.text
    assert re.findall(r'<td class="num" data-label="#">(\d)</td>', html) == ["2", "1"]
    assert len(re.findall(r'data-label="Began"><time', html)) == 2
    assert re.findall(r'data-label="Worker">(.)', html) not in (["–", "–"], [])
    assert page.words.count("ConnectionError: timed out") >= 2
    assert page.words.count("again after") >= 1


async def test_the_timeline_tells_the_earlier_attempts_too(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get(f"/queues/mail/jobs/{ids['failed']}")
    order = [
        page.words.index(said) for said in ("attempt 1 failed: ConnectionError", "attempt 2 failed: ConnectionError")
    ]
    assert order == sorted(order)
    assert "→ again after" in page.words[order[0] : order[1]]
