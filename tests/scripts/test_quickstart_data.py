"""The script that prepares the data of the quick start."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import quickstart_data as script

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script.__file__, "--output", str(folder)],
        env={**os.environ, **OFFLINE, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def archive(files: dict[str, bytes]) -> tarfile.TarFile:
    """Return an open archive with these files."""
    return tarfile.open(fileobj=io.BytesIO(packed(files)))


def packed(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as out:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def rated(lines: str) -> list[script.Item]:
    """Return the rows of an archive in which every domain has these lines."""
    files = {f"hutto_ICWSM_2014/{name}_GroundTruth.txt": lines.encode() for name in script.DOMAINS}
    inner = packed(files)
    return list(script.rated_texts(archive({"v/additional/hutto_ICWSM_2014.tar.gz": inner})))


@pytest.mark.parametrize(
    ("rating", "expected"),
    [(4, "positive"), (0.5, "positive"), (0.49, "neutral"), (-0.49, "neutral"), (-0.5, "negative")],
)
def test_ratings_are_cut_at_one_half(rating: float, expected: str) -> None:
    assert script.sentiment(rating) == expected


def test_rows_hold_text_class_and_domain() -> None:
    rows = [item.written for item in rated("1\t2.5\tbread  &amp; butter\r\n")]
    assert rows[:2] == ["bread & butter\tpositive\ttweet\n", "bread & butter\tpositive\tproduct\n"]


def test_pieces_of_one_document_stay_in_one_split() -> None:
    lines = "".join(f"{n}_{piece}\t0\t{n} {piece}\n" for n in range(50) for piece in range(3))
    splits: dict[str, set[str]] = {}
    for item in rated(lines):
        document = item.written.split("\t")[2] + item.text.split()[0]
        splits.setdefault(document, set()).add(item.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "dev", "test"}


def test_what_is_tested_is_not_learnt() -> None:
    items = [
        script.Item(split, text, "")
        for split, text in [
            ("train", "a"),
            ("train", "b"),
            ("train", "c"),
            ("dev", "a"),
            ("dev", "b"),
            ("test", "a"),
        ]
    ]
    kept = [(item.split, item.text) for item in script.without_repeats(items)]
    assert kept == [("train", "c"), ("dev", "b"), ("test", "a")]


def test_addresses_become_spans_without_the_signs_around_them() -> None:
    address = ElementTree.fromstring(
        "<AddressString><Number>12</Number> <Street>Oak</Street> <Street>Lane</Street># "
        "<Unit>P-1,</Unit> <Joint>&amp;</Joint></AddressString>"
    )
    found = " ".join(f"{word}/{tag}" for word, tag in script.spans(address))
    assert found == (
        "12/B-Number Oak/B-Street Lane/I-Street #/O P/B-Unit -/I-Unit 1/I-Unit ,/O &/B-Joint"
    )


def test_addresses_of_the_test_file_are_the_test_split() -> None:
    xml = b"<A><S><Number>%d</Number></S></A>"
    files = {
        "u/training/labeled.xml": xml % 1,
        "u/training/us50_messiest_manual_label.xml": xml % 2,
    }
    items = list(script.addresses(archive(files)))
    assert [(item.text, item.split == "test") for item in items] == [("1", False), ("2", True)]


def test_files_that_are_there_are_not_fetched_again(tmp_path: Path) -> None:
    for source in script.SOURCES:
        for split in script.SPLITS:
            (tmp_path / source.output.format(split)).write_text("mine")
    done = run(tmp_path)
    assert done.returncode == 0
    assert "MIT; cite C.J. Hutto and E. Gilbert" in done.stdout
    assert done.stdout.count(f"  found {tmp_path}") == len(script.SOURCES)
    assert "downloading" not in done.stdout
    assert {file.read_text() for file in tmp_path.iterdir()} == {"mine"}


def test_without_an_index_it_says_what_it_needs(tmp_path: Path) -> None:
    done = run(tmp_path / "out")
    assert done.returncode == 1
    assert "pip could not download vaderSentiment 3.3.2; it needs a package index" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_an_altered_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vaderSentiment-3.3.2.tar.gz").write_bytes(packed({"setup.py": b"1 / 0"}))
    done = run(tmp_path / "out", PIP_FIND_LINKS=str(tmp_path))
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not list((tmp_path / "out").iterdir())
