"""The shipped templates as people see them: word by word, and in a browser as wide as a window and a phone."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest

from corral.handlers.email import preview, samples

TEXTS = Path(__file__).with_name("mails")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Milliseconds: a browser beside a busy test run is slow.
PATIENCE_MS = 120_000

#: Texts whose colour is too near to that behind them: a ratio of 4.5 for what people read, 3 for large and bold words.
FAINT = """() => {
  const light = c => { const v = c / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const shine = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.body.querySelectorAll("*")) {
    const words = [...node.childNodes].filter(one => one.nodeType === 3).map(one => one.data.trim()).join("");
    if (!words || !node.offsetParent) continue;
    const style = getComputedStyle(node);
    const [one, other] = [shine(numbers(style.color)), shine(behind(node))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 18.6 && Number(style.fontWeight) >= 700;
    if ((one + 0.05) / (other + 0.05) < (large ? 3 : 4.5)) faint.push([words, style.color]);
  }
  return faint;
}"""


@pytest.mark.parametrize("name", sorted(samples()))
def test_the_text_is_word_by_word_what_it_was(name: str) -> None:
    """UPDATE_MAILS=1 writes the files anew: look at the difference before you keep it."""
    sample = samples()[name]
    _, text = preview(name, sample.data, subject=sample.subject, brand="TeamSpark")
    file = TEXTS / f"{name}.txt"
    if os.environ.get("UPDATE_MAILS"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


def test_every_template_has_a_sample_and_every_text_a_template() -> None:
    assert sorted(path.stem for path in TEXTS.iterdir()) == sorted(samples())


async def pages(width: int, scheme: Literal["light", "dark"]) -> AsyncIterator[tuple[str, int, list[list[str]]]]:
    """Each mail in a headless Chromium: its name, how wide it became, and the texts that are hard to read."""
    api = pytest.importorskip(
        "playwright.async_api", reason="playwright is not installed: pip install 'corral[interop]'"
    )
    async with api.async_playwright() as playwright:
        # For containers: root, no GPU, little /dev/shm.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=PATIENCE_MS)
        context = await browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        for name, sample in samples().items():
            html, _ = preview(name, sample.data, subject=sample.subject, brand="TeamSpark")
            await page.set_content(html)
            yield name, await page.evaluate("document.documentElement.scrollWidth"), await page.evaluate(FAINT)
        await browser.close()


@pytest.mark.slow  # a browser starts
@pytest.mark.timeout(300)
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: mails cannot be looked at")
@pytest.mark.parametrize("width", [600, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_mail_fits_its_window_and_can_be_read(width: int, scheme: Literal["light", "dark"]) -> None:
    seen = [one async for one in pages(width, scheme)]
    assert [(name, wide) for name, wide, _ in seen if wide > width] == []
    assert [(name, faint) for name, _, faint in seen if faint] == []
    assert len(seen) == len(samples())
