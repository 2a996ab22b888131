"""Pages in a headless browser: what they print to the console, what scripts see, how they look."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def missing() -> str:
    """Return the reason why there is no browser; empty if there is one."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"needs {program}"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "needs selenium"
    return ""


class Browser:
    """A headless Chromium.

    Args:
        driver: The driver of selenium.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, place: Path | str) -> None:
        """Open a file, or an address that begins with http://, and wait until it is loaded."""
        self.console()
        address = place.resolve().as_uri() if isinstance(place, Path) else place
        self.driver.get(address)

    def console(self) -> list[str]:
        """Return the messages of the console since the last call, errors of loading included."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a JavaScript function and return its value."""
        return self.driver.execute_script(script, *arguments)

    def window(self, width: int, height: int = 900) -> None:
        """Set the size of the page in pixels; also for phones, which are narrower than windows."""
        values = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", values)

    def media(self, *, dark: bool = False, paper: bool = False) -> None:
        """Set the colour scheme that the user prefers, and the medium."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        values = {"media": "print" if paper else "", "features": [scheme]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", values)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Save a PNG of the page, or of the part in the window."""
        import base64

        values: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            size = {name: size[name] for name in ("x", "y", "width", "height")}
            values["clip"] = {**size, "scale": 1}
        found = self.driver.execute_cdp_cmd("Page.captureScreenshot", values)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser with an empty profile; skip the test if there is none."""
    if reason := missing():
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    # A browser writes to its profile until its last process has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            yield Browser(driver)
        finally:
            driver.quit()
