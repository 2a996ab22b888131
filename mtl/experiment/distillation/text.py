"""The text that teachers label beside the training text of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mtl.config.corpus import CorpusConfig
from mtl.config.parts import Part
from mtl.config.run import Run
from mtl.data.augmentation import Augmenter, TagLexicon
from mtl.data.corpus import Corpus, Split, load_corpus
from mtl.data.readers import READERS
from mtl.data.readers.unlabelled import Unlabelled
from mtl.data.store import SentenceTable
from mtl.data.writer import ReadingProgress
from mtl.experiment.build import target_of
from mtl.experiment.corpora import labels_sentences, reads_pairs, tasks_of, unit_of
from mtl.experiment.kinds import build
from mtl.experiment.loaders import batch_limits

TRANSFER = "transfer text"
"""The name of the unlabelled text among the corpora; a blank keeps it apart from their names."""
_BATCH = 1000
"""Sentences that are copied at once."""


def load_text(
    run: Run, tasks: Sequence[str], progress: ReadingProgress | None = None
) -> Corpus | None:
    """Return the unlabelled files of a run as a corpus without tasks; None without files.

    Args:
        run: The run, which has teachers.
        tasks: The tasks with teachers; if all of them label sentences, raw text is split into
            sentences.
        progress: Displays the progress of reading files that are not in the cache.

    Raises:
        MtlError: A file cannot be read.
    """
    assert run.distillation
    files = run.distillation.text
    if not files:
        return None
    names = dict.fromkeys(run.tasks[task].corpus for task in tasks)
    parts = [run.corpora[name].reader for name in names]
    readers = [build("reader", part) for part in parts if READERS.find(part.type).reads_files]
    split = all(labels_sentences(run, task, target_of(run, task).level) for task in tasks)
    reader = Unlabelled(split=split, readers=readers)
    config = CorpusConfig(name=TRANSFER, reader=Part(type="text"), files={"train": files}, tasks={})
    return load_corpus(config, reader, progress=progress)


def read_by_teachers(run: Run) -> dict[str, bool]:
    """Return the corpora whose training text teachers label, and whether they have pairs.

    Teachers read sentences of words, so text in streams or in parts of words is left out.
    """
    assert run.distillation
    if not run.distillation.training_text:
        return {}
    return {
        name: any(reads_pairs(run, task) for task in tasks_of(run, name))
        for name, corpus in run.corpora.items()
        if unit_of(corpus) == "words" and batch_limits(run, name).streams is None
    }


def with_copies(run: Run, corpora: Mapping[str, Corpus], text: Corpus | None) -> Corpus | None:
    """Return the unlabelled text with the augmented copies of all sentences that teachers label.

    Args:
        run: The run, which has teachers.
        corpora: Its corpora by name.
        text: The unlabelled text, if any.

    Returns:
        The text and the copies, or None if there are neither.
    """
    import pyarrow as pa

    assert run.distillation
    rules = run.distillation.augmentation
    if rules is None:
        return text
    augmenter = Augmenter(
        run.seed, rules.copies, rules.mask, rules.replace, rules.cut, _lexicon(run, corpora)
    )
    sources = [text.splits["train"]] if text else []
    read = read_by_teachers(run)
    sources += [corpora[name].splits["train"] for name, pairs in read.items() if not pairs]
    strings = pa.list_(pa.string())
    schema = pa.schema(
        {"tokens": strings, "second": pa.int64(), "line": pa.int64(), "hash": pa.int64()}
    )
    batches = [
        pa.record_batch([copies, *_columns(len(copies))], schema=schema)
        for split in sources
        for start in range(0, len(split), _BATCH)
        if len(copies := pa.array(_copies(augmenter, split, start), type=strings))
    ]
    count = sum(batch.num_rows for batch in batches)
    if not (text or count):
        return None
    tables = [text.splits["train"].table.table.cast(schema)] if text else []
    table = pa.concat_tables([*tables, pa.Table.from_batches(batches, schema)])
    notes = [*(text.notes if text else ()), f"{count:,} augmented copies of sentences"]
    split = Split(SentenceTable(table), {})
    return replace(text or Corpus(TRANSFER, {}), splits={"train": split}, notes=notes)


def _copies(augmenter: Augmenter, split: Split, start: int) -> list[list[str]]:
    words = split.words(start, min(start + _BATCH, len(split)))
    return [copy for sentence in words for copy in augmenter.copies(sentence)]


def _columns(count: int) -> list[Any]:
    """Return the columns second, line and hash of copies, which are of no file."""
    import pyarrow as pa

    zeros = pa.array(np.zeros(count, dtype=np.int64))
    return [pa.nulls(count, pa.int64()), zeros, zeros]


def _lexicon(run: Run, corpora: Mapping[str, Corpus]) -> TagLexicon:
    """Return the words by the gold label of the task that the augmentation names."""
    assert run.distillation
    rules = run.distillation.augmentation
    if rules is None or rules.tags is None:
        return TagLexicon({})
    split = corpora[run.tasks[rules.tags].corpus].splits["train"]
    return TagLexicon.read((example.tokens, example.labels.get(rules.tags)) for example in split)
