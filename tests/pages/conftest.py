"""One browser for all tests of a folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pages.browser import Browser, chromium


@pytest.fixture(scope="session")
def _started() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def browser(_started: Browser) -> Browser:
    """Return a browser with a wide window and light colours."""
    _started.window(1200)
    _started.media()
    return _started
