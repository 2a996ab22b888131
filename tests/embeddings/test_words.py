"""Word embeddings: word dropout, frozen vectors, two channels and pretrained vectors."""

from __future__ import annotations

import pytest
import torch

from mtl.embeddings import WordEmbedding
from mtl.text.vocabulary import UNKNOWN, WordVocabulary

VOCABULARY = WordVocabulary.build({f"w{i}": 1 for i in range(2000)})
WORDS = torch.arange(2, 2002).unsqueeze(0)
MASK = WORDS > 0


def made(**options: object) -> WordEmbedding:
    return WordEmbedding({"words": VOCABULARY}, dim=8, **options)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_words_are_dropped_whole_with_the_probability_asked_for(p: float) -> None:
    embedding = made(dropout=p)
    y, x = embedding({"words": WORDS}, MASK), embedding.table(WORDS)
    dropped = ~y.any(2)
    assert dropped.double().mean().item() == pytest.approx(p, abs=0.03)
    torch.testing.assert_close(y[~dropped], x[~dropped] / (1 - p))


def test_a_dropped_word_is_dropped_everywhere_in_the_batch() -> None:
    twice = torch.cat([WORDS, WORDS])
    first, second = made(dropout=0.5)({"words": twice}, twice > 0)
    assert torch.equal(first, second)


def test_frozen_vectors_are_not_trained() -> None:
    assert not [p for p in made(frozen=True).parameters() if p.requires_grad]
    assert [p for p in made().parameters() if p.requires_grad]


def test_kim_2014_of_two_channels_one_learns_and_one_stays() -> None:
    embedding = made(multichannel=True)
    embedding.load_vectors(torch.arange(2, 2002), torch.randn(2000, 8))
    before = embedding({"words": WORDS}, MASK).detach()
    assert torch.equal(*before.chunk(2, dim=2))
    embedding({"words": WORDS}, MASK).sum().backward()
    torch.optim.SGD(embedding.parameters(), lr=0.1).step()
    learnt, fixed = embedding({"words": WORDS}, MASK).chunk(2, dim=2)
    assert torch.equal(fixed, before[..., 8:])
    assert (learnt != fixed).all()


def test_two_channels_of_which_none_learns_are_an_error() -> None:
    with pytest.raises(ValueError, match="frozen: expected false with multichannel"):
        made(frozen=True, multichannel=True)


def test_pretrained_vectors_are_scaled_but_keep_their_direction() -> None:
    embedding, given = made(), 40 * torch.randn(3, 8)
    numbers = torch.tensor([5, 2, 9])
    embedding.load_vectors(numbers, given)
    found = embedding.table.weight[numbers]
    torch.testing.assert_close(torch.cosine_similarity(found, given), torch.ones(3))
    assert found.std().item() == pytest.approx(8**-0.5, rel=1e-4)
    torch.testing.assert_close(embedding.table.weight[UNKNOWN], found.mean(0))


def test_pretrained_vectors_of_another_width_are_an_error() -> None:
    with pytest.raises(ValueError, match="expected vectors of width 8, got 5"):
        made().load_vectors(torch.tensor([2]), torch.ones(1, 5))
