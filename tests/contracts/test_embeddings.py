"""Contracts of all embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.data.batch import Batch
from mtl.data.encoding import Batcher
from mtl.embeddings import EMBEDDINGS, Concatenation, Embedding, WordEmbedding
from mtl.heads import SoftmaxTagger
from mtl.inference.predictor import Predictor
from mtl.model import MultiTaskModel
from mtl.sharing import Hard
from mtl.targets import TokenLabelTarget
from mtl.text.example import Example
from mtl.text.vocabulary import Vocabulary, WordVocabulary
from mtl.trunks import LSTMTrunk
from tests.contracts.variants import Variant, over, shaken, variants

OPTIONS = {
    "words": [{"dim": 6}, {"dim": 6, "dropout": 0.5}, {"dim": 6, "multichannel": True}],
    "cnn": [{"width": 1}, {"width": 3, "dropout": 0.5}, {"width": 4}],
    "lstm": [{}, {"dropout": 0.5}],
    "ngrams": [{"activation": "tanh"}, {"activation": "relu"}, {"activation": "linear"}],
    "gazetteers": [{}, {"dim": 2}],
}
LISTS = Path(__file__).parents[1] / "fixtures" / "gazetteers"
BUILD = {"gazetteers": {"lists": {file.stem: str(file) for file in sorted(LISTS.iterdir())}}}
COUNTS = {"the": 9, "cat": 5, "sat": 5, "Cats": 4, "walking": 3, "on": 3, "1984": 3, "naïve": 3}
SENTENCES = ["the cat sat on the Cats", "walking", "", "1984 naïve Cats"]
ALL = variants(EMBEDDINGS, OPTIONS)
embeddings = over(ALL)
with_dropout = over([v for v in ALL if v.option("dropout")])


def built(variant: Variant) -> tuple[Embedding, Batcher]:
    """An embedding whose vocabulary is made of COUNTS, and what numbers words for it."""
    cls: type[Vocabulary] = variant.cls.vocabulary
    vocabularies = {cls.feature: cls.build(COUNTS, **BUILD.get(variant.name, {}))}
    embedding = variant.make(vocabularies).double().eval()
    return embedding, Batcher(vocabularies, {})


def batch(batcher: Batcher, sentences: list[str]) -> Batch:
    return batcher.batch([Example(tuple(sentence.split())) for sentence in sentences])


def vectors(built: tuple[Embedding, Batcher], sentences: list[str]) -> Any:
    embedding, batcher = built
    found = batch(batcher, sentences)
    return embedding(found.features, found.mask)


@embeddings
def test_every_token_has_a_vector_and_padding_is_zero(variant: Variant) -> None:
    embedding, batcher = built(variant)
    found = batch(batcher, SENTENCES)
    x = embedding(found.features, found.mask)
    assert x.shape == (4, 6, embedding.size)
    assert x.isfinite().all()
    assert x[found.mask].any(1).all()
    assert not x[~found.mask].any()


@embeddings
def test_padding_stays_zero_when_the_weights_have_changed(variant: Variant) -> None:
    embedding, batcher = built(variant)
    found = batch(batcher, SENTENCES)
    optimizer = torch.optim.Adam(embedding.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        embedding(found.features, found.mask).pow(2).sum().backward()
        optimizer.step()
    assert not embedding(found.features, found.mask)[~found.mask].any()


@embeddings
def test_padding_and_neighbours_change_nothing(variant: Variant) -> None:
    parts = built(variant)
    together = vectors(parts, SENTENCES)
    for row, sentence in enumerate(SENTENCES):
        alone = vectors(parts, [sentence])
        torch.testing.assert_close(together[row : row + 1, : alone.shape[1]], alone)


@embeddings
def test_the_order_of_sentences_changes_nothing(variant: Variant) -> None:
    parts = built(variant)
    torch.testing.assert_close(vectors(parts, SENTENCES[::-1]), vectors(parts, SENTENCES).flip(0))


@embeddings
def test_known_words_have_vectors_of_their_own(variant: Variant) -> None:
    x = vectors(built(variant), ["the cat the sat"])[0]
    assert torch.equal(x[0], x[2])
    assert not torch.allclose(x[0], x[1])
    assert not torch.allclose(x[1], x[3])


@embeddings
@pytest.mark.parametrize("word", ["dog", "日本語", "🎉", "x" * 10_000, "\u0301", "<pad>"])
def test_new_words_have_vectors_too(variant: Variant, word: str) -> None:
    x = vectors(built(variant), [f"the {word} sat"])
    assert x.isfinite().all()
    assert x[0].any(1).all()


@embeddings
def test_sentences_without_words_give_nothing_but_padding(variant: Variant) -> None:
    x = vectors(built(variant), ["", ""])
    assert x.shape[:2] == (2, 1)
    assert not x.any()


@embeddings
def test_gradients_reach_every_parameter(variant: Variant) -> None:
    embedding, batcher = built(variant)
    found = batch(batcher, SENTENCES)
    shaken(embedding)(found.features, found.mask).pow(2).sum().backward()
    for name, parameter in embedding.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@embeddings
def test_a_vocabulary_read_back_gives_the_same_vectors(variant: Variant) -> None:
    embedding, batcher = built(variant)
    cls = variant.cls.vocabulary
    again = cls.from_json(batcher.vocabularies[cls.feature].to_json())
    other = embedding, Batcher({cls.feature: again}, {})
    assert torch.equal(vectors(other, SENTENCES), vectors((embedding, batcher), SENTENCES))


@with_dropout
def test_dropout_is_random_in_training_alone_and_keeps_padding_zero(variant: Variant) -> None:
    embedding, batcher = built(variant)
    found = batch(batcher, SENTENCES)
    still = embedding(found.features, found.mask)
    assert torch.equal(embedding(found.features, found.mask), still)
    noisy = [embedding.train()(found.features, found.mask) for _ in range(4)]
    assert any(not torch.equal(noisy[0], other) for other in noisy[1:])
    assert not any(x[~found.mask].any() for x in noisy)


@embeddings
def test_concatenation_puts_parts_side_by_side(variant: Variant) -> None:
    embedding, batcher = built(variant)
    found = batch(batcher, SENTENCES)
    both = Concatenation({"left": embedding, "right": embedding})
    x, mask, to_words, *_ = both(found.features, found.mask)
    assert mask is found.mask
    assert to_words(x) is x
    assert both.size == x.shape[2] == 2 * embedding.size
    assert torch.equal(x, embedding(found.features, found.mask).repeat(1, 1, 2))


class Contextual(WordEmbedding):
    """An embedding whose vectors depend on the length of the sentence."""

    contextual = True

    def forward(self, features: Any, mask: torch.Tensor) -> torch.Tensor:
        return super().forward(features, mask) * mask.sum(1)[:, None, None]


def test_vectors_that_depend_on_neighbours_are_not_made_once_per_word() -> None:
    vocabularies = {"words": WordVocabulary.build(COUNTS)}
    heads = {"t": SoftmaxTagger(6, ["a", "b"])}
    for kind in (WordEmbedding, Contextual):
        embedding = Concatenation({"words": kind(vocabularies, dim=6)})
        assert embedding.contextual is (kind is Contextual)
        sharing = Hard(["t"], lambda: LSTMTrunk(6, num_layers=1, hidden_size=3))
        model = MultiTaskModel(embedding, sharing, heads, head_of={"t": "t"}, layers={"t": 0})
        batcher = Batcher(vocabularies, {"t": TokenLabelTarget("ab")})
        predictor = Predictor(model.eval(), batcher, schemes={}, max_length=9, overlap=2)
        examples = [Example(tuple(sentence.split())) for sentence in SENTENCES]
        for example, found in zip(examples, predictor.predict(examples, ["t"]), strict=True):
            one = batcher.batch([example])
            hidden = model.encode(one, ["t"]).hidden["t"]
            ids = model.head("t").decode(hidden, one.mask)[0].tolist()
            assert found["t"] == tuple("ab"[i] for i in ids[: len(example)])
