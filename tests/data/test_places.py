"""Places of sentences in files, and documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtl.config.corpus import CorpusConfig
from mtl.data.corpus import load_corpus
from mtl.data.places import read_places
from mtl.data.readers import Conll, Conllu, Tsv
from mtl.errors import ConfigError, MtlError
from mtl.experiment import load_config

CONLL = "-DOCSTART- -X-\n\na X\nb Y\n\nc X\n\n-DOCSTART- -X-\n\n# newdocument = no\nd Y\n\n"
IOB2 = "# newdoc id = one\n# sent_id = 1\na\tX\n\nb\tX\n\n# newdoc\nc\tY\n"


def test_places_of_several_files(tmp_path: Path) -> None:
    paths = [tmp_path / "one.conll", tmp_path / "two.iob2"]
    paths[0].write_text(CONLL)
    paths[1].write_text(IOB2)
    found = read_places(Conll(columns=["tokens", "label"]), paths)
    assert found.files.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.numbers.tolist() == [0, 1, 2, 0, 1, 2]
    assert found.lines.tolist() == [3, 6, 11, 3, 5, 8]
    assert found.marked == 4
    documents = found.documents.tolist()
    assert documents[0] == documents[1] != documents[2] != documents[3]
    assert documents[3] == documents[4] != documents[5]
    assert len(set(documents)) == 4


def test_rows_without_words_have_no_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("text\tlabel\na\tX\n\tX\nb\tY\n")
    found = read_places(Tsv(), [path])
    assert found.lines.tolist() == [2, 4]
    assert (found.marked, found.documents.tolist()) == (0, [0, 1])


def test_the_places_are_those_of_the_corpus(tmp_path: Path) -> None:
    word = "{}\tw{}\t_\tX\t_\t_\t_\t_\t_\t_\n"
    text = "".join(f"# newdoc\n{word.format(1, n)}\n" for n in range(6))
    (tmp_path / "a.conllu").write_text(text)
    paths = [tmp_path / "a.conllu"]
    config: dict[str, Any] = {
        "name": "own",
        "reader": {"type": "conllu"},
        "files": {"train": [str(paths[0])], "dev": [str(paths[0])]},
        "folds": {"count": 3, "fold": 1, "dev": None, "documents": True, "seed": 4},
        "tasks": {
            "pos": {
                "labels": {"column": "upos"},
                "head": {"type": "softmax"},
                "metric": {"type": "accuracy"},
            }
        },
    }
    corpus = load_corpus(CorpusConfig(**config), Conllu(), cache=tmp_path)
    lines = read_places(Conllu(), paths).lines
    for split in ("train", "test"):
        rows = corpus.splits[split].rows
        assert [example.line for example in corpus.splits[split]] == lines[rows].tolist()
    assert len(corpus.splits["dev"]) == 6
    assert (len(corpus.splits["train"]), len(corpus.splits["test"])) == (4, 2)


def test_folds_with_a_dev_file_need_no_dev_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("a X\n\nb Y\n\n" * 3)
    run: dict[str, Any] = {
        "embedding": {"words": {"dim": 4}},
        "trunk": {"type": "lstm", "hidden_size": 4},
        "corpora": {
            "own": {
                "reader": {"type": "conll"},
                "files": {"train": str(tmp_path / "a.conll"), "dev": str(tmp_path / "a.conll")},
                "folds": {"count": 3},
                "tasks": {"pos": {"labels": "labels", "head": "softmax", "metric": "accuracy"}},
            }
        },
        "tasks": {"pos": {"use": "own/pos"}},
    }
    with pytest.raises(ConfigError, match="'dev' cannot be cut from train; `files` has it already"):
        load_config(run)
    run["corpora"]["own"]["folds"]["dev"] = None
    assert load_config(run).corpora["own"].split_names == {"train", "dev", "test"}


def test_too_few_documents(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(CONLL)
    config: dict[str, Any] = {
        "name": "own",
        "reader": {"type": "conll"},
        "files": {"train": [str(tmp_path / "a.conll")]},
        "folds": {"count": 3, "documents": True},
        "tasks": {
            "pos": {
                "labels": {"column": "labels"},
                "head": {"type": "softmax"},
                "metric": {"type": "accuracy"},
            }
        },
    }
    with pytest.raises(MtlError, match="3 folds need at least 3 documents, found 2"):
        load_corpus(CorpusConfig(**config), Conll(), cache=tmp_path)
