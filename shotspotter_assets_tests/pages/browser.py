"""A real Chromium for tests, from the system; where there is none, they skip."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAX_WAIT_MS = 300_000  # for a page of a busy machine; half a minute is usual


@dataclass
class BrowserLog:
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("requestfailed", lambda request: self.console.append(f"failed: {request.url}"))
        page.on("request", lambda request: self.requests.append(request.url))

    @property
    def hosts(self) -> list[str]:
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]


@contextmanager
def open_browser() -> Iterator[Any]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium on the PATH (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"], timeout=MAX_WAIT_MS)
        yield browser
        browser.close()


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    """Colours of a screenshot, shape (height, width, 3)."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def colours_of(png: bytes, least: int = 50) -> set[tuple[int, ...]]:
    colours, count = np.unique(pixels(png).reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(map(int, colour)) for colour in colours[count >= least]}
