"""Dropout of the same units at all tokens of a sentence."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtl.layers import EmbeddingDropout, EvolutionalDropout, Standout, VariationalDropout


def test_all_tokens_of_a_sentence_lose_the_same_units() -> None:
    y = VariationalDropout(0.5)(torch.ones(3, 7, 20))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert not torch.equal(y[0], y[1])


def test_what_is_kept_is_scaled_up() -> None:
    y = VariationalDropout(0.75)(torch.ones(4, 1, 50))
    assert set(y.unique().tolist()) == {0.0, 4.0}


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_mean_stays(p: float) -> None:
    y = VariationalDropout(p)(torch.ones(200, 1, 200))
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert (y == 0).double().mean().item() == pytest.approx(p, abs=0.02)


def test_evaluation_and_probability_zero_give_the_input_itself() -> None:
    x = torch.randn(2, 3, 4)
    assert VariationalDropout(0.5).eval()(x) is x
    assert VariationalDropout(0.0)(x) is x


def test_gradients_pass_where_units_are_kept() -> None:
    x = torch.ones(2, 3, 8, requires_grad=True)
    y = VariationalDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_it_prints_its_probability() -> None:
    assert repr(VariationalDropout(0.3)) == "VariationalDropout(p=0.3)"


def table(words: int = 50) -> nn.Embedding:
    """Word vectors without a zero."""
    return nn.Embedding.from_pretrained(torch.rand(words, 3) + 1, freeze=False)


def test_a_word_is_dropped_everywhere_in_the_batch_or_nowhere() -> None:
    vectors, words = table(), torch.arange(50).repeat(4, 2)
    y = EmbeddingDropout(0.5)(vectors, words)
    assert torch.equal(y[:, :50], y[:1, 50:].expand(4, 50, 3))
    dropped = (y == 0).all(2)
    assert torch.equal(dropped, (y == 0).any(2))
    assert 0 < dropped.sum() < dropped.numel()
    torch.testing.assert_close(y[~dropped], 2 * vectors(words)[~dropped])


def test_words_are_dropped_as_often_as_said() -> None:
    y = EmbeddingDropout(0.1)(table(20_000), torch.arange(20_000).unsqueeze(0))
    assert (y == 0).all(2).double().mean().item() == pytest.approx(0.1, abs=0.01)


def test_only_words_that_are_kept_learn() -> None:
    vectors, words = table(), torch.arange(40).unsqueeze(0)
    y = EmbeddingDropout(0.5)(vectors, words)
    y.sum().backward()
    kept = (y != 0).any(2).squeeze(0)
    assert torch.equal(vectors.weight.grad[:40], 2.0 * kept.unsqueeze(1).expand(40, 3))
    assert not vectors.weight.grad[40:].any()


def test_evaluation_and_probability_zero_give_the_vectors_themselves() -> None:
    vectors, words = table(), torch.arange(8).view(2, 4)
    assert torch.equal(EmbeddingDropout(0.5).eval()(vectors, words), vectors(words))
    assert torch.equal(EmbeddingDropout(0.0)(vectors, words), vectors(words))


def test_embedding_dropout_prints_its_probability() -> None:
    assert repr(EmbeddingDropout(0.1)) == "EmbeddingDropout(p=0.1)"


def test_evolutional_dropout_keeps_the_mean() -> None:
    x = torch.rand(1, 1, 30).expand(20_000, 2, 30)
    mean = EvolutionalDropout(0.5)(x).mean((0, 1))
    torch.testing.assert_close(mean, x[0, 0], rtol=0.05, atol=0.02)


def test_evolutional_dropout_draws_units_by_the_root_of_their_second_moments() -> None:
    x = torch.tensor([[[3.0, 1.0], [4.0, 1.0]]]).expand(5000, 2, 2)
    root = torch.tensor([12.5**0.5, 1.0])
    rates = root / root.sum()
    y = EvolutionalDropout(0.5)(x)  # one draw of two units
    assert torch.equal(y[:, 0] != 0, y[:, 1] != 0)
    kept = (y[:, 0] != 0).double()
    assert (kept.sum(1) == 1).all()
    torch.testing.assert_close(kept.mean(0), rates.double(), rtol=0, atol=0.02)
    expected = (x[:, 0] / rates)[kept.bool()]
    torch.testing.assert_close(y[:, 0][kept.bool()], expected)


def test_zero_rows_do_not_change_evolutional_rates() -> None:
    x = torch.rand(3, 4, 6).double()
    padded = torch.cat([x, torch.zeros(3, 5, 6).double()], dim=1)
    torch.manual_seed(3)
    expected = EvolutionalDropout(0.4)(x)
    torch.manual_seed(3)
    torch.testing.assert_close(EvolutionalDropout(0.4)(padded)[:, :4], expected)


def test_evolutional_dropout_is_still_in_evaluation_and_finite_for_zeros() -> None:
    x = torch.randn(2, 3, 4)
    assert EvolutionalDropout(0.5).eval()(x) is x
    assert EvolutionalDropout(0.0)(x) is x
    assert not EvolutionalDropout(0.5)(torch.zeros(2, 3, 4)).any()
    assert repr(EvolutionalDropout(0.3)) == "EvolutionalDropout(p=0.3)"


def test_standout_keeps_units_by_the_sigmoid_of_their_inputs() -> None:
    a = torch.tensor([0.1, 1.0, 3.0]).expand(20_000, 3)
    y = Standout()(a)
    torch.testing.assert_close((y != 0).float().mean(0), a[0].sigmoid(), rtol=0, atol=0.02)
    assert torch.equal(y[y != 0], a[y != 0])


def test_standout_takes_the_average_in_evaluation() -> None:
    a = torch.randn(3, 4, 5)
    torch.testing.assert_close(Standout().eval()(a), a.clamp(min=0) / (1 + (-a).exp()))


@pytest.mark.parametrize("layer", [VariationalDropout, EvolutionalDropout, EmbeddingDropout])
@pytest.mark.parametrize("p", [-0.1, 1.0, 3])
def test_only_probabilities_below_one_are_accepted(layer: type[nn.Module], p: float) -> None:
    with pytest.raises(ValueError, match=r"p: expected a probability in \[0, 1\), got"):
        layer(p)
