"""The page in a browser: it labels texts and shows labels, spans, probabilities and attention."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mtl as library
from mtl.serving.served_model import open_model
from tests.pages.browser import Browser, chromium
from tests.serving.client import Client, serving

CORPUS = """\
reader: {type: tsv, text: text, pair: text_b}
files: {train: train.tsv}
tasks:
  same: {labels: same, head: {type: pool}, metric: accuracy}
"""
RUN = """\
embedding: {words: {dim: 8}}
trunk: {type: lstm, num_layers: 1, hidden_size: 8}
tasks: {same: {use: two/same}}
training: {epochs: 1, batch: {sentences: 8}}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def label(
    browser: Browser, client: Client, text: str, second: str = "", without: tuple[str, ...] = ()
) -> None:
    """Open the page, choose all tasks but some, write texts and wait for their predictions."""
    browser.open(client.address)
    for task in without:
        browser.run(f"document.querySelector('[value={task}]').click()")
    browser.run(WRITE, text, second)
    browser.driver.set_script_timeout(20)
    browser.driver.execute_async_script(WAIT)


WRITE = """
document.getElementById("text").value = arguments[0];
document.getElementById("text_b").value = arguments[1];
document.querySelector("button").click();
"""
WAIT = """
const done = arguments[0];
const text = () => document.getElementById("state").textContent;
const look = () => (text().endsWith(" ms") ? done() : setTimeout(look, 20));
look();
"""


def texts(browser: Browser, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((own) => own.textContent)"
    return browser.run(script, selector)  # type: ignore[no-any-return]


def test_labels_spans_probabilities_and_attention(browser: Browser, client: Client) -> None:
    text = "Ann Smith left New Rome ."
    (record,) = client.predict([text], confidence=True)
    label(browser, client, text)
    assert browser.console() == []
    assert texts(browser, "#answers h3") == ["ner", "pos", "mood"]
    spans = [
        f"{own['text']}{own['type']} {own['confidence']:.3f}" for own in record["spans"]["ner"]
    ]
    assert texts(browser, "#answers .span") == spans
    words = zip(record["tokens"], record["pos"], record["confidence"]["pos"], strict=True)
    expected = ["".join([word, tag, f"{share:.3f}"]) for word, tag, share in words]
    assert texts(browser, "#answers .words > span") == expected
    assert texts(browser, "#answers .rows b") == [record["mood"]]
    assert texts(browser, "#answers .weight") == record["tokens"]


def test_text_is_never_markup(browser: Browser, client: Client) -> None:
    text = "<img src=x onerror=alert(1)> <b>Ann</b>"
    label(browser, client, text)
    assert browser.console() == []
    assert browser.run("return document.querySelectorAll('#answers img, #answers a').length") == 0
    shown = "".join(texts(browser, "#answers .answer > .text:last-child")).split()
    assert shown == client.predict([text])[0]["tokens"]


def test_labels_of_texts_are_below_their_texts(browser: Browser, client: Client) -> None:
    label(browser, client, "good news\nbad  food", without=("ner", "pos"))
    assert texts(browser, "#answers p.text") == ["good news", "bad  food"]
    label(browser, client, "good news", without=("pos",))
    assert texts(browser, "#answers p.text") == []


def test_one_answer_per_line(browser: Browser, client: Client) -> None:
    label(browser, client, "good news\n\nbad food\n")
    assert len(texts(browser, "#answers .answer")) == 2


def test_errors_are_shown(browser: Browser, client: Client) -> None:
    browser.open(client.address)
    browser.run("document.querySelectorAll('input[name=task]').forEach((box) => box.click())")
    browser.run("document.querySelector('button').click()")
    assert texts(browser, "#state") == ["Choose a task."]


def test_the_page_fits_a_phone(browser: Browser, client: Client) -> None:
    browser.window(360)
    label(browser, client, "Ann Smith left New Rome. " * 8)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.run(wide) <= 0
    browser.window(1200)


def test_pairs(browser: Browser, tmp_path: Path) -> None:
    rows: list[Any] = ["text\ttext_b\tsame"]
    rows += [
        f"hot soup {k % 3}\t{'hot soup' if k % 2 else 'cold rain'}\t{k % 2}" for k in range(16)
    ]
    (tmp_path / "train.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "two.yaml").write_text(CORPUS.replace("train.tsv", "../train.tsv"))
    (tmp_path / "run.yaml").write_text(RUN)
    library.train(tmp_path / "run.yaml", output=tmp_path / "pairs")
    with serving(open_model(tmp_path / "pairs", device="cpu")) as client:
        (found,) = client.post({"text": "hot soup", "text_b": "rain"}).json["predictions"]
        assert client.predict([["hot soup", ["rain"]]])[0]["same"] == found["same"]
        assert client.post({"text": "hot soup"}).told == (422, "")
        assert client.post({"texts": ["hot soup"]}).told == (422, "texts[0]")
        assert client.post({"texts": [["a", 1]]}).told == (422, "texts[0][1]")
        assert client.post({"text": "a", "text_b": "b", "unit": "sentence"}).told == (422, "unit")
        label(browser, client, "hot soup", "rain")
        assert browser.console() == []
        assert texts(browser, "#answers .rows b") == [found["same"]]
