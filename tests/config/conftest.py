"""Small parts of every kind, and the files of a small project around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from mtl.config import Run, load_run
from mtl.options import FilePath, Fraction, PositiveInt, Probability
from mtl.registry import Registry


class Base:
    """Every part."""


class WordTable:
    feature = "words"

    @classmethod
    def build(cls, counts: Any, *, min_count: PositiveInt = 1) -> Any:
        """Number the words.

        Args:
            counts: Word to count.
            min_count: Rarer words are unknown.
        """


class CharacterTable:
    feature = "characters"

    @classmethod
    def build(cls, counts: Any) -> Any: ...


class Words(Base):
    vocabulary = WordTable

    def __init__(self, *, dim: PositiveInt = 100, vectors: FilePath | None = None) -> None: ...


class CNN(Base):
    vocabulary = CharacterTable

    def __init__(self, *, widths: tuple[int, ...] = (3,)) -> None: ...


class LSTM(Base):
    """Long short-term memory.

    Args:
        num_layers: The number of layers.
        dropout: Of the outputs.
    """

    def __init__(
        self,
        in_features: int,
        *,
        num_layers: PositiveInt,
        hidden_size: PositiveInt = 200,
        dropout: Probability = 0.0,
        forget_bias: float = 1.0,
    ) -> None: ...


class QRNN(Base):
    def __init__(self, *, num_layers: PositiveInt = 2, window: int = 1) -> None: ...


class Plain(Base):
    """Without options."""


class CRF(Base):
    def __init__(
        self, *, dropout: Probability = 0.5, scheme: Literal["bio", "iobes"] | None = None
    ) -> None: ...


class Softmax(Base):
    def __init__(self, *, dropout: Probability = 0.5, smoothing: Fraction = 0.0) -> None: ...


class SpanF1(Base):
    def __init__(
        self,
        *,
        weights: dict[str, float] | None = None,
        pairs: Sequence[tuple[str, str]] = (),
    ) -> None: ...


class Conll(Base):
    def __init__(self, *, columns: Sequence[str] = ("tokens", "label")) -> None: ...


class Hub(Base):
    reads_files: ClassVar[bool] = False

    def __init__(self, *, name: str) -> None: ...


class Adam(Base):
    def __init__(self, parameters: Any, *, lr: float = 1e-3) -> None: ...


class SGD(Base):
    def __init__(self, parameters: Any, *, lr: float, momentum: float = 0.0) -> None: ...


class Exponential(Base):
    def __init__(self, model: Any, *, decay: Probability = 0.99) -> None: ...


class ASGD(Base):
    def __init__(self, model: Any, *, trigger: PositiveInt = 5) -> None: ...


TABLES: dict[str, dict[str, type[Base]]] = {
    "embedding": {"words": Words, "cnn": CNN},
    "trunk": {"lstm": LSTM, "qrnn": QRNN, "none": Plain},
    "sharing": {"hard": Plain},
    "head": {"crf": CRF, "softmax": Softmax},
    "weighting": {"static": Plain},
    "mixing": {"proportional": Plain},
    "metric": {"span_f1": SpanF1, "accuracy": Plain},
    "reader": {"conll": Conll, "hub": Hub},
    "optimizer": {"adam": Adam, "sgd": SGD},
    "schedule": {"constant": Plain},
    "average": {"exponential": Exponential, "asgd": ASGD},
}
KINDS = {kind: Registry(kind, Base, table) for kind, table in TABLES.items()}

CORPUS = """\
title: News
reader: {type: conll}
files: {train: train.txt, test: [a.txt, b.txt]}
splits: {dev: 10%}
tasks:
  ner:
    labels: ner
    scheme: bio
    head: {type: crf, dropout: 0.4, scheme: iobes}
    metric: span_f1
  genre:
    labels: {metadata: id, pattern: "^([a-z]+)"}
    head: softmax
    metric: {type: accuracy}
"""
BASE = """\
embedding:
  words: {dim: 50}
trunk: {type: lstm, num_layers: 2, dropout: 0.3}
"""
RUN = """\
extends: base.yaml
seed: 7
tasks:
  ner: {use: news/ner}
"""

Write = Callable[..., Path]


@pytest.fixture
def kinds() -> dict[str, Registry[Any]]:
    return KINDS


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file of the project, in whose folder the test runs; `run.yaml` is complete."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MTL_DATA", raising=False)

    def write(name: str, text: str = "") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    for name in ("train", "a", "b"):
        write(f"tasks/{name}.txt")
    write("tasks/news.yaml", CORPUS)
    write("base.yaml", BASE)
    write("run.yaml", RUN)
    return write


@pytest.fixture
def load(write: Write) -> Callable[..., Run]:
    """Load `run.yaml` with overrides, or another file."""
    return lambda *overrides, path="run.yaml", **options: load_run(
        path, overrides, kinds=KINDS, **options
    )
