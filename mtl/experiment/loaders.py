"""The batches of a corpus for training and scoring."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np

from mtl.config.run import LENGTH, BatchConfig, Run
from mtl.data.corpus import Corpus
from mtl.data.encoding import Batcher
from mtl.data.loader import Loader
from mtl.data.sampling import Balanced, EasyFirst, SentenceSampler
from mtl.data.streams import Streams
from mtl.errors import ConfigError
from mtl.experiment.corpora import reads_pairs, tasks_of


def batch_limits(run: Run, corpus: str, sentences: int = 0) -> BatchConfig:
    """Return the batch size of a corpus, of all processes of the run together.

    It is the size of its tasks or of the training, or follows from the size of the corpus.

    Args:
        run: The run.
        corpus: The name of the corpus.
        sentences: The number of its training sentences; only the size by default depends on it.
    """
    own = [run.tasks[task].batch for task in tasks_of(run, corpus)]
    chosen = next((batch for batch in own if batch), run.training.batch)
    if not own and chosen and chosen.streams is not None:
        chosen = None  # the text of teachers, which no language model reads
    # Small data needs many steps per epoch; large batches are faster for large data.
    chosen = chosen or BatchConfig(sentences=min(32, max(8, sentences // 150)))
    # The sizes are the sizes for one process; a step has a batch of each.
    factor = run.training.processes or 1
    sizes = {name: getattr(chosen, name) for name in ("sentences", "max_tokens", "streams")}
    changes = {name: factor * size for name, size in sizes.items() if size is not None}
    return chosen.model_copy(update=changes) if factor > 1 else chosen


def make_loader(
    run: Run,
    corpus: Corpus,
    split: str,
    tasks: Sequence[str],
    *,
    batcher: Batcher,
    streams: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> Loader | Streams:
    """Return the batches of one split.

    Args:
        run: The run.
        corpus: One of its corpora.
        split: "train", "dev" or "test".
        tasks: The tasks that read streams.
        batcher: Encodes the batches.
        streams: The maximal number of streams for scoring, where each word counts once: chunks have
            equal lengths, and windows of long sentences do not overlap. None: for training.
        part: The part of each batch to return, from 0, and the number of parts: one per process.

    Raises:
        ConfigError: The text is too short for the streams of the training.
    """
    limits = batch_limits(run, corpus.name, len(corpus.splits[split]))
    if limits.streams is not None:
        words = int(corpus.splits[split].lengths.sum()) + len(corpus.splits[split])
        if streams is None and words < limits.streams * limits.bptt:
            raise ConfigError(
                f"corpus {corpus.name!r}: {split} has {words:,} words and sentence ends, less "
                f"than one chunk of {limits.bptt} in each of {limits.streams} streams; set fewer "
                "`streams` or a smaller `bptt` for the batch"
            )
        return Streams(
            corpus.name,
            corpus.splits[split],
            run.seed,
            {task: str(run.tasks[task].source.text) for task in tasks},
            streams=min(limits.streams, streams or limits.streams),
            bptt=limits.bptt,
            random_bptt=limits.random_bptt and streams is None,
            growing_bptt=limits.growing_bptt if streams is None else 0,
            overlap=limits.overlap if streams is None else 0,
            part=part,
        )
    return Loader(
        corpus.name,
        corpus.splits[split],
        run.seed,
        max_tokens=limits.max_tokens,
        sentences=limits.sentences,
        # Pairs are not cut: windows of one sentence would be compared with the whole other one.
        max_length=sys.maxsize if reads_pairs(run, tasks[0]) else run.training.max_length,
        overlap=run.training.overlap if streams is None else 0,
        sampler=_sampler(run, corpus) if split == "train" and streams is None else None,
        part=part,
        positions=batcher.positions if batcher.reads_subwords else None,
    )


def _sampler(run: Run, corpus: Corpus) -> SentenceSampler | None:
    """Return the sampler of the training sentences of a corpus; None: each once in a pass."""
    split, curriculum = corpus.splits["train"], run.training.curriculum
    for task in tasks_of(run, corpus.name):
        if strength := run.tasks[task].class_balance:
            labels = list(split.labels(task))
            numbers = {label: i for i, label in enumerate(sorted({*labels} - {None}, key=str))}
            classes = np.array([numbers.get(label, -1) for label in labels])
            return Balanced(run.seed, corpus.name, classes, strength=strength)
    if curriculum is None:
        return None
    difficulty = split.lengths
    if curriculum.difficulty != LENGTH:
        if run.tasks[curriculum.difficulty].corpus != corpus.name:
            return None
        found = split.labels(curriculum.difficulty)
        difficulty = np.array([math.nan if number is None else number for number in found])
    return EasyFirst(
        run.seed,
        corpus.name,
        difficulty,
        passes=curriculum.passes,
        start=curriculum.start,
        mixed=curriculum.mixed,
    )
