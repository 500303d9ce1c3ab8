"""The system's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = f"no browser here ({', '.join(NAMES)}); on Debian: apt-get install chromium"
PATIENCE_MS = 60_000
"""How long a page may take: a bound for a machine on which everything else runs too, not a promise."""


@dataclass(frozen=True)
class Look:
    """How somebody looks at a page: with which theme, on a screen of which size in CSS pixels."""

    theme: Literal["light", "dark"]
    width: int
    height: int = 900

    def __str__(self) -> str:
        return f"{self.theme}-{self.width}"


def executable() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def running() -> Iterator[Browser]:
    """A browser for the time of a `with` block. Raises `RuntimeError` where there is none.

    While it runs, `asyncio.run` does not work in the same thread: Playwright has a loop of its own there.
    """
    path = executable()
    if path is None:
        raise RuntimeError(MISSING)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments, timeout=PATIENCE_MS)
        yield browser
        browser.close()


@contextmanager
def looking(browser: Browser, look: Look) -> Iterator[BrowserContext]:
    """A context that nothing else has used: no cookies, nothing cached, and nothing moves."""
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme=look.theme,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()
