"""Contracts of all trunks."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.trunks import TRUNKS, Trunk
from tests.contracts.variants import (
    Variant,
    over,
    prefix_mask,
    ragged_pieces,
    shaken,
    variants,
    widened,
    with_garbage,
)

WIDTH = 4
SIDES = [True, False, "interleaved"]
STACKS: list[dict[str, Any]] = [
    {"num_layers": 3, "connections": "residual"},
    {"num_layers": 3, "connections": "highway"},
    {"num_layers": 3, "connections": "dense"},
    {"connections": "dense", "sum_layers": True, "feed_forward": 6},
    {"num_layers": 3, "connections": "residual_sum"},
    {"num_layers": 3, "connections": "skip", "last_size": 2, "input_dropout": 0.2},
]
CELLS: dict[str, list[dict[str, Any]]] = {
    "lstm": [
        {},
        {"learned_start": True},
        {"layer_norm": True},
        {"layer_norm": True, "zoneout": 0.5, "learned_start": True},
        {"zoneout_hidden": 0.1, "recurrent_dropout": 0.3, "update_dropout": 0.2},
    ],
    "gru": [
        {},
        {"learned_start": True},
        {"layer_norm": True, "learned_start": True},
        {"zoneout": 0.5, "recurrent_dropout": 0.3, "update_dropout": 0.2},
    ],
    "cell": [
        {"zoneout": 0.1},
        {"depth": 3, "learned_start": True},
        {"cell": "nas", "recurrent_dropout": 0.2, "learned_start": True},
        {"cell": "peephole", "zoneout": 0.1},
        {"cell": "bc3", "zoneout": 0.1, "recurrent_dropout": 0.2},
    ],
    "qrnn": [
        *({"window": w, "pooling": p} for w, p in product([1, 2], ["f", "fo", "ifo"])),
        {"learned_start": True},
        {"window": 4, "upper_window": 3},
        {"window": 3, "layer_norm": True, "learned_start": True, "pooling": "ifo"},
        {"highway": True, "zoneout": 0.2},
        {"highway": True, "layer_norm": True, "window": 1},
    ],
}
TRANSFORMER = {"num_layers": 2, "num_heads": 2, "feed_forward": 5, "positions": 9}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    name: [
        {"hidden_size": 3, "bidirectional": side, **options}
        for side, options in product(SIDES, [*cells, *STACKS])
    ]
    for name, cells in CELLS.items()
} | {
    "conv": [
        {"hidden_size": width, **options}
        for width, options in product(
            (WIDTH, 6),
            [
                {"num_layers": 2},
                {"num_layers": 2, "causal": True},
                {"window": 3, "pieces": 2},
                {"num_layers": 3, "window": 2, "causal": True, "activation": "gated"},
                {"num_layers": 1, "window": 2, "activation": "gated"},
                {"num_layers": 2, "weight_norm": True},
            ],
        )
    ],
    "transformer": [
        {"hidden_size": width, "relative_positions": width == 6, **TRANSFORMER} for width in (4, 6)
    ],
}
RANDOM = [
    "dropout", "input_dropout", "weight_drop", "zoneout", "zoneout_hidden", "recurrent_dropout",
    "update_dropout",
]  # fmt: skip
"""Options that are probabilities of a random change in training."""
LENGTHS = [5, 2, 4, 0]
ALL = variants(TRUNKS, OPTIONS)
trunks = over(ALL, every=3)  # of each row of options one side
one_way = over([v for v in ALL if v.option("bidirectional") is False or v.option("causal")])
two_stacks = over([v for v in ALL if v.option("bidirectional") is True])
interleaved = over([v for v in ALL if v.option("bidirectional") == "interleaved"])


@trunks
def test_each_parameter_belongs_to_one_layer(variant: Variant) -> None:
    trunk = variant.make(WIDTH)
    layers = trunk.layer_parameters()
    names = {id(p): name for name, p in trunk.named_parameters()}
    found = [names[id(parameter)] for layer in layers for parameter in layer]
    assert sorted(found) == sorted(names.values())
    assert len(layers) in (1, trunk.num_layers)


def random_options(variant: Variant) -> list[str]:
    return [name for name in RANDOM if variant.option(name) is not None]


def still(variant: Variant, **more: float) -> Trunk:
    """The trunk with no other randomness than that asked for."""
    return shaken(variant.make(WIDTH, **{**dict.fromkeys(random_options(variant), 0.0), **more}))


def made(variant: Variant) -> Trunk:
    return shaken(variant.make(WIDTH))


def text() -> tuple[Tensor, Tensor]:
    mask = prefix_mask(LENGTHS)
    return torch.randn(*mask.shape, WIDTH).double() * mask.unsqueeze(-1), mask


def changed_tokens(trunk: Trunk, at: int, layer: int) -> Tensor:
    """Where a layer changes when one token of a sentence does, `[T, H]` bool."""
    x, mask = torch.randn(1, 5, WIDTH).double(), prefix_mask([5])
    other = x.clone()
    other[0, at] += 1
    before, after = trunk(x, mask)[0][layer], trunk(other, mask)[0][layer]
    return ((before - after).abs() > 1e-12)[0]


@trunks
def test_layers_have_the_promised_sizes(variant: Variant) -> None:
    trunk, (x, mask) = made(variant), text()
    layers, state = trunk(x, mask)
    assert [layer.shape for layer in layers] == [(*mask.shape, size) for size in trunk.sizes]
    assert trunk.sizes[0] == WIDTH
    assert len(trunk.sizes) == trunk.num_layers + 1
    assert layers[0] is x
    assert state is None


@trunks
def test_padding_is_zero_and_changes_nothing(variant: Variant) -> None:
    trunk, (x, mask) = made(variant), text()
    dirty = trunk(with_garbage(x, mask, more=2), widened(mask, 2))[0]
    for clean, other in zip(trunk(x, mask)[0][1:], dirty[1:], strict=True):
        assert not clean[~mask].any()
        assert not other[:, mask.shape[1] :].any()
        torch.testing.assert_close(other[:, : mask.shape[1]], clean)


@trunks
def test_neighbours_change_nothing(variant: Variant) -> None:
    trunk, (x, mask) = made(variant), text()
    together = trunk(x, mask)[0][-1]
    for row, length in enumerate(LENGTHS):
        alone = slice(row, row + 1), slice(0, max(length, 1))
        torch.testing.assert_close(trunk(x[alone], mask[alone])[0][-1], together[alone])


@trunks
def test_the_order_of_sentences_changes_nothing(variant: Variant) -> None:
    trunk, (x, mask) = made(variant), text()
    order = torch.tensor([3, 1, 0, 2])
    torch.testing.assert_close(trunk(x[order], mask[order])[0][-1], trunk(x, mask)[0][-1][order])


@trunks
def test_forward_loops_step(variant: Variant) -> None:
    trunk, (x, mask) = made(variant), text()
    hidden = [x]
    for i in range(1, trunk.num_layers + 1):
        hidden.append(trunk.step(i, hidden, mask, None)[0])
    assert all(torch.equal(a, b) for a, b in zip(hidden, trunk(x, mask)[0], strict=True))


@one_way
def test_a_text_in_pieces_equals_the_whole(variant: Variant) -> None:
    trunk, (x, mask) = made(variant), text()
    whole, end = trunk(x, mask, trunk.initial_state(len(x)))
    first, middle = trunk(x[:, :2], mask[:, :2], trunk.initial_state(len(x)))
    rest, after = trunk(x[:, 2:], mask[:, 2:], middle)
    for i, layer in enumerate(whole):
        torch.testing.assert_close(torch.cat([first[i], rest[i]], dim=1), layer)
    torch.testing.assert_close(after, end)


@one_way
def test_texts_may_be_cut_at_different_places(variant: Variant) -> None:
    trunk, x = made(variant), torch.randn(4, 5, WIDTH).double()
    ((first, first_mask), (rest, rest_mask)), texts = ragged_pieces(x)
    before, middle = trunk(first, first_mask, trunk.initial_state(4))
    after, _ = trunk(rest, rest_mask, middle)
    for row, text in enumerate(texts):
        whole = trunk(text, prefix_mask([text.shape[1]]))[0][-1][0]
        found = before[-1][row][first_mask[row]], after[-1][row][rest_mask[row]]
        torch.testing.assert_close(torch.cat(found), whole)


@trunks
def test_a_state_from_the_start_changes_nothing(variant: Variant) -> None:
    trunk, (x, mask) = made(variant), text()
    carried = trunk(x, mask, trunk.initial_state(len(x)))[0][-1]
    torch.testing.assert_close(carried, trunk(x, mask)[0][-1])


@one_way
def test_one_direction_never_sees_the_future(variant: Variant) -> None:
    changed = changed_tokens(made(variant), at=2, layer=-1)
    assert not changed[:2].any()
    assert changed[2:].any(1).all()


@two_stacks
@pytest.mark.parametrize("layer", [1, -1])
def test_each_of_two_stacks_sees_one_side_alone(variant: Variant, layer: int) -> None:
    ahead, back = changed_tokens(made(variant), at=2, layer=layer).chunk(2, dim=1)
    assert not ahead[:2].any()
    assert not back[3:].any()
    assert ahead[2:].any(1).all()
    assert back[:3].any(1).all()


@two_stacks
def test_the_forward_stack_carries_its_state(variant: Variant) -> None:
    trunk, (x, mask) = made(variant), text()
    whole = trunk(x, mask)[0][-1]
    _, middle = trunk(x[:, :2], mask[:, :2], trunk.initial_state(len(x)))
    rest = trunk(x[:, 2:], mask[:, 2:], middle)[0][-1]
    torch.testing.assert_close(rest.chunk(2, dim=2)[0], whole[:, 2:].chunk(2, dim=2)[0])


@interleaved
@pytest.mark.parametrize("at", [0, 4])
def test_interleaved_layers_see_the_whole_sentence(variant: Variant, at: int) -> None:
    halves = changed_tokens(made(variant), at=at, layer=-1).chunk(2, dim=1)
    assert all(half.any(1).all() for half in halves)


@trunks
def test_gradients_reach_the_input_and_every_parameter(variant: Variant) -> None:
    # By chance dropout could leave nothing of a sentence.
    trunk, (x, mask) = still(variant).train(), text()
    x.requires_grad_()
    # Without layers, heads read the input.
    read = trunk(x, mask)[0][1 if trunk.layered else 0 :]
    torch.cat(read, dim=2).pow(2).sum().backward()
    assert x.grad[mask].isfinite().all()
    assert x.grad[mask].any(1).all()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@trunks
def test_each_random_option_acts_in_training_alone(variant: Variant) -> None:
    x, mask = text()
    for name in random_options(variant):
        trunk = still(variant, **{name: 0.5})
        assert torch.equal(trunk(x, mask)[0][-1], trunk(x, mask)[0][-1]), name
        trunk.train()
        assert not torch.equal(trunk(x, mask)[0][-1], trunk(x, mask)[0][-1]), name


@trunks
def test_without_random_options_training_equals_evaluation(variant: Variant) -> None:
    trunk, (x, mask) = still(variant), text()
    expected = trunk(x, mask)[0][-1]
    torch.testing.assert_close(trunk.train()(x, mask)[0][-1], expected)


@trunks
def test_the_input_stays_as_it_is(variant: Variant) -> None:
    trunk, (x, mask) = made(variant).train(), text()
    before = x.clone(), mask.clone()
    trunk(x, mask, trunk.initial_state(len(x)))
    assert torch.equal(x, before[0])
    assert torch.equal(mask, before[1])
