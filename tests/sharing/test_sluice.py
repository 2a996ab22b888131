"""Sluice networks: the sharings that they contain, and what keeps subspaces apart."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from mtl.errors import ConfigError
from mtl.sharing import CrossStitch, Hard, Sluice
from mtl.trunks import GRUTrunk, LSTMTrunk, QRNNTrunk, TransformerTrunk, Trunk
from tests.contracts.variants import shaken
from tests.training.runs import epochs_of, prepared, trainer

TASKS = ["a", "b", "c"]
RUN = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
TRANSFORMER = {"num_layers": 1, "hidden_size": 4, "num_heads": 2, "positions": 9}


def trunk() -> LSTMTrunk:
    return LSTMTrunk(4, num_layers=2, hidden_size=4)


def made(**options: Any) -> Sluice:
    return shaken(Sluice(TASKS, trunk, **options))


def text() -> tuple[Tensor, Tensor]:
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    return torch.randn(2, 5, 4).double() * mask.unsqueeze(-1), mask


def share_all(sharing: Sluice) -> Hard:
    """Let all tasks read the subspaces of the first; return the hard sharing that this is."""
    cuts = sharing.subspaces
    for alpha in sharing.alpha:
        alpha.data.zero_()
        alpha.data[:, :cuts] = torch.eye(cuts).double().repeat(len(TASKS), 1)
    hard = Hard(TASKS, trunk).double().eval()
    hard.trunk.load_state_dict(sharing.trunks[TASKS[0]].state_dict())
    return hard


def test_ruder_2019_hard_sharing_is_a_special_case() -> None:
    sharing, (x, mask) = made(), text()
    hard = share_all(sharing)
    sharing.beta.data.copy_(torch.tensor([0.0, 1.0]))
    expected = hard(x, mask, TASKS)["a"].layers
    for encoded in sharing(x, mask, TASKS).values():
        torch.testing.assert_close(encoded.layers, [*expected, expected[-1]])


def test_ruder_2019_low_supervision_is_a_special_case() -> None:
    sharing, (x, mask) = made(), text()
    hard = share_all(sharing)
    sharing.beta.data.copy_(torch.tensor([[1, 0], [0, 1], [0, 1]]))
    expected = hard(x, mask, TASKS)["a"].layers
    for (task, encoded), layer in zip(sharing(x, mask, TASKS).items(), (1, 2, 2), strict=True):
        torch.testing.assert_close(encoded.layers[-1], expected[layer], msg=task)


@pytest.mark.parametrize("subspaces", [1, 2, 4])
def test_ruder_2019_cross_stitch_units_are_a_special_case(subspaces: int) -> None:
    sharing, (x, mask) = made(subspaces=subspaces), text()
    stitched = shaken(CrossStitch(TASKS, trunk))
    stitched.trunks.load_state_dict(sharing.trunks.state_dict())
    sharing.beta.data.copy_(torch.tensor([0.0, 1.0]))
    for ours, theirs in zip(sharing.alpha, stitched.alpha, strict=True):
        ours.data.copy_(torch.kron(theirs, torch.eye(subspaces).double()))
    expected = stitched(x, mask, TASKS)
    for task, encoded in sharing(x, mask, TASKS).items():
        torch.testing.assert_close(encoded.layers[:-1], expected[task].layers)
        torch.testing.assert_close(encoded.layers[-1], encoded.layers[-2])


def test_ruder_2019_equation_3_subspaces_are_mixed_and_directions_apart() -> None:
    sharing, (x, mask) = made(), text()
    outputs = [t.step(1, [x], mask, None)[0] for t in sharing.trunks.values()]
    subspaces = [  # of width 2 in each of two directions
        torch.cat([output[..., s : s + 2], output[..., 4 + s : 6 + s]], dim=-1)
        for output in outputs
        for s in (0, 2)
    ]
    mixed = [sum(a * h for a, h in zip(row, subspaces, strict=True)) for row in sharing.alpha[0]]
    for i, encoded in enumerate(sharing(x, mask, TASKS).values()):
        first, second = (m.chunk(2, dim=-1) for m in mixed[2 * i : 2 * i + 2])
        expected = torch.cat([first[0], second[0], first[1], second[1]], dim=-1)
        torch.testing.assert_close(encoded.layers[1], expected)


def test_heads_read_a_mixture_of_the_layers() -> None:
    sharing, (x, mask) = made(), text()
    for (_, *layers), beta in zip(
        (e.layers for e in sharing(x, mask, TASKS).values()), sharing.beta, strict=True
    ):
        torch.testing.assert_close(layers[2], beta[0] * layers[0] + beta[1] * layers[1])


@pytest.mark.parametrize("subspaces", [2, 4])
def test_two_stacks_stay_independent(subspaces: int) -> None:
    sharing, (x, mask) = made(subspaces=subspaces), text()
    changed = x.clone()
    changed[0, 2] += 1
    before, after = (sharing(given, mask, ["b"])["b"].layers[-1][0] for given in (x, changed))
    ahead, back = (before != after).chunk(2, dim=1)
    assert [*ahead.all(1), *back.all(1)] == [False] * 2 + [True] * 6 + [False] * 2
    assert not ahead[:2].any()
    assert not back[3:].any()


def unit_weights(trunk: Any, layer: int, way: int, unit: int) -> Tensor:
    """All weights of the gates of a unit, in any order."""
    if isinstance(trunk, QRNNTrunk):
        weight = trunk.layers[layer].layer.weight.chunk(2, dim=2)[way]
        return weight[:, :, unit::4].flatten()
    rnn = (trunk.layers[layer].ahead, trunk.layers[layer].back)[way].rnn
    return torch.cat([w[unit::4].flatten() for w in (rnn.weight_ih_l0, rnn.weight_hh_l0)])


@pytest.mark.parametrize("cls", [LSTMTrunk, GRUTrunk, QRNNTrunk])
def test_orthogonality_counts_pairs_of_units_of_two_subspaces_of_a_task(cls: Any) -> None:
    sharing = shaken(
        Sluice(TASKS, lambda: cls(4, num_layers=2, hidden_size=4), orthogonality=0.5)
    ).train()
    expected = sum(
        (unit_weights(t, layer, way, u) @ unit_weights(t, layer, way, v)) ** 2
        for t in sharing.trunks.values()
        for layer, way, u, v in product((0, 1), (0, 1), (0, 1), (2, 3))
    )
    for encoded in sharing(*text(), TASKS).values():
        torch.testing.assert_close(encoded.penalties["orthogonality"], 0.5 * expected)


@pytest.mark.parametrize("options", [{"orthogonality": 0.0}, {"subspaces": 1}])
def test_without_weight_or_subspaces_there_is_no_penalty(options: dict[str, Any]) -> None:
    assert not made(**options).train()(*text(), ["a"])["a"].penalties


def test_shares_start_with_their_own_subspace_and_the_last_layer() -> None:
    found = Sluice(TASKS, trunk).learnt()
    assert list(found) == ["alpha.1", "alpha.2", "beta"]
    torch.testing.assert_close(found["alpha.1"].diagonal(), torch.full((6,), 0.9))
    torch.testing.assert_close(found["alpha.1"].sum(1), torch.ones(6))
    torch.testing.assert_close(found["beta"], torch.tensor([[0.1, 0.9]] * 3))


def test_rows_and_columns_have_names() -> None:
    sharing = Sluice(["a", "b"], trunk)
    subspaces = ["a.1", "a.2", "b.1", "b.2"]
    alphas = dict.fromkeys(["alpha.1", "alpha.2"], (subspaces, subspaces))
    assert sharing.axes() == {**alphas, "beta": (["a", "b"], ["1", "2"])}


def test_of_one_layer_heads_read_all() -> None:
    sharing = Sluice(TASKS, lambda: LSTMTrunk(4, num_layers=1, hidden_size=4))
    assert sharing.beta.tolist() == [[1.0]] * 3


def test_gradients_agree_with_differences() -> None:
    sharing, (x, mask) = made().train(), text()
    sharing.apply(lambda module: setattr(module, "p", 0.0))  # no dropout
    values = {n: p.detach().requires_grad_() for n, p in sharing.named_parameters()}

    def encode(*given: Tensor) -> tuple[Tensor, ...]:
        (a,) = functional_call(
            sharing, dict(zip(values, given, strict=True)), (x, mask, ["a"])
        ).values()
        return a.layers[-1].sum(1), a.penalties["orthogonality"]

    assert torch.autograd.gradcheck(encode, [*values.values()], fast_mode=True)


def test_units_that_cannot_be_cut_are_told_before_training(tmp_path: Path) -> None:
    message = "sharing.subspaces: 8 units per direction cannot be divided into 3 equal parts"
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, RUN, sharing={"type": "sluice", "subspaces": 3})


def test_a_weight_for_a_single_subspace_is_told_before_training(tmp_path: Path) -> None:
    sharing = {"type": "sluice", "subspaces": 1}
    prepared(tmp_path, RUN, sharing=sharing)
    with pytest.raises(ConfigError, match="orthogonality: has no effect with one subspace"):
        prepared(tmp_path, RUN, sharing={**sharing, "orthogonality": 1.0})


def test_layers_of_two_widths_cannot_be_mixed() -> None:
    class Uneven(LSTMTrunk):
        def __init__(self) -> None:
            super().__init__(4, hidden_size=4)
            self.sizes[-1] += 2

    with pytest.raises(ValueError, match=r"layers of widths \[8, 10\] cannot be mixed"):
        Sluice(TASKS, Uneven)


def test_of_transformers_weights_into_two_subspaces_are_kept_apart() -> None:
    def transformer() -> TransformerTrunk:
        return TransformerTrunk(4, feed_forward=5, **TRANSFORMER)

    sharing = shaken(Sluice(TASKS, transformer, orthogonality=0.5)).train()
    expected = 0.0
    for own in sharing.trunks.values():
        (layer,) = own.layers
        for u, v in product((0, 1), (2, 3)):
            rows = [[w.weight[unit] for w in (layer.output, layer.narrow)] for unit in (u, v)]
            expected += (rows[0][0] @ rows[1][0] + rows[0][1] @ rows[1][1]) ** 2
    for encoded in sharing(*text(), TASKS).values():
        torch.testing.assert_close(encoded.penalties["orthogonality"], 0.5 * expected)


def test_trunks_that_do_not_separate_units_are_refused() -> None:
    class Whole(LSTMTrunk):
        unit_weights = Trunk.unit_weights

    with pytest.raises(ValueError, match=r"orthogonality: .* of its units; set it to 0"):
        Sluice(TASKS, lambda: Whole(4, hidden_size=4))


@pytest.mark.parametrize(
    "size",
    [
        {"type": "lstm", "hidden_size": 8, "num_layers": 2},
        {**TRANSFORMER, "type": "transformer", "feed_forward": 8, "positions": 600},
    ],
)
def test_subspaces_of_a_run_become_orthogonal(size: dict[str, Any], tmp_path: Path) -> None:
    sharing = {"type": "sluice", "orthogonality": 10.0}
    made = trainer(tmp_path, RUN, trunk=size, sharing=sharing, epochs=4)
    overlap = made.model.sharing.overlap().item()
    *_, last = epochs_of(made.run())
    assert all(value < 5 for value in last.losses.values())
    assert made.model.sharing.overlap().item() < 0.2 * overlap


def test_a_run_learns_what_tasks_share(tmp_path: Path) -> None:
    made = trainer(tmp_path, RUN, sharing={"type": "sluice", "orthogonality": 0.1}, epochs=10)
    before = {name: value.clone() for name, value in made.model.sharing.learnt().items()}
    overlap = made.model.sharing.overlap().item()
    first, *_, last = epochs_of(made.run())
    assert sum(last.losses.values()) < 0.7 * sum(first.losses.values())
    assert made.model.sharing.overlap().item() < 0.5 * overlap
    assert all((value != before[n]).all() for n, value in made.model.sharing.learnt().items())
