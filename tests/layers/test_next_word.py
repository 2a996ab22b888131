"""Contracts of all output layers, and the published formula of each in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mtl.layers import (
    AdaptiveSoftmax,
    DifferentiatedSoftmax,
    FullSoftmax,
    HierarchicalSoftmax,
    MixtureOfSoftmaxes,
    NextWord,
    SpellingSoftmax,
    TiedAdaptiveSoftmax,
    TiedSoftmax,
)
from mtl.layers.word_trees import huffman_tree

WORDS, WIDTH = 12, 8
SPELLINGS = ["<unk>", "a", "an", "ant", "ants", "naïve", "no", "xy", "y", "zoo", "zoos", "x" * 40]
COUNTS = torch.tensor([90, 40, 40, 30, 20, 9, 7, 3, 2, 1, 1, 1])


def embedding(width: int = WIDTH) -> nn.Parameter:
    return nn.Parameter(torch.randn(WORDS, width))


LAYERS: dict[str, Callable[[], NextWord]] = {
    "full": lambda: FullSoftmax(WIDTH, WORDS),
    "tied": lambda: TiedSoftmax(WIDTH, embedding()),
    "tied, narrower": lambda: TiedSoftmax(WIDTH, embedding(5)),
    "adaptive": lambda: AdaptiveSoftmax(WIDTH, WORDS, cutoffs=[4, 9], div_value=2),
    "tied adaptive": lambda: TiedAdaptiveSoftmax(WIDTH, embedding(), cutoffs=[4, 9], div_value=2),
    "tied adaptive, narrower": lambda: TiedAdaptiveSoftmax(WIDTH, embedding(5), cutoffs=[6]),
    "mos": lambda: MixtureOfSoftmaxes(WIDTH, embedding(), num_softmaxes=3),
    "mos, narrower": lambda: MixtureOfSoftmaxes(WIDTH, embedding(5), num_softmaxes=2),
    "hierarchical": lambda: HierarchicalSoftmax(WIDTH, WORDS),
    "hierarchical, huffman": lambda: HierarchicalSoftmax(WIDTH, WORDS, huffman_tree(COUNTS)),
    "differentiated": lambda: DifferentiatedSoftmax(WIDTH, WORDS, cutoffs=[4, 9], div_value=2),
    "spelling": lambda: SpellingSoftmax(WIDTH, SPELLINGS, dim=2, filters=6),
    "spelling, no correction": lambda: SpellingSoftmax(
        WIDTH, SPELLINGS, correction=0, dim=2, filters=6
    ),
}


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> NextWord:
    made = LAYERS[request.param]().double()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


def tokens(number: int) -> tuple[Tensor, Tensor]:
    return torch.randn(number, WIDTH).double(), torch.randint(WORDS, (number,))


def test_probabilities_sum_to_one(layer: NextWord) -> None:
    total = layer.log_probs(tokens(5)[0]).exp().sum(1)
    torch.testing.assert_close(total, torch.ones(5).double())


def test_the_loss_is_minus_the_log_probability_of_the_target(layer: NextWord) -> None:
    hidden, _ = tokens(WORDS)
    log_probs = layer.log_probs(hidden)
    torch.testing.assert_close(layer.loss(hidden, torch.arange(WORDS)), -log_probs.diag())


def test_other_tokens_change_nothing(layer: NextWord) -> None:
    hidden, targets = tokens(7)
    alone = [layer.loss(hidden[i : i + 1], targets[i : i + 1]) for i in range(7)]
    torch.testing.assert_close(torch.cat(alone), layer.loss(hidden, targets))
    log_probs = [layer.log_probs(hidden[i : i + 1]) for i in range(7)]
    torch.testing.assert_close(torch.cat(log_probs), layer.log_probs(hidden))


def test_gradients_are_those_of_the_log_probabilities(layer: NextWord) -> None:
    hidden, targets = tokens(30)
    inputs = [hidden.requires_grad_(), *layer.parameters()]
    weights = torch.randn(30).double()
    picked = layer.log_probs(hidden).gather(1, targets.unsqueeze(1)).squeeze(1)
    expected = torch.autograd.grad(-picked, inputs, weights)
    torch.testing.assert_close(
        torch.autograd.grad(layer.loss(hidden, targets), inputs, weights), expected
    )


def test_gradients_are_those_of_finite_differences(layer: NextWord) -> None:
    hidden, targets = tokens(4)
    inputs = (hidden.requires_grad_(), *layer.parameters())
    assert torch.autograd.gradcheck(lambda hidden, *_: layer.loss(hidden, targets), inputs)


def test_every_parameter_has_a_gradient_whatever_the_targets(layer: NextWord) -> None:
    layer.loss(tokens(2)[0], torch.zeros(2, dtype=torch.int64)).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_no_tokens_are_no_error(layer: NextWord) -> None:
    hidden, targets = tokens(0)
    assert layer.loss(hidden, targets).shape == (0,)
    assert layer.log_probs(hidden).shape == (0, WORDS)


@pytest.mark.parametrize("target", [-1, WORDS])
def test_a_target_that_is_no_word_is_an_error(layer: NextWord, target: int) -> None:
    with pytest.raises(ValueError, match=r"targets: expected ids in \[0, 12\), got"):
        layer.loss(tokens(2)[0], torch.tensor([0, target]))


def test_full_is_softmax_of_a_linear_layer() -> None:
    layer, (hidden, _) = FullSoftmax(WIDTH, WORDS).double(), tokens(3)
    weight, bias = layer.output.weight, layer.output.bias
    expected = torch.stack([(weight @ h + bias).softmax(0).log() for h in hidden])
    torch.testing.assert_close(layer.log_probs(hidden), expected)


@pytest.mark.parametrize("width", [5, WIDTH])
def test_tied_scores_words_by_their_vectors(width: int) -> None:
    table = nn.Embedding(WORDS, width).double()
    layer, (hidden, _) = TiedSoftmax(WIDTH, table.weight).double(), tokens(3)
    nn.init.normal_(layer.bias)
    down = torch.eye(WIDTH).double() if width == WIDTH else layer.projection.weight
    expected = [(table.weight @ down @ h + layer.bias).softmax(0).log() for h in hidden]
    torch.testing.assert_close(layer.log_probs(hidden), torch.stack(expected))


def test_mos_is_the_published_mixture() -> None:
    layer, (hidden, _) = LAYERS["mos"]().double(), tokens(3)
    nn.init.normal_(layer.bias)
    maps, biases = layer.latent.weight.chunk(3), layer.latent.bias.chunk(3)
    for h, log_probs in zip(hidden, layer.log_probs(hidden), strict=True):
        prior = (layer.prior.weight @ h).softmax(0)
        latents = [(p @ h + b).tanh() for p, b in zip(maps, biases, strict=True)]
        softmaxes = [(layer.embedding @ z + layer.bias).softmax(0) for z in latents]
        expected = sum(share * p for share, p in zip(prior, softmaxes, strict=True))
        torch.testing.assert_close(log_probs.exp(), expected)


def test_the_embedding_is_shared_not_copied() -> None:
    weight = embedding()
    tied = [TiedSoftmax(WIDTH, weight), MixtureOfSoftmaxes(WIDTH, weight)]
    tied.append(TiedAdaptiveSoftmax(WIDTH, weight, cutoffs=[4]))
    assert all(layer.embedding is weight for layer in tied)
    assert all(weight in set(layer.parameters()) for layer in tied)


def test_hierarchical_is_the_product_of_the_turns() -> None:
    """A tree by hand: node 0 has the leaf of word 2 and node 1, which has words 0 and 1."""
    layer = HierarchicalSoftmax(WIDTH, 3, torch.tensor([0, 1, 2, 3, 0])).double()
    nn.init.normal_(layer.bias)
    hidden, _ = tokens(4)
    for h, log_probs in zip(hidden, layer.log_probs(hidden), strict=True):
        top, low = (layer.weight @ h + layer.bias).sigmoid()
        expected = torch.stack([(1 - top) * low, (1 - top) * (1 - low), top])
        torch.testing.assert_close(log_probs.exp(), expected)


def test_differentiated_words_read_the_units_of_their_band() -> None:
    layer, (hidden, _) = LAYERS["differentiated"]().double(), tokens(3)
    assert layer.widths == [5, 2, 1]
    weight = torch.zeros(WORDS, WIDTH).double()
    for rows, units, band in zip(
        (slice(0, 4), slice(4, 9), slice(9, 12)),
        (slice(0, 5), slice(5, 7), slice(7, 8)),
        layer.bands,
        strict=True,
    ):
        weight[rows, units] = band.weight.detach()
    bias = torch.cat([band.bias for band in layer.bands])
    expected = (hidden @ weight.T + bias).log_softmax(1)
    torch.testing.assert_close(layer.log_probs(hidden), expected)


def test_differentiated_needs_a_unit_per_band() -> None:
    with pytest.raises(ValueError, match="in_features: expected one unit per band of words, 3"):
        DifferentiatedSoftmax(2, WORDS, cutoffs=[4, 9])


def test_a_vector_depends_on_the_spelling_of_its_word_alone() -> None:
    layer = LAYERS["spelling, no correction"]()
    other = SpellingSoftmax(WIDTH, ["a", "an"], correction=0, dim=2, filters=6)
    other.load_state_dict({**layer.state_dict(), "bias": torch.zeros(2)})
    torch.testing.assert_close(other.vectors()[0], layer.vectors()[0][1:3])
    assert len(layer.vectors()[0].unique(dim=0)) == WORDS


def test_a_spelling_is_read_by_filters_and_their_maximum() -> None:
    layer = LAYERS["spelling"]().double()
    own = layer.bytes.weight[[0, 0, *(byte + 1 for byte in b"ant"), 0, 0, 0, 0]]
    windows = [own[i : i + 4].T for i in range(6)]  # [bytes' width, 4]
    maps = torch.stack([(layer.convolution.weight * w).sum((1, 2)) for w in windows])
    filtered = (maps.amax(0) + layer.convolution.bias).tanh()
    correction, mixing = layer.correction
    expected = layer.output.weight @ filtered + mixing.weight @ correction.weight[3]
    torch.testing.assert_close(layer.vectors(torch.tensor([3]))[0][0], expected)
