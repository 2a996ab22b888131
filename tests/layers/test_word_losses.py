"""Losses that sample words, against the exact loss and sums over all words in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mtl.layers import (
    FullSoftmax,
    ImportanceSampling,
    NoiseContrastive,
    SelfNormalised,
    SpellingSoftmax,
    TargetSampling,
    TiedSoftmax,
)
from mtl.layers.next_word import WordVectors
from mtl.layers.word_losses import WordLoss

WORDS, WIDTH, TOKENS = 9, 5, 6
COUNTS = torch.tensor([50, 30, 20, 10, 5, 4, 2, 1, 1])
LOSSES: dict[str, Callable[[int], WordLoss]] = {
    "importance": lambda samples: ImportanceSampling(COUNTS, samples),
    "adaptive": lambda samples: ImportanceSampling(COUNTS, samples, adaptive=True),
    "nce": lambda samples: NoiseContrastive(COUNTS, samples),
    "targets": TargetSampling,
    "self-normalised": lambda _: SelfNormalised(0.3),
    "infrequent": lambda _: SelfNormalised(0.3, 0.5),
}
OUTPUTS: dict[str, Callable[[], WordVectors]] = {
    "full": lambda: FullSoftmax(WIDTH, WORDS),
    "tied": lambda: TiedSoftmax(WIDTH, nn.Parameter(torch.randn(WORDS, 3))),
    "cnn": lambda: SpellingSoftmax(WIDTH, [f"w{i}" for i in range(WORDS)], filters=4),
}


def made(output: str = "full") -> tuple[WordVectors, Tensor, Tensor]:
    layer = OUTPUTS[output]().double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer, torch.randn(TOKENS, WIDTH).double(), torch.randint(WORDS, (TOKENS,))


def gradients(loss: Tensor, layer: nn.Module) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss.sum(), layer.parameters())])


@pytest.mark.parametrize("output", ["full", "tied"])
@pytest.mark.parametrize("name", ["importance", "adaptive"])
def test_many_samples_give_the_exact_loss_and_gradient(name: str, output: str) -> None:
    layer, hidden, targets = made(output)
    loss = LOSSES[name](200_000).double()(layer, hidden, targets)
    exact = layer.loss(hidden, targets)
    torch.testing.assert_close(loss, exact, atol=0.05, rtol=0)
    expected = gradients(exact, layer)
    assert (gradients(loss, layer) - expected).norm() < 0.05 * expected.norm()


def test_the_estimate_of_the_normaliser_has_no_bias() -> None:
    """E[exp(L + s_t)] · (S + 1) = S · Z + exp(s_t)/q_t, by many draws of few samples."""
    layer, hidden, targets = made()
    hidden, q = hidden / 4, (COUNTS / COUNTS.sum()).double()
    loss = ImportanceSampling(COUNTS, 3).double()
    scores = hidden @ layer.output.weight.T + layer.output.bias
    picked = scores.gather(1, targets.unsqueeze(1)).squeeze(1)
    with torch.no_grad():
        found = torch.stack([(loss(layer, hidden, targets) + picked).exp() for _ in range(4000)])
    expected = (3 * scores.exp().sum(1) + picked.exp() / q[targets]) / 4
    error = found.std(0) / math.sqrt(len(found))
    assert ((found.mean(0) - expected).abs() < 5 * error).all()


def test_nce_tells_words_from_noise() -> None:
    """−log σ(Δ_t) − S Σ_w q_w log σ(−Δ_w) with Δ_w = s_w − log(S q_w), for the mean over draws."""
    layer, hidden, targets = made()
    samples, q = 100_000, (COUNTS / COUNTS.sum()).double()
    delta = hidden @ layer.output.weight.T + layer.output.bias - (samples * q).log()
    positive = delta.gather(1, targets.unsqueeze(1)).squeeze(1)
    expected = -positive.sigmoid().log() - samples * ((-delta).sigmoid().log() @ q)
    found = NoiseContrastive(COUNTS, samples).double()(layer, hidden, targets)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0)


def test_the_gradient_of_nce_tends_to_that_of_the_likelihood() -> None:
    """Σ_w p(w) ∇s_w − ∇s_t for scores with Z = 1 (Gutmann & Hyvärinen 2012; Mnih & Teh 2012)."""
    layer, hidden, targets = made()
    with torch.no_grad():  # one token, so that the bias can set Z to 1
        hidden, targets = hidden[:1], targets[:1]
        layer.output.bias.sub_((hidden @ layer.output.weight.T + layer.output.bias).logsumexp(1))
    loss = NoiseContrastive(COUNTS, 300_000).double()(layer, hidden, targets)
    exact = gradients(layer.loss(hidden, targets), layer)
    assert (gradients(loss, layer) - exact).norm() < 0.05 * exact.norm()


def test_targets_compare_with_the_targets_of_the_step() -> None:
    layer, hidden, targets = made()
    words = targets.unique()
    scores = (hidden @ layer.output.weight.T + layer.output.bias)[:, words]
    picked = scores.gather(1, torch.searchsorted(words, targets).unsqueeze(1)).squeeze(1)
    expected = scores.logsumexp(1) - picked
    torch.testing.assert_close(TargetSampling(0)(layer, hidden, targets), expected)


def test_with_all_words_target_sampling_is_exact() -> None:
    layer, hidden, targets = made()
    found = TargetSampling(WORDS)(layer, hidden, targets)
    torch.testing.assert_close(found, layer.loss(hidden, targets))


def test_self_normalisation_penalises_the_squared_logarithm_of_z() -> None:
    layer, hidden, targets = made()
    log_z = (hidden @ layer.output.weight.T + layer.output.bias).logsumexp(1)
    expected = layer.loss(hidden, targets) + 0.3 * log_z**2
    torch.testing.assert_close(SelfNormalised(0.3)(layer, hidden, targets), expected)


def test_infrequent_normalisation_has_the_penalty_of_some_tokens() -> None:
    layer, hidden, targets = made()
    scores = hidden @ layer.output.weight.T + layer.output.bias
    picked = scores.gather(1, targets.unsqueeze(1)).squeeze(1)
    penalty = (0.3 / 0.5) * scores.logsumexp(1) ** 2
    loss = SelfNormalised(0.3, 0.5)
    with torch.no_grad():
        found = torch.stack([loss(layer, hidden, targets) for _ in range(400)]) + picked
    with_penalty = torch.isclose(found, penalty)
    assert (with_penalty | torch.isclose(found, torch.zeros(1).double())).all()
    assert 0.4 < with_penalty.double().mean() < 0.6


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_vectors_of_some_words_are_those_among_all(output: str) -> None:
    layer, words = made(output)[0], torch.tensor([3, 0, 3, 8])
    for some, whole in zip(layer.vectors(words), layer.vectors(), strict=True):
        torch.testing.assert_close(some, whole[words])


@pytest.mark.parametrize("name", LOSSES)
def test_no_tokens_are_no_error(name: str) -> None:
    layer, hidden, targets = made()
    assert LOSSES[name](4).double()(layer, hidden[:0], targets[:0]).shape == (0,)


@pytest.mark.parametrize("name", LOSSES)
def test_a_target_that_is_no_word_is_an_error(name: str) -> None:
    layer, hidden, _ = made()
    with pytest.raises(ValueError, match=r"targets: expected ids in \[0, 9\), got"):
        LOSSES[name](4).double()(layer, hidden[:2], torch.tensor([0, WORDS]))


@pytest.mark.parametrize("output", OUTPUTS)
def test_biases_can_start_at_equal_probabilities(output: str) -> None:
    layer = made(output)[0]
    layer.normalise()
    torch.testing.assert_close(layer.vectors()[1].logsumexp(0).item(), 0.0)


@pytest.mark.parametrize(
    ("counts", "samples", "message"),
    [
        (torch.tensor([3, 0, 1]), 2, "counts: expected at least 1 for each word, got 0"),
        (torch.tensor([3, 1, 1]), 0, "samples: expected at least 1, got 0"),
    ],
)
def test_words_and_samples_are_counted_from_one(counts: Tensor, samples: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoiseContrastive(counts, samples)


@pytest.mark.parametrize("name", ["importance", "nce"])
def test_inputs_of_other_shapes_are_refused(name: str) -> None:
    loss, (layer, hidden, targets) = LOSSES[name](2).double(), made()
    with pytest.raises(ValueError, match=r"hidden: expected shape \[6, 5\], got \[1, 6, 5\]"):
        loss(layer, hidden[None], targets)
    with pytest.raises(ValueError, match="counts: expected 10 words, got 9"):
        loss(FullSoftmax(WIDTH, WORDS + 1).double(), hidden, targets)
