"""The page in a browser: a model chosen by its address or as a file labels what one types."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mtl_runtime
import pytest

from mtl.export.bundle import TaskForm, export_bundle
from tests.pages.browser import Browser, chromium
from tests.runtime.built import kernels
from tests.runtime.models import predictor

kernels()
TEXT = "Ann Smith left New York.\nThe cat sat on a mat."
SHOWN = "return document.getElementById('results').innerText"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without lines on standard error."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "model.mtl"
    tasks = {"tags": ("crf", {}), "kind": ("pool", {}), "token_sets": ("softmax", {})}
    found = predictor(tasks, embeddings={"words": {"dim": 9}})
    export_bundle(found, dict.fromkeys(tasks, TaskForm("sentence", False, False)), path)
    return path


@pytest.fixture
def site(compiled: Path, bundle: Path, tmp_path: Path) -> Iterator[str]:
    """The address of the page on a server of files, beside a model."""
    for path in compiled.parent.iterdir():
        if path.is_file():
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "model.mtl").symlink_to(bundle)
    (tmp_path / "broken.mtl").write_bytes(b"no bundle")
    handler = functools.partial(Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def wait(browser: Browser, condition: str) -> None:
    """Wait until a condition in JavaScript holds."""
    end = time.monotonic() + 30
    while not browser.run(f"return Boolean({condition})"):
        assert time.monotonic() < end, f"waited for {condition}"
        time.sleep(0.05)


def type_text(browser: Browser, text: str) -> None:
    browser.run(
        "const text = document.getElementById('text'); text.value = arguments[0];"
        "text.dispatchEvent(new Event('input', {bubbles: true}))",
        text,
    )


def test_typed_text_gets_the_labels_of_python(site: str, bundle: Path, browser: Browser) -> None:
    browser.window(1200)
    browser.open(f"{site}/?model=model.mtl")
    wait(browser, "document.getElementById('form').hidden === false")
    type_text(browser, TEXT)
    wait(browser, "document.querySelectorAll('.result').length === 2")
    shown = browser.run(SHOWN).replace("\n", "")
    model = mtl_runtime.load(bundle)
    for prediction in model.annotate(TEXT.split("\n"), confidence=True):
        assert prediction.labels["kind"] in shown
        for span in prediction.spans["tags"]:
            assert f"{span.text}{span.type} {span.confidence:.2f}" in shown
        for token, own in zip(prediction.tokens, prediction.labels["token_sets"], strict=True):
            assert f"{token}{', '.join(own) or '–'}" in shown
    assert not browser.console()


def test_the_page_in_one_file_needs_no_server(
    compiled: Path, bundle: Path, browser: Browser
) -> None:
    browser.open(compiled.with_name("mtl.html"))
    browser.driver.find_element("id", "file").send_keys(str(bundle))
    wait(browser, "document.getElementById('form').hidden === false")
    type_text(browser, TEXT)
    wait(browser, "document.querySelectorAll('.result').length === 2")
    assert not browser.console()


def test_a_broken_model_is_one_message(site: str, browser: Browser) -> None:
    browser.open(f"{site}/?model=broken.mtl")
    wait(browser, "document.getElementById('error').hidden === false")
    message = browser.run("return document.getElementById('error').textContent")
    assert message.endswith("expected a bundle, as `mtl export RUN --to bundle` writes it")
    assert browser.run("return document.getElementById('form').hidden")
    assert not browser.console()


@pytest.mark.parametrize("address", ["nowhere.mtl", "http://"])
def test_a_model_that_cannot_be_read_is_one_message(
    address: str, site: str, browser: Browser
) -> None:
    browser.open(f"{site}/?model={address}")
    wait(browser, "document.getElementById('error').hidden === false")
    message = browser.run("return document.getElementById('error').textContent")
    assert message.startswith(f"cannot read {address}: ")


def test_labels_of_the_text_are_never_read_as_html(site: str, browser: Browser) -> None:
    browser.open(f"{site}/?model=model.mtl")
    wait(browser, "document.getElementById('form').hidden === false")
    type_text(browser, "<img src=x onerror=alert(1)> <b>Ann</b>")
    wait(browser, "document.querySelectorAll('.result').length === 1")
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert not browser.console()


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_window(width: int, site: str, browser: Browser) -> None:
    browser.window(width)
    browser.open(f"{site}/?model=model.mtl")
    wait(browser, "document.getElementById('form').hidden === false")
    type_text(browser, f"{TEXT} {'x' * 200} {'Ann ' * 60}")
    wait(browser, "document.querySelectorAll('.result').length >= 2")
    assert browser.run("return document.documentElement.scrollWidth") <= width
