"""A convolution and an LSTM over the characters of one word are the oracles."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.data.encoding import Batcher
from mtl.embeddings import (
    CharacterCNN,
    CharacterLSTM,
    Embedding,
    NgramEmbedding,
    SubwordEmbedding,
)
from mtl.text.example import Example
from mtl.text.vocabulary import UNKNOWN, CharacterVocabulary, NgramVocabulary, SubwordVocabulary

COUNTS = {"the": 3, "cats": 3, "a": 3, "walking": 3}
WORDS = ("walking", "a", "cats", "a")
VOCABULARY = CharacterVocabulary.build(COUNTS)


def vectors(embedding: Embedding) -> Tensor:
    batch = Batcher({"characters": VOCABULARY}, {}).batch([Example(WORDS)])
    return embedding.eval()(batch.features, batch.mask)[0]


def characters(embedding: CharacterCNN | CharacterLSTM, word: str) -> Tensor:
    """The vectors of the characters of a word, `[1, C, dim]`."""
    return embedding.table(torch.tensor([VOCABULARY.encode(word)]))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_filters_are_a_plain_convolution_over_one_word(width: int) -> None:
    embedding = CharacterCNN({"characters": VOCABULARY}, dim=6, filters=7, width=width)
    weight = embedding.filters.weight.unflatten(1, (6, width))  # windows hold dim × width
    left = (width - 1) // 2
    for word, found in zip(WORDS, vectors(embedding), strict=True):
        x = functional.pad(characters(embedding, word).transpose(1, 2), (left, width - 1 - left))
        maps = functional.conv1d(x, weight, embedding.filters.bias)
        torch.testing.assert_close(found, maps.amax(2)[0].relu())


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_step_of_training_has_the_vectors_and_gradients_of_the_convolution(width: int) -> None:
    embedding = CharacterCNN({"characters": VOCABULARY}, dim=6, filters=7, width=width).double()
    embedding.table.weight.data[0] = 0
    batch = Batcher({"characters": VOCABULARY}, {}).batch([Example(WORDS), Example(("walking",))])
    upstream = torch.randn(2, len(WORDS), 7, dtype=torch.double)

    def run() -> list[Tensor]:
        embedding.zero_grad()
        found = embedding(batch.features, batch.mask)
        (found * upstream).sum().backward()
        return [found, *(p.grad.clone() for p in embedding.parameters() if p.grad is not None)]

    plain, by_tables = (embedding.train(mode) and run() for mode in (False, True))
    assert len(by_tables) == 4
    torch.testing.assert_close(by_tables, plain)


def test_states_are_the_last_ones_of_two_lstms_over_one_word() -> None:
    embedding = CharacterLSTM({"characters": VOCABULARY}, dim=6, hidden_size=5)
    oracle = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    weights = embedding.forwards.state_dict()
    back = embedding.backwards.state_dict().items()
    oracle.load_state_dict({**weights, **{f"{name}_reverse": value for name, value in back}})
    for word, found in zip(WORDS, vectors(embedding), strict=True):
        _, (ends, _) = oracle(characters(embedding, word))
        torch.testing.assert_close(found, ends.flatten())


def test_a_subword_vector_is_the_mean_of_the_pieces() -> None:
    vocabulary = SubwordVocabulary.build(COUNTS, pieces=262)
    embedding = SubwordEmbedding({"subwords": vocabulary}, dim=6)
    batch = Batcher({"subwords": vocabulary}, {}).batch([Example(WORDS)])
    for word, found in zip(WORDS, embedding(batch.features, batch.mask)[0], strict=True):
        pieces = embedding.table.weight[vocabulary.encode(word)]
        torch.testing.assert_close(found, pieces.mean(0))


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear"])
def test_an_ngram_vector_is_a_function_of_the_sum_over_the_known_ngrams(activation: str) -> None:
    vocabulary = NgramVocabulary.build(COUNTS, shortest=2, longest=3, min_ngram_count=4)
    embedding = NgramEmbedding({"ngrams": vocabulary}, dim=6, activation=activation).double()
    torch.nn.init.normal_(embedding.bias)
    words = (*WORDS, "cat", "ηθ")
    batch = Batcher({"ngrams": vocabulary}, {}).batch([Example(words)])
    row = {ngram: number for number, ngram in enumerate(vocabulary.tables()[0])}
    function = {"tanh": torch.tanh, "relu": torch.relu, "linear": lambda x: x}[activation]
    for word, found in zip(words, embedding(batch.features, batch.mask)[0], strict=True):
        marked = f"<{word}>"
        ngrams = [marked[i : i + n] for n in (2, 3) for i in range(len(marked) - n + 1)]
        known = [embedding.table.weight[row[ngram]] for ngram in ngrams if ngram in row]
        rows = known or [embedding.table.weight[UNKNOWN]]
        expected = torch.stack(rows).sum(0) + embedding.bias
        torch.testing.assert_close(found, function(expected))
