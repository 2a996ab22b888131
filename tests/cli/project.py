"""A small project as a user would have it: two corpora and one run that trains in a second."""

from __future__ import annotations

import random
from pathlib import Path

PEOPLE = ["Ann", "Bob", "Eva", "Tom", "Lea"]
PLACES = ["Rome", "Oslo", "Bonn", "Lima"]
VERBS = ["left", "saw", "likes", "visits"]
MOODS = {"glad": ["good", "great", "nice"], "sad": ["bad", "awful", "poor"]}
THINGS = ["food", "news", "music"]

NEWS = """\
reader: {type: conll, columns: [tokens, pos, ner]}
files: {train: ../data/train.txt, dev: ../data/dev.txt, test: ../data/test.txt}
tasks:
  ner: {labels: ner, scheme: bio, head: {type: crf, scheme: iobes}, metric: span_f1}
  pos: {labels: pos, head: {type: softmax}, metric: accuracy}
"""
MOOD = """\
reader: {type: tsv}
files: {train: ../data/mood.train.tsv, dev: ../data/mood.dev.tsv}
tasks:
  mood: {labels: mood, head: {type: pool}, metric: accuracy}
"""
RUN = """\
embedding:
  words: {dim: 16}
  characters: {type: cnn, dim: 8, filters: 8}
trunk: {type: lstm, num_layers: 1, hidden_size: 16, bidirectional: true}
tasks:
  ner: {use: news/ner}
  pos: {use: news/pos}
  mood: {use: mood/mood}
training:
  epochs: 2
  batch: {sentences: 8}
  optimizer: {type: adam, lr: 0.02}
  schedule: {type: constant, warmup: 0}
"""


def news(count: int, seed: int) -> str:
    """Return sentences with tags and names, a word a line."""
    rng = random.Random(seed)
    return "\n".join(_sentence(rng) for _ in range(count))


def _sentence(rng: random.Random) -> str:
    rows = [(rng.choice(PEOPLE), "NNP", "B-PER")]
    rows += [("Smith", "NNP", "I-PER")] if rng.random() < 0.4 else []
    rows += [(rng.choice(VERBS), "VBD", "O")]
    new = rng.random() < 0.3
    rows += [("New", "NNP", "B-LOC")] if new else []
    rows += [(rng.choice(PLACES), "NNP", "I-LOC" if new else "B-LOC"), (".", ".", "O")]
    return "".join(f"{' '.join(row)}\n" for row in rows)


def moods(count: int, seed: int) -> str:
    """Return a table of rated sentences."""
    rng = random.Random(seed)
    rows = ["text\tmood"]
    for _ in range(count):
        mood = rng.choice(sorted(MOODS))
        rows.append(f"This is {rng.choice(MOODS[mood])} {rng.choice(THINGS)}.\t{mood}")
    return "\n".join(rows) + "\n"


def write(folder: Path) -> None:
    """Write the project into a folder."""
    files = {
        "tasks/news.yaml": NEWS,
        "tasks/mood.yaml": MOOD,
        "run.yaml": RUN,
        "data/train.txt": news(40, 1),
        "data/dev.txt": news(10, 2),
        "data/test.txt": news(10, 3),
        "data/mood.train.tsv": moods(40, 1),
        "data/mood.dev.tsv": moods(10, 2),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
