"""Compare training speed with flair's SequenceTagger: the same BiLSTM-CRF, batch size and threads.

Both do all the work of training: flair runs the steps of its ModelTrainer, mtl its Trainer, with
batches of 32 sentences. There are three models: words only; words and a character LSTM in both; and
words with flair's character LSTM, compared with the usual character CNN of mtl.

flair runs twice: on its own batches (random sentences) and on the batches of mtl (sentences of
similar length). The second run separates the speed of the code from the effect of batching.
"""

from __future__ import annotations

import mtl  # noqa: F401 (before torch, as in the command: sets how threads wait)

# isort: split
import argparse
import logging
import os
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from side_by_side import alternate, conditions, ratio, report, speed, table

from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.text.example import Example
from mtl.text.spans import read_spans
from mtl.training.events import Step
from mtl.training.trainer import Trainer

try:
    import flair
except ImportError:
    raise SystemExit(
        "flair is missing: pip install -r benchmarks/requirements.txt -c constraints.txt"
    ) from None
from flair.data import Corpus, Dictionary, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
from flair.models import SequenceTagger
from flair.training_utils import store_embeddings

RUN = Path(__file__).with_name("bilstm.yaml")
BATCH = 32
CHARACTERS = {
    "words": None,
    "words + character LSTM": {"type": "lstm", "dim": 25, "hidden_size": 25},
    "words + character CNN (flair: LSTM)": {"type": "cnn", "dim": 25, "filters": 50},
}
"""Model to mtl's characters; flair has an LSTM, 25 units per direction, over vectors of 25."""


def make_mtl(characters: dict[str, Any] | None) -> tuple[Trainer, Sequence[Example]]:
    """Return a new trainer and its training sentences."""
    changes: dict[str, Any] = {"embedding.characters": characters} if characters else {}
    if "MTL_DATA" not in os.environ:  # the data that `make quickstart` downloads
        changes["tasks.ner.use"] = "addresses/parts"
    run = load_config(RUN, changes)
    corpora = load_corpora(run)
    trainer = make_trainer(prepare(run, corpora), corpora)
    trainer.evaluate = None
    (corpus,) = corpora.values()
    return trainer, list(corpus.splits["train"])


def mtl_steps(trainer: Trainer, steps: int) -> Callable[[], int]:
    """Return a function that runs training steps and returns their number of tokens."""
    events = (event for event in trainer.run() if isinstance(event, Step))
    return lambda: sum(sum(step.tokens.values()) for step in islice(events, steps))


def mtl_batches(trainer: Trainer) -> Iterator[Sequence[Example]]:
    """Yield the training batches of mtl."""
    (loader,) = trainer.loaders.values()
    for epoch in range(trainer.epochs):
        for (draw,) in trainer.sampler.epoch(epoch):
            yield loader.examples(draw.epoch, draw.index)


def flair_sentence(example: Example) -> Sentence:
    """Return a labelled sentence of flair's type."""
    sentence = Sentence(list(example.tokens))
    for kind, start, end in read_spans(example.labels["ner"]):
        sentence[start:end].add_label("ner", kind)
    return sentence


def random_batches(sentences: Sequence[Sentence]) -> Iterator[list[Sentence]]:
    """Yield batches as flair's loader draws them."""
    order = random.Random(1)
    while True:
        shuffled = order.sample(sentences, len(sentences))
        yield from (shuffled[i : i + BATCH] for i in range(0, len(shuffled), BATCH))


def make_flair(sentences: Sequence[Sentence], characters: bool) -> SequenceTagger:
    """Return the same tagger in flair."""
    corpus = Corpus(train=FlairDatapointDataset(sentences), sample_missing_splits=False)
    parts = [OneHotEmbeddings.from_corpus(corpus, min_freq=2, embedding_length=100)]
    if characters:
        known = Dictionary()
        for character in sorted({c for s in sentences for token in s for c in token.text}):
            known.add_item(character)
        parts.append(CharacterEmbeddings(known, char_embedding_dim=25, hidden_size_char=25))
    return SequenceTagger(
        StackedEmbeddings(parts),
        corpus.make_label_dictionary("ner", add_unk=False),
        "ner",
        hidden_size=256,
        reproject_embeddings=False,
        word_dropout=0.0,
        locked_dropout=0.5,
    )


def flair_steps(
    tagger: SequenceTagger, batches: Iterator[list[Sentence]], steps: int
) -> Callable[[], int]:
    """Return a function that runs training steps, as flair's ModelTrainer does."""
    optimizer = torch.optim.Adam(tagger.parameters(), lr=0.002)

    def work() -> int:
        tagger.train()
        tokens = 0
        for batch in islice(batches, steps):
            tagger.zero_grad()
            optimizer.zero_grad()
            loss, _ = tagger.forward_loss(batch)
            loss.item()  # summed for the log
            loss.backward()
            store_embeddings(batch, "none")
            torch.nn.utils.clip_grad_norm_(tagger.parameters(), 5.0)
            optimizer.step()
            tokens += sum(map(len, batch))
        return tokens

    return work


def compare(model: str, *, rounds: int, steps: int) -> list[str]:
    """Return the table row of one model."""
    trainer, examples = make_mtl(CHARACTERS[model])
    sentences = [flair_sentence(example) for example in examples]
    of = {example.line: sentence for example, sentence in zip(examples, sentences, strict=True)}
    same = ([of[example.line] for example in batch] for batch in mtl_batches(trainer))
    tagger, twin = (make_flair(sentences, CHARACTERS[model] is not None) for _ in range(2))
    found = alternate(
        {
            "mtl": mtl_steps(trainer, steps),
            "flair": flair_steps(tagger, random_batches(sentences), steps),
            "flair, same batches": flair_steps(twin, same, steps),
        },
        rounds,
    )
    own, *others = found.values()
    return [model, *map(speed, found.values()), *(ratio(own, other) for other in others)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="training steps per round")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    flair.device = torch.device("cpu")
    logging.getLogger("flair").setLevel(logging.WARNING)
    rows = [compare(model, rounds=options.rounds, steps=options.steps) for model in CHARACTERS]
    head = ["tokens/s", "mtl", "flair", "flair, same batches", "mtl / flair", "same batches"]
    text = "# Training beside flair\n\n" + table(head, rows) + "\n\n"
    report("training", text + conditions(["mtl", "torch", "flair"]))


if __name__ == "__main__":
    main()
