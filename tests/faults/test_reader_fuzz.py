"""Random changes of small files: a reader yields words and labels of the file, or one error.

`MTL_FUZZ=10000 pytest tests/faults/test_reader_fuzz.py` tries more of them.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl.data.readers import Conll, Conllu, Csv, Jsonl, Lines, Reader, Text, Tsv
from mtl.data.sources import Source
from mtl.data.vectors import read_vectors
from mtl.errors import DataError
from tests.faults.damage import change

COUNT = int(os.environ.get("MTL_FUZZ", "300"))

CONLL = "# id = a\nDogs\tNNS\tB-NP\nbark\tVBP\tO\n\n# id = b\nNew\tJJ\tB-NP\ncats\tNNS\tI-NP\n"
CONLLU = "".join(
    f"# text = {' '.join(words)}\n"
    + "".join(f"{n}\t{w}\t{w}\tX\tY\tA=b\t0\troot\t_\tC=d\n" for n, w in enumerate(words, 1))
    + "\n"
    for words in (["Dogs", "bark"], ["Cats"])
)
TABLE = 'text,kind\nGood bread,pos\n"Bad, cold soup",neg\n"Two\nlines",pos\n'
SPANS = json.dumps({"text": "Anna in Bonn", "kind": [[0, 4, "PER"], [8, 12, "LOC"]]})
JSONL = f'{SPANS}\n{{"tokens": ["a", "b"], "kind": ["X", "Y"]}}\n{{"text": "c", "kind": []}}\n'
SETS = '{"text": "a b", "kind": ["x", "y"]}\n{"text": "c", "kind": []}\n'
FILES: dict[str, tuple[Reader, str, Source]] = {
    "conll": (Conll(columns=["tokens", "pos", "tag"]), CONLL, Source("column", "tag")),
    "blanks": (Conll(), CONLL.replace("\t", " "), Source("column", "labels")),
    "conllu": (Conllu(), CONLLU, Source("column", "upos")),
    "csv": (Csv(), TABLE, Source("column", "kind")),
    "tsv": (Tsv(columns=["text", "kind"]), "Good bread\tpos\nBad\tneg\n", Source("column", "kind")),
    "jsonl": (Jsonl(), JSONL, Source("column", "kind", scheme="bio")),
    "sets": (Jsonl(), SETS, Source("column", "kind", form="set")),
    "soft": (Jsonl(), '{"text": "a", "kind": {"x": 1}}\n', Source("column", "kind", form="soft")),
    "lines": (Lines(), "pos Good bread\nneg Bad soup\n", Source("column", "label")),
    "text": (Text(by="paragraph"), "Good bread\nand soup\n\nBye\n", Source("text", "next")),
}


def strings(value: Any) -> Iterator[str]:
    """Yield all labels of a gold value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, frozenset, dict)):
        for item in value:
            yield from strings(item)


def written(text: str) -> Callable[[str], bool]:
    """Return whether a label or a word occurs in a text; tags are written from their types."""
    # JSON may escape characters, and tables may double quotes.
    plain = re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), text).replace('""', '"')

    def occurs(label: str) -> bool:
        ways = (label, label[2:] if label[:2] in ("B-", "I-") else label)
        return label in ("O", "<eos>") or any(way in plain or way in text for way in ways)

    return occurs


@pytest.mark.parametrize("name", FILES)
def test_readers_yield_the_file_or_one_error(name: str) -> None:
    reader, text, source = FILES[name]
    rng = random.Random(name)
    path = Path("file")
    read = 0
    for _ in range(COUNT):
        content = change(text.encode(), rng)
        path.write_bytes(content)
        try:
            for record in reader.read(path):
                try:
                    gold = source.read(record)
                except ValueError:  # a value without the form of the task, which the corpus reports
                    assert source.kind == "column", content
                    break
                # The records before a byte that is not UTF-8 are yielded.
                occurs = written(content.decode("utf-8-sig", errors="replace"))
                labels = [] if gold is None else [*strings(gold[1])]
                lost = [word for word in [*record.tokens, *labels] if not occurs(word)]
                assert not lost, (content, record)
                read += 1
        except DataError as error:
            message = str(error)
            assert message.startswith("file:"), content
            assert len(message) < 1200, content
    assert read > COUNT // 20


@pytest.mark.parametrize("name", FILES)
def test_an_unchanged_file_is_read_without_an_oddity(name: str) -> None:
    reader, text, source = FILES[name]
    Path("file").write_text(text, encoding="utf-8")
    records = list(reader.read(Path("file")))
    assert [record.oddity for record in records] == [""] * len(records)
    assert all(source.read(record) for record in records)


def test_vectors_are_finite_or_one_error() -> None:
    text = b"2 3\nDogs 1e38 0.2 -0.3\nbark\t1 1 1e-9\n"
    rng = random.Random(0)
    read = 0
    for _ in range(COUNT):
        content = change(text, rng)
        Path("file").write_bytes(content)
        try:
            words, vectors = read_vectors(Path("file"))
        except DataError:
            continue
        assert len(words) == len(vectors)
        assert np.isfinite(vectors).all(), content
        read += len(words)
    assert read > COUNT // 5
