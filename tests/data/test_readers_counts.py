"""The published sizes of real corpora, as the readers count them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtl.data.readers import Conll, Conllu, Lines, Text

ROOT = Path(os.environ.get("MTL_DATA", "no such folder"))
UNER = Conll(columns={"tokens": 1, "labels": 2})
CHUNKS = Conll(columns=["tokens", "pos", "labels"])

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not ROOT.is_dir(), reason="MTL_DATA names no folder"),
]


@pytest.mark.parametrize(
    ("reader", "name", "sentences", "tokens"),
    [
        (Conllu(), "ud_english_ewt/en_ewt-ud-train.conllu.gz", 12_544, 204_577),
        (Conllu(), "ud_english_ewt/en_ewt-ud-dev.conllu", 2_001, 25_147),
        (Conllu(), "ud_english_ewt/en_ewt-ud-test.conllu", 2_077, 25_094),
        (UNER, "uner_english_ewt/en_ewt-ud-test.iob2", 2_077, 25_097),
        (CHUNKS, "conll2000/train.txt", 8_936, 211_727),
        (CHUNKS, "conll2000/test.txt", 2_012, 47_377),
        (Conll(), "wnut17/wnut17train.conll", 3_394, 62_730),
        (Conll(), "wnut17/emerging.test.annotated", 1_287, 23_394),
        (Text(), "wikitext-2/wiki.valid.tokens", 2_461, 217_646 - 3_760),
        (Lines(), "trec/TREC.train", 5_452, 55_635),
        (Lines(), "mr/rt-polarity.all", 10_662, 224_041),
        (Lines(), "subj/subj.all", 10_000, 240_571),
        (Lines(), "sst2/stsa.binary.train", 6_920, 133_555),
        (Lines(separator="\t"), "fdu_mtl_reviews/music.task.test", 400, 56_218),
    ],
)
def test_sentences_and_tokens_are_as_published(reader, name, sentences, tokens):
    lengths = [len(record.tokens) for record in reader.read(ROOT / name)]
    assert (len(lengths), sum(lengths)) == (sentences, tokens)


@pytest.mark.parametrize(
    ("reader", "name", "spans"),
    [
        (UNER, "uner_english_ewt/en_ewt-ud-train.iob2", 2_873 + 2_698 + 1_434),
        (CHUNKS, "conll2000/train.txt", 106_978),
        (Conll(), "wnut17/emerging.dev.conll", 836),
    ],
)
def test_spans_are_as_many_as_published(reader, name, spans):
    tags = (tag for record in reader.read(ROOT / name) for tag in record.columns["labels"])
    assert sum(tag.startswith("B-") for tag in tags) == spans
