"""Models of the runtime: tasks, errors, and the tables of words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from mtl_runtime import MtlError
from mtl_runtime._mtl.text.vocabulary.base import SPECIAL
from mtl_runtime.model import Model
from mtl_runtime.subwords import SubwordEncoder
from mtl_runtime.words import Encoder, WordTables

from mtl.text.vocabulary import SubwordVocabulary
from tests.runtime.networks import Network
from tests.runtime.test_predictor import SINGLE, WORDS, predictor


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(Network(predictor(), derived=["votes"]), "model.mtl")


def test_tasks(model: Model) -> None:
    assert model.tasks == [*SINGLE, "pair"]
    assert repr(model).startswith("<Model 'model.mtl': pos, ner, ")
    assert "votes" not in model.select()
    assert model.select(["votes", "pos"]) == ["pos", "votes"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.predict("Ann", ["pos"]), "expected a list of sentences, got one string"),
        (lambda m: m.predict([1], ["pos"]), r"sentences\[0\]: expected text or a list of words"),
        (lambda m: m.predict([], ["ps"]), "the model has no task 'ps'; did you mean 'pos'"),
        (lambda m: m.predict([]), "pair: compares two sentences, the other tasks read one"),
        (lambda m: m.predict([], ["pos"], unit="word"), "unit: expected 'sentence', 'record'"),
        (lambda m: m.predict([], ["pair"], unit="sentence"), "pairs are not split"),
        (lambda m: m.predict(["Ann"], ["pair"]), "expected two sentences to compare"),
        (lambda m: m.probabilities([], "set"), "'set': has no probabilities of labels, it pred"),
        (lambda m: m.probabilities([]), "expected the name of a task, one of: pos, ner"),
    ],
)
def test_errors_say_what_is_expected(model: Model, call: Any, message: str) -> None:
    with pytest.raises(MtlError, match=message):
        call(model)


def test_sentences_of_a_text_one_by_one(model: Model) -> None:
    text = "Ann left. Bob goes!"
    found = list(model.annotate([text], ["pos"], split_sentences=True))
    assert [prediction.text for prediction in found] == ["Ann left.", "Bob goes!"]
    assert found[1].offsets[0] == (10, 13)


def test_a_stream_is_read_lazily(model: Model) -> None:
    read = []

    def stream() -> Any:
        for word in WORDS:
            read.append(word)
            yield [word]

    next(model.annotate(stream(), ["pos"], chunk_size=2))
    assert len(read) == 2


def test_threads_share_the_tables() -> None:
    texts = [[*WORDS[n % 7 : 7 + n % 9], f"word{n}"] for n in range(300)]
    expected = Model(Network(predictor())).predict(texts, ["pos", "kind"])
    shared = Model(Network(predictor()))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda n: shared.predict(texts[n::10], ["pos", "kind"]), range(10)))
    for number, part in enumerate(parts):
        assert part == {task: own[number::10] for task, own in expected.items()}


class Lengths:
    """A program whose row of a word is its id; it fails on request."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.fails = False

    def run(self, inputs: dict[str, Any], outputs: Any) -> dict[str, Any]:
        if self.fails:
            raise MemoryError
        ids = inputs["words"][0].astype(np.float32)
        self.seen += ids.astype(int).tolist()
        return {"vectors": np.stack([ids, ids], 1), "products.0": ids[None, :, None]}


def tables(most_bytes: int) -> tuple[Lengths, WordTables]:
    data = {"words": [str(n) for n in range(100)], "lowercase": False, "digits": False}
    encoder = Encoder(["words"], [{"feature": "words", "width": 1, "data": data}])
    program = Lengths()
    names = ["vectors", "products.0"]
    return program, WordTables(program, names, encoder, together=8, most_bytes=most_bytes)


def rows(own: WordTables, words: list[str]) -> list[float]:
    ids, found = own.find(words)
    assert (found["vectors"][0] == 0).all()
    assert (found["vectors"][:, :1] == found["products.0"]).all()
    values: list[float] = found["vectors"][ids, 1].tolist()
    return values


def test_each_word_is_computed_once() -> None:
    program, own = tables(1 << 20)
    words = [str(n % 30) for n in range(90)]
    expected = [n % 30 + len(SPECIAL) for n in range(90)]
    assert rows(own, words) == expected
    assert rows(own, words[::-1]) == expected[::-1]
    assert sorted(program.seen) == sorted(set(expected))
    assert len(own) == 30


def test_words_used_last_stay() -> None:
    program, own = tables(40 * 16)
    first, second = [str(n) for n in range(20)], [str(n) for n in range(20, 60)]
    rows(own, first)
    rows(own, second)
    rows(own, first[:2])
    program.seen.clear()
    assert rows(own, [*first[:2], "99"]) == [2, 3, 101]
    assert program.seen == [101]
    assert len(own) < 40
    assert rows(own, second) == [n + 2 for n in range(20, 60)]


def test_a_failure_leaves_no_wrong_rows() -> None:
    program, own = tables(1 << 20)
    rows(own, ["1", "2"])
    program.fails = True
    with pytest.raises(MemoryError):
        own.find(["3"])
    program.fails = False
    assert rows(own, ["4", "3", "1"]) == [6, 5, 3]


def test_subwords_are_those_of_tokenizers() -> None:
    words = ["walking", "walked", "talks", "naïve", "東京", "a" * 50, "abab", "ababab", "xyz", "🙂"]
    learned = SubwordVocabulary.build(dict.fromkeys(words, 3), pieces=330)
    own = SubwordEncoder(learned.to_json())
    random = np.random.default_rng(1)
    letters = [*"walkingtedsbxyzï東京🙂é \0"]
    for _ in range(2000):
        words.append("".join(random.choice(letters, size=random.integers(0, 30))))
    assert [own.encode(word) for word in words] == [learned.encode(word) for word in words]


def test_a_damaged_tokenizer_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected a BPE tokenizer"):
        SubwordEncoder({"model": {"vocab": {}}})
