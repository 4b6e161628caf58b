"""A service in a thread of this process, and Debian's browser to look at it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import uvicorn

from asset_pipeline.service.app import create_app
from asset_pipeline.service.context import ServiceContext, open_context
from asset_pipeline.settings import load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_START_SECONDS = 60.0

# Press a key and return the milliseconds until what it changed is painted: a frame is drawn after
# the callback, and what comes behind it runs when that is done.
KEY_TO_PAINT = """
key => new Promise(resolve => {
  const began = performance.now();
  document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now() - began);
    channel.port2.postMessage(0);
  });
})
"""

PICTURES = """
wanted => [...document.querySelectorAll(".tile img")]
  .filter(each => each.complete && each.naturalWidth > 0).length >= wanted
"""

NODES = "document.querySelectorAll('*').length"
FOCUS = "document.querySelector('.tile.focus')?.id.slice('clip-'.length)"


def browser_path() -> str | None:
    """Return where Debian's browser is; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser() -> Generator[Browser]:
    """Start the browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 -- where there is a browser

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=browser_path(), args=["--no-sandbox", "--mute-audio"]
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def desk_server() -> Generator[tuple[str, ServiceContext]]:
    """Serve the environment's project on a free port of this machine."""
    context = open_context(load_settings())
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(context), log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        _wait(url)
        yield url, context
    finally:
        context.stopping.set()
        server.should_exit = True
        thread.join(timeout=10)
        context.engine.dispose()


def wait_for_focus(page: Page, clip_id: str) -> None:
    """Wait until a clip has the focus, and a key that decides counts for it."""
    page.locator(f"#clip-{clip_id}.focus:not([aria-busy])").wait_for()
    page.wait_for_timeout(100)


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/healthz", timeout=5).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)
