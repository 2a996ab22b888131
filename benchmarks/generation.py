"""Continue real text with a language model: compare the ways to choose words with the real text.

    MTL_DATA=… python benchmarks/generation.py

Each prompt is the beginning of a paragraph of the test text of WikiText-2. The table has three
figures of the continuations by each method, and of the real ones:

- the mean log-probability per word under the model, ± its standard error over the paragraphs;
- the share of 4-grams that occurred before in the same continuation;
- the number of different bigrams in all continuations, divided by the number of bigrams.

The word `<unk>` of WikiText-2 counts like any other word. It also replaces words that the model
does not know. `mtl generate` prints the same continuations.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import torch
from side_by_side import table

import mtl
from mtl.inference.generator import Beam, Sampling
from mtl.text.example import Example
from mtl.text.running import END
from mtl.text.vocabulary.base import SPECIAL

TEXT = Path(os.environ.get("MTL_DATA", "data"), "wikitext-2", "wiki.test.tokens")
TASK = "next"
METHODS: dict[str, Sampling | Beam] = {
    "greedy": Sampling(top_k=1),
    "beam, 5 texts": Beam(5),
    "sampling": Sampling(),
    "top-k, k = 40": Sampling(top_k=40),
    "top-p, p = 0.9": Sampling(top_p=0.9),
}


def paragraphs(number: int, words: int) -> list[list[str]]:
    """Return the beginnings of paragraphs with enough words, evenly spread over the text."""
    lines = [line.split() for line in TEXT.read_text(encoding="utf-8").splitlines()]
    long = [line[:words] for line in lines if len(line) > words]
    return long[:: max(1, len(long) // number)][:number]


@torch.no_grad()
def log_prob(model: mtl.TrainedModel, prompt: Sequence[str], words: Sequence[str]) -> float:
    """Return the mean log-probability of words after a prompt, as `generate` computes it."""
    network = model.experiment.model
    batch = model.experiment.batcher.batch([Example((END, *prompt, *words[:-1]), {})])
    states = network.encode(batch, [TASK]).hidden[TASK][:, len(prompt) :]
    scores = network.head(TASK).log_probs(states, torch.ones(1, len(words)).bool())[0]
    scores[:, : len(SPECIAL)] = -torch.inf
    ids = torch.as_tensor(model.experiment.targets[TASK].encode(tuple(words)))
    return scores.log_softmax(1).gather(1, ids.unsqueeze(1)).mean().item()


def n_grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return the n-grams of a text."""
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def repeated(words: Sequence[str], n: int = 4) -> float:
    """Return the share of n-grams that occurred before.

    >>> repeated(["a", "b", "a", "b", "a"], 2)
    0.5
    """
    grams = n_grams(words, n)
    return 1 - len(set(grams)) / len(grams)


def row_of(
    name: str, model: mtl.TrainedModel, texts: Sequence[tuple[Sequence[str], Sequence[str]]]
) -> list[str]:
    """Return the row of a method from the prompts and their continuations."""
    means = [log_prob(model, prompt, words) for prompt, words in texts]
    error = stdev(means) / len(means) ** 0.5
    bigrams = [gram for _, words in texts for gram in n_grams(words, 2)]
    return [
        name,
        f"{fmean(means):.2f} ± {error:.2f}",
        f"{100 * fmean(repeated(words) for _, words in texts):.1f}",
        f"{100 * len(set(bigrams)) / len(bigrams):.1f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="wikitext2", help="a language model of lower-case words")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--prompts", type=int, default=100, help="number of paragraphs")
    parser.add_argument("--prompt-words", type=int, default=20)
    parser.add_argument("--words", type=int, default=40, help="length of the continuations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = mtl.load(options.model, device="cpu")
    known = set(model.experiment.targets[TASK].labels)
    start, length = options.prompt_words, options.words
    real = []
    for line in paragraphs(options.prompts, start + length):
        own = [word if word in known else "<unk>" for word in map(str.lower, line)]
        real.append((own[:start], own[start:]))
    rows = [row_of("real text", model, real)]
    for name in options.methods:
        texts = []
        for seed, (prompt, _) in enumerate(real):
            words = model.generate(
                " ".join(prompt), task=TASK, length=length, sampling=METHODS[name], seed=seed
            )
            texts.append((prompt, list(words)))
        rows.append(row_of(name, model, texts))
        print(*rows[-1], flush=True)
    head = ["", "log p per word", "repeated 4-grams, %", "different bigrams, %"]
    print(table(head, rows))


if __name__ == "__main__":
    main()
