"""A real browser before the dashboard: Chromium, and a real server for it to speak to."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright
from starlette.types import ASGIApp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parents[1] / "interop" / "node_modules" / "axe-core" / "axe.min.js"
#: Milliseconds until what should be on a page is missing: a browser beside a busy test run is slow.
PATIENCE_MS = 60_000
#: For containers: root, no GPU, little /dev/shm; and no name is looked up: everything comes from the page's own server.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip


@asynccontextmanager
async def served(app: ASGIApp, port: int = 0, *, root_path: str = "") -> AsyncIterator[str]:
    """The application on a port, until the end of the block; gives its address."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, root_path=root_path)
        server = _Quiet(config)
        running = asyncio.create_task(server.serve([sock]))
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            await running


@asynccontextmanager
async def stripping(url: str, prefix: str) -> AsyncIterator[str]:
    """A proxy before a server that takes a prefix away from each path, and has nothing elsewhere; gives its address."""
    port = int(url.rpartition(":")[2])

    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        talks.add(talk)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await _talk(reader, writer, port, prefix.encode())
        finally:
            await _hang_up(writer)
            talks.discard(talk)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, prefix: bytes) -> None:
    """One request and its answer, both ways until either side ends."""
    line, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
    method, path, version = line.split(b" ")
    if not path.startswith(prefix + b"/"):
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        return
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = b" ".join((method, path.removeprefix(prefix), version))
        inner_writer.write(head + b"\r\nConnection: close\r\n" + rest.replace(b"Connection: keep-alive\r\n", b""))
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
    finally:
        await _hang_up(inner_writer)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever became of it: one left open is told of in a later test, which then fails for it."""
    writer.close()
    try:
        async with asyncio.timeout(1):
            await writer.wait_closed()
    except OSError:  # a timeout is one too
        writer.transport.abort()


class _Quiet(uvicorn.Server):
    """Leaves signals to the test run."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=PATIENCE_MS)
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A tab, and what its console complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"{page.url}: a script ran: {dialog.message}"))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.text}")

    async def look(self, address: str) -> None:
        """Go to an address, and wait until its scripts have run."""
        await self.page.goto(address, wait_until="load")
        await self.page.wait_for_function("!document.querySelector('[data-live][hidden]')")


async def tab(browser: Browser, *, token: str, width: int = 1280, dark: bool = False, scripts: bool = True) -> Watched:
    """A new tab that shows a token with each request, as a proxy in front would."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", java_script_enabled=scripts,
        extra_http_headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip
    return Watched(await context.new_page())


async def wider_than(page: Page, width: int) -> Sequence[str]:
    """What sticks out of a page of this width to the right."""
    found: list[str] = await page.evaluate(
        """(width) => document.documentElement.scrollWidth <= width ? [] :
        [...document.querySelectorAll("main *, header *")]
        .filter((one) => one.getBoundingClientRect().right > width + 1)
        .slice(0, 5).map((one) => one.outerHTML.slice(0, 120))""",
        width,
    )
    return found
