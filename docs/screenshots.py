"""`python -m docs.screenshots`: take the pictures of `docs/images` anew, from a platform at work.

It runs GoLive's demo on a file of its own, waits until its jobs have ended, and looks at the dashboard in Chromium.
"""

import asyncio
import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright

HERE = Path(__file__).parent
IMAGES = HERE / "images"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Name, path below the dashboard, whether dark.
PICTURES = (
    ("overview", "/", False), ("queue", "/queues/email", False), ("search", "/jobs?q=queue:email wait:>100ms", True),
    ("failures", "/failures", False), ("flow", "", True), ("insights", "/insights", True), ("job", "", False),
    ("schedules", "/schedules", False),
)  # fmt: skip
WIDTH, HEIGHT = 1280, 800
PATIENCE_S = 180


async def main() -> None:
    """Run the demo, and take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "examples.demo", "golive", "--plain", "--dir", folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=HERE.parent,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE_S):
                await look(await ready(demo))
        finally:
            demo.terminate()
            await demo.wait()


async def ready(demo: asyncio.subprocess.Process) -> str:
    """The address that logs in, when everything has been done."""
    assert demo.stdout is not None
    address = ""
    async for line in demo.stdout:
        found = re.search(r"https?://\S+/login\?token=\S+", line.decode())
        address = found[0] if found else address
        if b"every job has ended" in line:
            return address
    raise RuntimeError("the demo ended before its jobs had")


async def look(address: str) -> None:
    """Take the pictures."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        page = await context.new_page()
        await page.goto(address)
        await page.get_by_role("button", name="Log in").click()
        base = page.url.rstrip("/")
        while await page.locator(".card .figure").nth(2).inner_text() == "–":  # workers write figures every 10 s
            await page.wait_for_timeout(1_000)
            await page.goto(f"{base}/")
        for name, path, dark in PICTURES:
            await page.emulate_media(color_scheme="dark" if dark else "light")
            await page.goto(base + (path or await found(page, base, name)))
            await page.wait_for_timeout(1_000)  # the numbers come alive
            await page.screenshot(path=IMAGES / f"{name}.png")
        await browser.close()


async def found(page: Page, base: str, name: str) -> str:
    """Where there is something to show: a job that failed, or the pipeline it belonged to."""
    await page.goto(f"{base}/jobs?q=state:failed")
    links = page.locator("form.jobs tbody a.job")
    where = [await link.get_attribute("href") or "" for link in await links.all()]
    if name == "flow":
        job = next(one for one in where if "/queues/pipeline/" in one)
        queue, _, id = job.partition("/queues/")[2].partition("/jobs/")
        return f"/flows/{queue}/{id.partition('.')[0]}"
    job = next(one for one in where if "/queues/email/" in one)
    return f"{job[job.index('/queues/') :]}?tab=payload"


if __name__ == "__main__":
    asyncio.run(main())
