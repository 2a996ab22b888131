"""The batches of a corpus, as its run wants them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mtl.config.run import BatchConfig, Run
from mtl.data.corpus import Corpus
from mtl.data.loader import Loader
from mtl.data.streams import Streams
from mtl.errors import ConfigError
from mtl.experiment.corpora import reads_pairs, tasks_of


def batch_limits(run: Run, corpus: str) -> BatchConfig:
    """Return the size of a corpus's batches."""
    own = [run.tasks[task].batch for task in tasks_of(run, corpus)]
    return next((batch for batch in own if batch), run.training.batch)


def make_loader(
    run: Run,
    corpus: Corpus,
    split: str,
    tasks: Sequence[str],
    *,
    streams: int | None = None,
) -> Loader | Streams:
    """Return the batches of one split.

    Args:
        run: The run.
        corpus: One of its corpora.
        split: "train", "dev" or "test".
        tasks: The tasks that read streams.
        streams: For scoring, where each word counts once: at most this many streams, whose pieces
            are all of one length; windows of long sentences do not overlap.

    Raises:
        ConfigError: The text is too short for the streams that training wants.
    """
    limits = batch_limits(run, corpus.name)
    if limits.streams is not None:
        words = int(corpus.splits[split].lengths.sum()) + len(corpus.splits[split])
        if streams is None and words < limits.streams * limits.bptt:
            raise ConfigError(
                f"corpus {corpus.name!r}: {split} has {words:,} words, sentence ends counted, less "
                f"than one piece of {limits.bptt} in each of {limits.streams} streams; give the "
                "batch fewer `streams` or a smaller `bptt`"
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
        )
    return Loader(
        corpus.name,
        corpus.splits[split],
        run.seed,
        max_tokens=limits.max_tokens,
        sentences=limits.sentences,
        # Pairs are read whole: windows of one sentence would be compared with all of the other.
        max_length=sys.maxsize if reads_pairs(run, tasks[0]) else run.training.max_length,
        overlap=run.training.overlap if streams is None else 0,
    )
