"""Contracts of all sharings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl.sharing import SHARING, Sharing, TrunkOutput
from mtl.trunks import LSTMTrunk
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

PENALTIES = ["distance", "mean", "trace", "l1_l2", "l1_linf", "relationship"]
PENALTIES += ["dirty", "graph", "subspace", "tensor_normal"]
OPTIONS: dict[str, list[dict[str, object]]] = {
    "cross_stitch": [{}, {"alpha": "channel"}],
    "sluice": [{"subspaces": n} for n in (1, 3)],
    "soft": [{"penalty": name} for name in PENALTIES]
    + [
        {"penalty": "clustered", "clusters": [["a", "c"], ["b"]]},
        {"penalty": "clustered", "num_clusters": 2},
        {"penalty": "tree", "tree": [["a", "c"], "b"]},
    ],
    "hierarchical": [{}, {"order": ["c", "a", "b"], "label_dim": 0, "successive": 0.1}],
    "easy_adapt": [{}, {"groups": [["a", "c"], ["b"]]}],
    "progressive": [
        {"old": ["a"], "adapter_size": 2},
        {"old": ["a", "c"]},
        {"old": ["a"], "adapter_size": 0},
    ],
    "branches": [{}, {"by_layer": [[["a", "c"], ["b"]]]}],
    "ple": [{}, {"experts": 2, "shared_experts": 2}, {"progressive": False}],
    "tensor": [{"factors": name} for name in ("last_axis", "tucker", "tensor_train")]
    + [{"factors": "last_axis", "sparsity": 0.1}],
    "shared_private": [
        {},
        {"adversary": 0.1, "difference": 0.1},
        {"difference": 0.1, "shared_only": ["b"]},
    ],
}
TASKS = ["a", "b", "c"]
WIDTH = 4
LENGTHS = [5, 2, 4]
sharings = over(variants(SHARING, OPTIONS))


def trunk() -> LSTMTrunk:
    return LSTMTrunk(WIDTH, num_layers=2, hidden_size=3, bidirectional=False, dropout=0)


def made(variant: Variant) -> Sharing:
    return shaken(variant.make(TASKS, trunk))


def text() -> tuple[Tensor, Tensor]:
    mask = prefix_mask(LENGTHS)
    return torch.randn(*mask.shape, WIDTH).double() * mask.unsqueeze(-1), mask


def tops(found: dict[str, TrunkOutput]) -> dict[str, Tensor]:
    return {task: encoded.layers[-1] for task, encoded in found.items()}


def trained_by(sharing: Sharing, task: str) -> set[nn.Parameter]:
    """The parameters that the layers a task reads depend on."""
    x, mask = text()
    sharing.zero_grad(set_to_none=True)
    layers = sharing(x, mask, [task])[task].layers[1:]
    torch.cat(layers, dim=2).pow(2).sum().backward()
    return {p for p in sharing.parameters() if p.grad is not None and p.grad.any()}


def penalties(sharing: Sharing, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """The penalties of a batch for each task, under its name; sharings may mark them as one."""
    return {
        f"{task} {name}": penalty
        for task in TASKS
        for name, penalty in sharing(x, mask, [task])[task].penalties.items()
    }


@sharings
def test_exactly_the_tasks_asked_for_are_encoded(variant: Variant) -> None:
    sharing, (x, mask) = made(variant), text()
    assert set(sharing(x, mask, ["b"])) == {"b"}
    assert set(sharing(x, mask, ["c", "a"])) == {"a", "c"}


@sharings
def test_layers_have_the_promised_sizes(variant: Variant) -> None:
    sharing, (x, mask) = made(variant), text()
    for task, encoded in sharing(x, mask, TASKS).items():
        shapes = [layer.shape for layer in encoded.layers]
        assert shapes == [(*mask.shape, size) for size in sharing.sizes_of(task)]
        assert encoded.layers[0] is x


@sharings
def test_penalties_are_finite_scalars_in_training_alone(variant: Variant) -> None:
    sharing, (x, mask) = made(variant), text()
    assert not penalties(sharing, x, mask)
    found = penalties(sharing.train(), x, mask)
    assert all(p.ndim == 0 and p.isfinite() for p in found.values())


@sharings
def test_padding_changes_no_penalty(variant: Variant) -> None:
    sharing, (x, mask) = made(variant).train(), text()
    dirty = penalties(sharing, with_garbage(x, mask, more=2), widened(mask, 2))
    torch.testing.assert_close(dirty, penalties(sharing, x, mask))


@sharings
def test_padding_changes_nothing(variant: Variant) -> None:
    sharing, (x, mask) = made(variant), text()
    dirty = tops(sharing(with_garbage(x, mask, more=2), widened(mask, 2), TASKS))
    for task, clean in tops(sharing(x, mask, TASKS)).items():
        assert not clean[~mask].any()
        torch.testing.assert_close(dirty[task][:, : mask.shape[1]], clean)


@sharings
def test_the_output_of_a_task_does_not_depend_on_the_other_tasks(variant: Variant) -> None:
    sharing, (x, mask) = made(variant), text()
    together = tops(sharing(x, mask, TASKS))
    for task in TASKS:
        torch.testing.assert_close(tops(sharing(x, mask, [task]))[task], together[task])


@sharings
def test_a_text_in_pieces_equals_the_whole(variant: Variant) -> None:
    sharing, (x, mask) = made(variant), text()
    first = sharing(x[:, :2], mask[:, :2], TASKS, sharing.initial_state(len(x)))
    carried = first[TASKS[0]].state
    rest = sharing(x[:, 2:], mask[:, 2:], TASKS, carried)
    for task, whole in tops(sharing(x, mask, TASKS)).items():
        pieces = torch.cat([tops(first)[task], tops(rest)[task]], dim=1)
        torch.testing.assert_close(pieces, whole)


@sharings
def test_texts_may_be_cut_at_different_places(variant: Variant) -> None:
    sharing, x = made(variant), torch.randn(4, 5, WIDTH).double()
    ((first, first_mask), (rest, rest_mask)), texts = ragged_pieces(x)
    before = sharing(first, first_mask, TASKS, sharing.initial_state(4))
    after = tops(sharing(rest, rest_mask, TASKS, before["a"].state))
    for row, text in enumerate(texts):
        whole = tops(sharing(text, prefix_mask([text.shape[1]]), TASKS))
        for task in TASKS:
            found = tops(before)[task][row][first_mask[row]], after[task][row][rest_mask[row]]
            torch.testing.assert_close(torch.cat(found), whole[task][0])


@sharings
def test_no_state_is_carried_unless_one_is_given(variant: Variant) -> None:
    sharing, (x, mask) = made(variant), text()
    assert all(encoded.state is None for encoded in sharing(x, mask, TASKS).values())


@sharings
def test_shared_parameters_are_those_that_several_tasks_train(variant: Variant) -> None:
    sharing = made(variant)
    trained = [trained_by(sharing, task) for task in TASKS]
    several = {p for p in sharing.parameters() if sum(p in own for own in trained) > 1}
    assert set(sharing.shared_parameters()) == several


@sharings
def test_a_task_or_a_penalty_trains_every_parameter(variant: Variant) -> None:
    sharing = made(variant).train()
    trained = set.union(*(trained_by(sharing, task) for task in TASKS))
    sharing.zero_grad(set_to_none=True)
    torch.autograd.backward([*penalties(sharing, *text()).values()])
    trained |= {p for p in sharing.parameters() if p.grad is not None and p.grad.any()}
    assert trained == set(sharing.parameters())


@sharings
def test_names_are_as_many_as_what_was_learnt_has_entries(variant: Variant) -> None:
    sharing = made(variant)
    learnt = sharing.learnt()
    assert all(values.ndim <= 2 for values in learnt.values())
    for name, axes in sharing.axes().items():
        assert tuple(map(len, axes)) == tuple(learnt[name].shape)
