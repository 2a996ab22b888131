"""The page of `mtl audit`: decisions, filters, and the file that it saves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mtl.analysis.audit.audit import Audit, AuditedTask
from mtl.analysis.audit.folds import CHECKSUM
from mtl.analysis.audit.issues import Change, Issue
from mtl.analysis.audit.page import MOST, write_page
from mtl.analysis.corrections.correct import correct
from tests.pages.browser import Browser

DATA = "Ann B-PER\nleft O\n</script> O\n\nBob O\ncame O\n"
RUN = """\
embedding: {words: {dim: 4}}
trunk: {type: lstm, hidden_size: 4}
corpora:
  own:
    reader: {type: conll, columns: [tokens, ner]}
    files: {train: data.txt}
    tasks: {ner: {labels: ner, scheme: bio, head: crf, metric: span_f1}}
tasks: {ner: {use: own/ner}}
training: {patience: null}
"""


def issues(file: Path) -> list[Issue]:
    checksum = hashlib.blake2b(file.read_bytes()).hexdigest()[:CHECKSUM]
    first, second = ("Ann", "left", "</script>"), ("Bob", "came")
    return [
        Issue(
            *("ner", "missing", "no span", "PER: Bob", 0.01, 0.02, 0.9, str(file), checksum),
            *(5, 1, 0, 1, second, (Change(0, "O", "B-PER"),)),
        ),
        Issue(
            *("ner", "label", "O", "B-PER", 0.02, 0.03, 0.8, str(file), checksum),
            *(1, 0, 2, 3, first, (Change(2, "O", "B-PER"),)),
        ),
    ]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "data.txt").write_text(DATA)
    (tmp_path / "run.yaml").write_text(RUN)
    found = issues(tmp_path / "data.txt")
    audit = Audit(tmp_path / "out", found, {"ner": AuditedTask(5, 2)}, ["own: <2 sentences>"])
    write_page(audit, tmp_path / "audit.html")
    return tmp_path / "audit.html"


CATCH = """
window.saved = null;
URL.createObjectURL = (blob) => {
  blob.text().then((text) => { window.saved = text; });
  return "#";
};
"""


def test_accepted_suggestions_are_saved_and_applied(page: Path, browser: Browser) -> None:
    browser.open(page)
    assert browser.console() == []
    state = (
        "return [document.getElementById('save').disabled, "
        "document.getElementById('count').textContent]"
    )
    assert browser.run(state) == [True, "0 accepted, 0 rejected, 2 open"]
    click = (
        "document.querySelectorAll('#issues tbody tr')[arguments[0]]"
        ".querySelector(`[data-state=${arguments[1]}]`).click()"
    )
    browser.run(click, 0, "rejected")
    browser.run(click, 1, "accepted")
    assert browser.run(state) == [False, "1 accepted, 1 rejected, 0 open"]
    browser.run(
        "const f = document.querySelectorAll('#issues tbody tr')[1].querySelector('input');"
        "f.value = 'B-LOC'; f.dispatchEvent(new Event('input'));"
    )
    browser.run(CATCH + "document.getElementById('save').click()")
    saved = browser.run("return window.saved")
    (own,) = map(json.loads, saved.splitlines())
    assert own["changes"] == [{"token": 2, "old": "O", "new": "B-LOC"}]
    (page.parent / "accepted.jsonl").write_text(saved)
    (copy,) = correct(
        page.parent / "run.yaml", page.parent / "accepted.jsonl", output=page.parent / "copies"
    )
    assert copy.path.read_text() == DATA.replace("</script> O", "</script> B-LOC")


def test_decisions_can_be_filtered_and_stay_after_reloading(page: Path, browser: Browser) -> None:
    browser.open(page)
    click = "document.querySelector('#issues tbody tr [data-state=accepted]').click()"
    browser.run(click)
    shown = (
        "const s = document.getElementById('decision'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input'));"
        "return [...document.querySelectorAll('#issues tbody tr')].map((row) => row.hidden)"
    )
    assert browser.run(shown, "accepted") == [False, True]
    assert browser.run(shown, "open") == [True, False]
    assert browser.run(shown, "rejected") == [True, True]
    browser.open(page)
    count = "return document.getElementById('count').textContent"
    assert browser.run(count) == "1 accepted, 0 rejected, 1 open"
    browser.run(click)  # again: open
    assert browser.run(count) == "0 accepted, 0 rejected, 2 open"


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, True)])
def test_the_page_fits_the_window(page: Path, browser: Browser, width: int, dark: bool) -> None:
    browser.open(page)
    browser.window(width)
    browser.media(dark=dark)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.console() == []


def test_long_audits_are_cut_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text(DATA)
    found = issues(tmp_path / "data.txt") * MOST
    write_page(Audit(tmp_path, found, {"ner": AuditedTask(9, 9)}, []), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<tr data-issue=") == MOST
    assert f"most suspicious of {len(found):,} labels" in text
