"""Words that a predictor keeps: the products of first layers are exact, bounded and up to date."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.data.encoding import Batcher
from mtl.embeddings import Concatenation, WordEmbedding
from mtl.heads import CRFTagger, PoolClassifier
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.inference.words import WordTable
from mtl.layers.lookup import look_up, lookup_of
from mtl.model import MultiTaskModel
from mtl.sharing import SHARING
from mtl.targets import SentenceLabelTarget, TokenLabelTarget
from mtl.text.example import Example
from mtl.text.vocabulary import WordVocabulary
from mtl.trunks import CellTrunk, GRUTrunk, LSTMTrunk, QRNNTrunk
from mtl.trunks.directional import DirectionalTrunk

LETTERS = "abcdefghij"
TARGETS = {"ner": TokenLabelTarget(["O", "B-X", "I-X"]), "kind": SentenceLabelTarget(["p", "q"])}
TASKS = list(TARGETS)
TRUNKS: dict[str, Callable[[], DirectionalTrunk]] = {
    "lstm": lambda: LSTMTrunk(6, num_layers=2, hidden_size=6, learned_start=True),
    "lstm, one way": lambda: LSTMTrunk(6, num_layers=1, hidden_size=6, bidirectional=False),
    "lstm, normed": lambda: LSTMTrunk(6, num_layers=1, hidden_size=6, layer_norm=True),
    "lstm, narrow end": lambda: LSTMTrunk(6, num_layers=2, hidden_size=6, last_size=3),
    "cell": lambda: CellTrunk(6, num_layers=1, hidden_size=6),
    "gru": lambda: GRUTrunk(6, num_layers=2, hidden_size=6, bidirectional="interleaved"),
    "gru, started": lambda: GRUTrunk(6, num_layers=1, hidden_size=6, learned_start=True),
    "gru, normed": lambda: GRUTrunk(6, num_layers=1, hidden_size=6, layer_norm=True),
    "qrnn, normed": lambda: QRNNTrunk(6, num_layers=1, hidden_size=6, layer_norm=True),
    "qrnn, highway": lambda: QRNNTrunk(6, num_layers=1, hidden_size=5, highway=True),
    "qrnn, standout": lambda: QRNNTrunk(6, hidden_size=6, feed_forward=7, standout=True),
    "qrnn 1": lambda: QRNNTrunk(6, num_layers=1, hidden_size=6, window=1, pooling="f"),
    "qrnn 2": lambda: QRNNTrunk(6, num_layers=2, hidden_size=6, learned_start=True),
    "qrnn, wide below": lambda: QRNNTrunk(6, num_layers=1, hidden_size=6, feed_forward=7),
    "qrnn, dense": lambda: QRNNTrunk(6, num_layers=3, hidden_size=6, connections="dense"),
    "qrnn, summed": lambda: QRNNTrunk(6, num_layers=2, hidden_size=6, sum_layers=True),
}
SLOW = ("lstm, normed", "gru, normed", "cell", "qrnn, normed", "qrnn, highway")
"""Trunks whose first layer is not a plain recurrence over products of words."""


OPTIONS: dict[str, dict[str, Any]] = {"progressive": {"old": ["ner"]}}


def predictor(
    make: Callable[[], DirectionalTrunk] = TRUNKS["qrnn 2"], sharing: str = "hard"
) -> Predictor:
    """An untrained model whose weights, starts included, are all random."""
    torch.manual_seed(3)
    words = WordVocabulary.build(dict.fromkeys(LETTERS, 1))
    embedding = Concatenation({"words": WordEmbedding({"words": words}, dim=6)})
    shared = SHARING.find(sharing)(TASKS, make, **OPTIONS.get(sharing, {}))
    width = shared.sizes_of("ner")[-1]
    heads = {
        "ner": CRFTagger(width, TARGETS["ner"].labels),
        "kind": PoolClassifier(width, TARGETS["kind"].labels, pooling="mean"),
    }
    own, layers = {task: task for task in TASKS}, dict.fromkeys(TASKS, -1)
    model = MultiTaskModel(embedding, shared, heads, head_of=own, layers=layers).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    batcher = Batcher({"words": words}, TARGETS)
    schemes = {"ner": "bio", "kind": None}
    return Predictor(model, batcher, schemes=schemes, max_length=50, overlap=10)


def text(length: int, start: int = 0) -> Example:
    return Example(tuple(LETTERS[(start + i * i) % 10] for i in range(length)))


TEXTS = [text(5), text(1, 3), text(17), text(0), text(5, 2), text(9, 7)]


def outputs(found: Predictor, examples: Sequence[Example] = TEXTS) -> list[Any]:
    """Labels, and the numbers behind them."""
    return [
        (p["ner"].labels, p["ner"].confidence, p["kind"].labels, p["kind"].logits.tolist())
        for p in found.run(map(Sentence, examples), TASKS, confidence=True, logits=True)
    ]


def plain(monkeypatch: pytest.MonkeyPatch, found: Predictor) -> list[Any]:
    """The same outputs from products with the vectors of all tokens."""
    with monkeypatch.context() as patch:
        patch.setattr("mtl.trunks.directional.lookup_of", lambda x: None)
        return outputs(found)


def assert_close(one: list[Any], other: list[Any]) -> None:
    for a, b in zip(one, other, strict=True):
        assert (a[0], a[2]) == (b[0], b[2])
        assert a[1] == pytest.approx(b[1], abs=1e-5)
        assert a[3] == pytest.approx(b[3], abs=1e-5)


def used_products(monkeypatch: pytest.MonkeyPatch, found: Predictor) -> bool:
    """Whether a prediction looks products up."""
    results: list[bool] = []
    run = DirectionalTrunk._over_words

    def noted(self: DirectionalTrunk, *arguments: Any) -> Tensor | None:
        output = run(self, *arguments)
        results.append(output is not None)
        return output

    with monkeypatch.context() as patch:
        patch.setattr(DirectionalTrunk, "_over_words", noted)
        outputs(found)
    return any(results)


@pytest.mark.parametrize("name", TRUNKS)
def test_products_of_words_change_no_output(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = predictor(TRUNKS[name])
    assert used_products(monkeypatch, found) is (name not in SLOW)
    assert_close(outputs(found), plain(monkeypatch, found))


@pytest.mark.parametrize("sharing", [*SHARING])
def test_they_change_none_under_any_sharing(monkeypatch: pytest.MonkeyPatch, sharing: str) -> None:
    found = predictor(sharing=sharing)
    # A tensor-factored trunk computes its weights in every pass.
    assert used_products(monkeypatch, found) is (sharing != "tensor")
    assert_close(outputs(found), plain(monkeypatch, found))


def test_products_follow_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    found = predictor()
    before = outputs(found)
    with torch.no_grad():
        for parameter in found.model.sharing.parameters():
            parameter.mul_(-0.7)
    after = outputs(found)
    assert after != before
    assert_close(after, plain(monkeypatch, found))
    found.model.load_state_dict(predictor().model.state_dict())
    assert outputs(found) == before


def test_products_follow_weights_and_parts_that_are_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = predictor()
    for doubled in (False, True):
        before = outputs(found)
        state = {name: -0.7 * own for name, own in found.model.sharing.state_dict().items()}
        if doubled:
            for module in list(found.model.sharing.modules()):
                for name, part in list(module.named_children()):
                    setattr(module, name, copy.deepcopy(part))
        found.model.sharing.load_state_dict(state, assign=True)
        after = outputs(found)
        assert after != before
        assert_close(after, plain(monkeypatch, found))


@pytest.mark.parametrize("fused", [False, True])
def test_products_follow_an_optimizer(monkeypatch: pytest.MonkeyPatch, fused: bool) -> None:
    found = predictor()
    optimizer = torch.optim.Adam(found.model.parameters(), lr=0.3, fused=fused)
    before = outputs(found)
    for _ in range(2):
        found.model.train()
        batch = found.batcher.batch([text(9)])
        found.model.encode(batch, TASKS).hidden["ner"].sum().backward()
        optimizer.step()
        now = outputs(found)
        assert now != before
        assert_close(now, plain(monkeypatch, found))
        before = now
        assert found.model.training


def test_training_and_other_types_compute_all_products(monkeypatch: pytest.MonkeyPatch) -> None:
    found = predictor()
    found.model.double()
    assert not used_products(monkeypatch, found)
    assert outputs(found)[0][0] == outputs(predictor())[0][0]


def test_only_the_very_tensor_of_a_lookup_knows_its_words() -> None:
    found = predictor()
    ids, words = found._words.find([("a", "b")], found._word_vectors)
    x = look_up(words, torch.from_numpy(ids[0]).unsqueeze(0))
    assert lookup_of(x) is not None
    assert lookup_of(x + 0) is None
    assert lookup_of(x[:1]) is None


def test_threads_share_the_words() -> None:
    found, expected = predictor(), outputs(predictor())
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: outputs(found), range(40))) == [expected] * 40


def test_copies_start_without_words() -> None:
    found = predictor()
    expected = outputs(found)
    assert outputs(copy.deepcopy(found)) == expected
    assert outputs(pickle.loads(pickle.dumps(found))) == expected


def embed(words: Sequence[str]) -> Tensor:
    return torch.tensor([[float(word)] for word in words]).reshape(-1, 1)


def numbers(*values: int) -> list[tuple[str, ...]]:
    return [tuple(map(str, values))]


def test_the_words_used_last_stay() -> None:
    table = WordTable(nn.Identity(), most_bytes=80)
    made: list[str] = []

    def noted(words: Sequence[str]) -> Tensor:
        made.extend(words)
        return embed(words)

    for call in range(200):
        values = [1, 2, 1000 + call]
        (ids,), words = table.find(numbers(*values), noted)
        assert words.vectors[ids].flatten().tolist() == values
        assert table._bytes(table._store) < 160
    assert made.count("1") == made.count("2") == 1
    assert len(made) == 202


def test_products_are_made_once_per_word_and_not_beyond_the_memory() -> None:
    table, layer, rows = WordTable(nn.Identity(), most_bytes=200), nn.Identity(), []

    def make(vectors: Tensor) -> Tensor:
        rows.append(len(vectors))
        return 2 * vectors

    for values in ((1, 2), (2, 3), (1, 3)):
        (ids,), words = table.find(numbers(*values), embed)
        products = words.products(layer, make)
        assert products[ids].flatten().tolist() == [2 * value for value in values]
    assert sum(rows) == 4  # and padding
    _, words = table.find(numbers(*range(100, 200)), embed)
    assert words.products(layer, make) is None


def test_a_failure_leaves_no_words_without_vectors() -> None:
    table = WordTable(nn.Identity())
    with pytest.raises(ValueError, match="could not convert"):
        table.find([("1", "one")], embed)
    (ids,), words = table.find(numbers(1, 2), embed)
    assert words.vectors[ids].flatten().tolist() == [1, 2]
