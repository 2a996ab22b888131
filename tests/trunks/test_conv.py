"""What a stack of convolutions reads, and the language models that it is for."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.errors import ConfigError
from mtl.options import RunContext
from mtl.sharing import SHARING, Sluice
from mtl.trunks import ConvTrunk
from tests.contracts.variants import prefix_mask, shaken
from tests.training.runs import prepared

WIDTH = 5


def changed(trunk: ConvTrunk, at: int, length: int = 12) -> list[int]:
    """The tokens whose last output changes when one token does."""
    x, mask = torch.randn(1, length, WIDTH).double(), prefix_mask([length])
    other = x.clone()
    other[0, at] += 1
    before, after = (trunk(given, mask)[0][-1][0] for given in (x, other))
    return (before != after).any(1).nonzero().flatten().tolist()


@pytest.mark.parametrize(("layers", "window"), [(1, 1), (3, 1), (2, 2), (1, 4)])
def test_a_token_reads_as_many_neighbours_as_windows_reach(layers: int, window: int) -> None:
    options = {"num_layers": layers, "hidden_size": 6, "window": window}
    reach = layers * window
    both = shaken(ConvTrunk(WIDTH, **options))
    assert changed(both, at=5) == list(range(5 - reach, 5 + reach + 1))
    left = shaken(ConvTrunk(WIDTH, causal=True, **options))
    assert changed(left, at=5) == list(range(5, 5 + reach + 1))


def test_the_first_layer_starts_from_vectors_of_its_width() -> None:
    trunk = shaken(ConvTrunk(WIDTH, num_layers=2, hidden_size=6))
    x, mask = torch.randn(2, 3, WIDTH).double(), prefix_mask([3, 1])
    widened = x @ trunk.widen.weight.T + trunk.widen.bias
    expected, _ = trunk.layers[0](widened, mask)
    torch.testing.assert_close(trunk(x, mask)[0][1], expected)
    assert not list(ConvTrunk(6, hidden_size=6).widen.parameters())


def test_sight_depends_on_causal() -> None:
    assert ConvTrunk.sight({"causal": False}) == "both"
    assert ConvTrunk.sight({"causal": True}) == "left"


@pytest.mark.parametrize(
    ("causal", "word", "refused"),
    [
        (False, "next", "have read the word that task 'a' predicts; set it to true"),
        (False, "previous", "have read the word that task 'a' predicts"),
        (True, "previous", "which causal layers have just read"),
        (True, "next", None),
        (True, "same", None),
        (False, "same", None),
    ],
)
def test_language_models_need_causal_layers(causal: bool, word: str, refused: str | None) -> None:
    context = RunContext(tasks=("a",), texts={"a": word})
    options = {"causal": causal, "init": None}
    errors = [str(error) for error in ConvTrunk.check(options, context)]
    assert len(errors) == (refused is not None)
    assert all(refused in error for error in errors)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", list(SHARING))
@pytest.mark.parametrize(("causal", "norm"), [(False, False), (True, False), (True, True)])
def test_every_sharing_combines_convolutions(name: str, causal: bool, norm: bool) -> None:
    def trunk() -> ConvTrunk:
        return ConvTrunk(WIDTH, num_layers=2, hidden_size=6, causal=causal, weight_norm=norm)

    tasks, lengths = ["a", "b", "c"], [5, 2, 4]
    options = {"old": ["a"]} if name == "progressive" else {}
    sharing = shaken(SHARING.find(name)(tasks, trunk, **options))
    x, mask = torch.randn(3, 5, WIDTH).double(), prefix_mask(lengths)
    whole = sharing(x, mask, tasks)
    for task in tasks:
        top = whole[task].layers[-1]
        assert top.shape[:2] == mask.shape
        assert not top[~mask].any()
        alone = sharing(x[1:2, :2], mask[1:2, :2], [task])[task].layers[-1]
        torch.testing.assert_close(alone, top[1:2, :2])
    if causal:
        first = sharing(x[:, :2], mask[:, :2], tasks, sharing.initial_state(3))
        for task in tasks:
            rest = sharing(x[:, 2:], mask[:, 2:], [task], first[task].state)[task].layers[-1]
            torch.testing.assert_close(rest, whole[task].layers[-1][:, 2:])


def unit_weights(trunk: ConvTrunk, layer: int, unit: int) -> Tensor:
    return trunk.layers[layer].product.weight[unit :: trunk.sizes[-1]].flatten()


@pytest.mark.parametrize("activation", ["maxout", "gated"])
def test_orthogonality_counts_pairs_of_units_of_two_subspaces(activation: str) -> None:
    def trunk() -> ConvTrunk:
        return ConvTrunk(4, num_layers=2, hidden_size=4, activation=activation)

    sharing = shaken(Sluice(["a", "b"], trunk, orthogonality=0.5)).train()
    expected = sum(
        (unit_weights(t, layer, u) @ unit_weights(t, layer, v)) ** 2
        for t in sharing.trunks.values()
        for layer, u, v in product((0, 1), (0, 1), (2, 3))
    )
    mask = prefix_mask([3, 2])
    found = sharing(torch.randn(2, 3, 4).double(), mask, ["a"])["a"].penalties["orthogonality"]
    torch.testing.assert_close(found, 0.5 * expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pieces": 1}, "pieces"),
        ({"window": 0}, "window"),
        ({"activation": "gated", "pieces": 4}, "has no effect unless activation is maxout"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    trunk = {"type": "conv", "hidden_size": 4, "num_layers": 1, **options}
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, {"pos": {"use": "c/pos"}}, trunk=trunk)
