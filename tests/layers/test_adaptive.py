"""`torch.nn.AdaptiveLogSoftmaxWithLoss` is the oracle of the untied form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mtl.layers import AdaptiveSoftmax, TiedAdaptiveSoftmax, TiedSoftmax

WORDS, WIDTH = 20, 8


def pair(cutoffs: list[int]) -> tuple[AdaptiveSoftmax, nn.AdaptiveLogSoftmaxWithLoss]:
    """Our layer and torch's, with the same weights."""
    ours = AdaptiveSoftmax(WIDTH, WORDS, cutoffs=cutoffs, div_value=2).double()
    theirs = nn.AdaptiveLogSoftmaxWithLoss(WIDTH, WORDS, cutoffs, div_value=2).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("cutoffs", [[5], [5, 12], [1, 2, 19]])
def test_losses_and_gradients_equal_those_of_torch(cutoffs: list[int]) -> None:
    ours, theirs = pair(cutoffs)
    hidden, targets = torch.randn(200, WIDTH).double(), torch.randint(WORDS, (200,))
    loss, expected = ours.loss(hidden, targets), -theirs(hidden, targets).output
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    expected.sum().backward()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs.get_parameter(name).grad)


def test_log_probabilities_equal_those_of_torch() -> None:
    ours, theirs = pair([5, 12])
    hidden = torch.randn(3, WIDTH).double()
    torch.testing.assert_close(ours.log_probs(hidden), theirs.log_prob(hidden))


def test_state_dicts_load_from_torch_too() -> None:
    theirs = nn.AdaptiveLogSoftmaxWithLoss(WIDTH, WORDS, [5, 12], div_value=2)
    ours = AdaptiveSoftmax(WIDTH, WORDS, cutoffs=[5, 12], div_value=2)
    ours.load_state_dict(theirs.state_dict())
    hidden = torch.randn(3, WIDTH)
    torch.testing.assert_close(ours.log_probs(hidden), theirs.log_prob(hidden))


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_cluster_without_width_loads_both_ways() -> None:
    theirs = nn.AdaptiveLogSoftmaxWithLoss(WIDTH, WORDS, [5, 12], div_value=4).double()
    ours = AdaptiveSoftmax(WIDTH, WORDS, cutoffs=[5, 12], div_value=4).double()
    assert [part[0].out_features for part in ours.tail] == [2, 0]
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    hidden, targets = torch.randn(50, WIDTH).double(), torch.randint(WORDS, (50,))
    torch.testing.assert_close(ours.log_probs(hidden), theirs.log_prob(hidden))
    torch.testing.assert_close(ours.loss(hidden, targets), -theirs(hidden, targets).output)
    ours.loss(hidden, targets).sum().backward()


def tied(width: int) -> TiedAdaptiveSoftmax:
    """Clusters [5, 12) and [12, 20), at widths D / 2 and D / 4."""
    table = nn.Embedding(WORDS, width)
    layer = TiedAdaptiveSoftmax(WIDTH, table.weight, cutoffs=[5, 12], div_value=2).double()
    nn.init.normal_(layer.bias)
    return layer


def by_formula(layer: TiedAdaptiveSoftmax, h: Tensor) -> Tensor:
    """p(word) = p(short list or cluster) · p(word | cluster), word by word."""
    vectors, bias, down = layer.embedding, layer.bias, layer.projection(h)
    short = vectors[:5] @ down + bias[:5]
    head = torch.cat([short, layer.clusters.weight @ down + layer.clusters.bias]).softmax(0)
    first = (
        vectors[5:12, : layer.tail[0].out_features] @ layer.tail[0].weight @ h + bias[5:12]
    ).softmax(0)
    second = (
        vectors[12:, : layer.tail[1].out_features] @ layer.tail[1].weight @ h + bias[12:]
    ).softmax(0)
    return torch.cat([head[:5], head[5] * first, head[6] * second])


@pytest.mark.parametrize("width", [4, 8])
def test_tied_clusters_use_the_first_dimensions_of_the_vectors(width: int) -> None:
    layer, hidden = tied(width), torch.randn(3, WIDTH).double()
    assert [part.out_features for part in layer.tail] == [width // 2, width // 4]
    expected = torch.stack([by_formula(layer, h) for h in hidden])
    torch.testing.assert_close(layer.log_probs(hidden).exp(), expected)


def test_the_short_list_is_scored_as_by_the_tied_softmax() -> None:
    layer, hidden = tied(WIDTH), torch.randn(3, WIDTH).double()
    full = TiedSoftmax(WIDTH, layer.embedding)
    full.bias = layer.bias
    ours, theirs = layer.log_probs(hidden)[:, :5], full.log_probs(hidden)[:, :5]
    torch.testing.assert_close(ours.log_softmax(1), theirs.log_softmax(1))


def test_narrow_clusters_keep_a_width() -> None:
    layer = AdaptiveSoftmax(WIDTH, WORDS, cutoffs=[5, 12, 15], div_value=4, min_width=1)
    assert [part[0].out_features for part in layer.tail] == [2, 1, 1]


@pytest.mark.parametrize("cutoffs", [[], [0, 5], [5, 5], [7, 5], [5, 20], [25]])
def test_cutoffs_must_rise_within_the_words(cutoffs: list[int]) -> None:
    with pytest.raises(ValueError, match="cutoffs: expected increasing ids between 0 and 20"):
        AdaptiveSoftmax(WIDTH, WORDS, cutoffs=cutoffs)
