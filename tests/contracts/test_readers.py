"""Contracts of all readers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from mtl.data.given import GivenCorpus, given_split
from mtl.data.readers import READERS, Python, Reader, Record
from mtl.errors import DataError
from tests.contracts.variants import Variant, over, variants

CONLL = "-DOCSTART- O\n\nAda NNP\nslept VBD\n\n# note = 1\nYes UH\n\n\nNo UH\nway NN\n"
CONLLU = "".join(
    f"# sent_id = {name}\n"
    + "".join(
        f"{number}\t{word}\t_\tX\tY\t_\t0\troot\t_\t_\n" for number, word in enumerate(words, 1)
    )
    + "\n"
    for name, words in [("a", ["Ada", "slept"]), ("b", ["Yes"]), ("c", ["No", "way"])]
)
JSONL = '{"text": "Ada slept", "y": "1"}\n\n{"text": "Yes", "y": "0"}\n{"text": "No way"}\n'
FILES = {
    "conll": CONLL,
    "conllu": CONLLU,
    "csv": 'text,y\nAda slept,1\n"Yes",0\nNo way,\n',
    "tsv": "text\ty\nAda slept\t1\nYes\t0\nNo way\t\n",
    "jsonl": JSONL,
    "lines": "1 Ada slept\n\n0 Yes\n0 No way\n",
    "text": "Ada slept\n\nYes\nNo way\n",
    "hub": JSONL,
    "python": JSONL,
}
"""For each reader a file with three sentences: Ada slept / Yes / No way."""

OPTIONS = {"hub": [{"name": "json"}]}
ALL = variants(READERS, OPTIONS)
readers = over(ALL)
of_files = over([v for v in ALL if v.cls.reads_files])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


def content(variant: Variant) -> str:
    if variant.name not in FILES:
        pytest.fail(f"add a row to FILES of this suite for the reader {variant.name!r}")
    return FILES[variant.name]


def made(variant: Variant, folder: Path) -> tuple[Reader, Path]:
    """A reader and what it is to read."""
    path = folder / "corpus"
    path.write_text(content(variant), encoding="utf-8")
    if variant.name == "python":
        rows = [json.loads(line) for line in content(variant).splitlines() if line]
        given = GivenCorpus.of({"train": given_split(rows, "data")})
        return Python(given, **variant.options), Path(given.splits["train"])
    more: dict[str, Any] = {} if variant.cls.reads_files else {"data_files": {"train": str(path)}}
    return variant.make(**more), path if variant.cls.reads_files else Path("train")


def read(variant: Variant, folder: Path) -> list[Record]:
    reader, path = made(variant, folder)
    return list(reader.read(path))


@readers
def test_sentences_come_in_order(variant: Variant, tmp_path: Path) -> None:
    records = read(variant, tmp_path)
    assert [r.tokens for r in records] == [["Ada", "slept"], ["Yes"], ["No", "way"]]


@readers
def test_lines_ascend_from_one(variant: Variant, tmp_path: Path) -> None:
    lines = [record.line for record in read(variant, tmp_path)]
    assert lines == sorted(set(lines))
    assert lines[0] >= 1


@readers
def test_columns_have_a_label_a_token_or_one_a_sentence(variant: Variant, tmp_path: Path) -> None:
    for record in read(variant, tmp_path):
        for column in record.columns.values():
            assert isinstance(column, str) or len(column) == len(record.tokens)


@readers
def test_a_file_can_be_read_twice(variant: Variant, tmp_path: Path) -> None:
    reader, path = made(variant, tmp_path)
    assert list(reader.read(path)) == list(reader.read(path))
    assert reader.digest(path) == reader.digest(path)


@of_files
def test_other_content_has_another_digest(variant: Variant, tmp_path: Path) -> None:
    reader, path = made(variant, tmp_path)
    before = reader.digest(path)
    path.write_text(f"{content(variant)}\n\n", encoding="utf-8")
    assert reader.digest(path) != before


@of_files
@pytest.mark.parametrize("ending", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_change_nothing(
    variant: Variant, ending: str, mark: str, tmp_path: Path
) -> None:
    expected = read(variant, tmp_path)
    reader, path = made(variant, tmp_path)
    path.write_bytes((mark + content(variant).rstrip("\n").replace("\n", ending)).encode())
    assert list(reader.read(path)) == expected


@of_files
def test_packed_files_are_read_as_they_are(variant: Variant, tmp_path: Path) -> None:
    expected = read(variant, tmp_path)
    packed = tmp_path / "corpus.gz"
    packed.write_bytes(gzip.compress(content(variant).encode()))
    assert list(variant.make().read(packed)) == expected


@of_files
def test_a_missing_file_is_named(variant: Variant, tmp_path: Path) -> None:
    reader, path = made(variant, tmp_path)
    path.unlink()
    for call in (lambda: list(reader.read(path)), lambda: reader.digest(path)):
        with pytest.raises(DataError, match="corpus: there is no such file"):
            call()


@of_files
@pytest.mark.parametrize("damage", [b"\xff\xfe\x00\x01", b"caf\xe9 1\n"])
def test_what_is_no_text_is_a_mistake_with_its_place(
    variant: Variant, damage: bytes, tmp_path: Path
) -> None:
    reader, path = made(variant, tmp_path)
    path.write_bytes(damage)
    with pytest.raises(DataError, match="corpus"):
        list(reader.read(path))
