"""The deep convolutional classifier, against loops over single texts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mtl.heads import CNNClassifier, DeepCNNClassifier
from mtl.options import RunContext
from tests.contracts.variants import prefix_mask, shaken, widened, with_garbage

LENGTHS = [9, 1, 4, 0, 6]


def text() -> tuple[Tensor, Tensor]:
    return torch.randn(len(LENGTHS), 9, 5).double(), prefix_mask(LENGTHS)


def convolved(layer: Any, x: list[Tensor]) -> list[Tensor]:
    """One layer in evaluation, position by position."""
    width, (left, _) = layer.filters.kernel_size[0], layer.beside
    bias = 0 if layer.filters.bias is None else layer.filters.bias
    found = []
    for t in range(len(x)):
        value = torch.zeros(len(layer.filters.weight)).double() + bias
        for i in range(width):
            if 0 <= t + i - left < len(x):
                value = value + layer.filters.weight[..., i] @ x[t + i - left]
        if norm := layer.norm:
            value = (value - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
            value = value * norm.weight + norm.bias
        found.append(value)
    return found


def by_formula(head: DeepCNNClassifier, x: list[Tensor]) -> Tensor:
    """The sentence vector of one text."""
    scores: list[Tensor] = []
    for number, stage in enumerate(head.stages):
        if number:
            x = [torch.stack(x[i : i + head.pool]).amax(0) for i in range(0, len(x), head.pool)]
        for layer in stage:
            scores = convolved(layer, x)
            x = [value.relu() for value in scores]
    kept = []
    for values in torch.stack(scores, 1).tolist():  # one list per filter
        largest = sorted(sorted(range(len(values)), key=lambda t: -values[t])[: head.k])
        own = [max(0.0, values[t]) for t in largest]
        kept += own + [0.0] * (head.k - len(own))
    return head.hidden(torch.tensor(kept).double())


def options(**chosen: Any) -> dict[str, Any]:
    return {"layers": (2, 1), "widths": (3, 2), "maps": 4, "k": 2, **chosen}


@pytest.mark.parametrize(
    "chosen",
    [{}, {"batch_norm": False, "pool": 3}, {"doubling": False, "hidden_size": 7, "k": 1}],
    ids=str,
)
@torch.no_grad()
def test_the_vectors_are_those_of_the_formula(chosen: dict[str, Any]) -> None:
    head, (hidden, mask) = shaken(DeepCNNClassifier(5, ["a", "b"], **options(**chosen))), text()
    for module in head.modules():
        if hasattr(module, "running_var"):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    found = head.sentence(hidden, mask)
    for row, length in enumerate(LENGTHS):
        if length:
            torch.testing.assert_close(found[row], by_formula(head, list(hidden[row, :length])))


def test_in_training_padding_changes_neither_losses_nor_averages() -> None:
    torch.manual_seed(3)
    heads = [shaken(DeepCNNClassifier(5, ["a", "b"], **options(dropout=0.0))) for _ in range(2)]
    heads[1].load_state_dict(heads[0].state_dict())
    (hidden, mask), target = text(), torch.tensor([0, 1, 0, 1, 1])
    plain = heads[0].train().loss(hidden, mask, target)
    padded = heads[1].train().loss(with_garbage(hidden, mask, 3), widened(mask, 3), target)
    torch.testing.assert_close(padded, plain)
    for name, value in heads[0].state_dict().items():
        torch.testing.assert_close(heads[1].state_dict()[name], value)


def test_a_single_short_text_can_be_trained_on() -> None:
    head = DeepCNNClassifier(5, ["a", "b"], **options())
    loss = head.train().loss(torch.randn(1, 1, 5), torch.ones(1, 1).bool(), torch.tensor([1]))
    loss.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_the_filters_of_a_shallow_network_can_be_normalised() -> None:
    head, (hidden, mask) = CNNClassifier(5, ["a"], widths=(2,), maps=3, batch_norm=True), text()
    head.double().train()
    found = head.sentence(hidden, mask)
    windows = [  # a text shorter than the filter has one window
        functional.pad(row, (0, 0, 0, max(0, 2 - len(row)))).unfold(0, 2, 1)
        for row in (h[m] for h, m in zip(hidden, mask, strict=True))
    ]
    values = [
        torch.einsum("thw,chw->tc", own, head.filters[0].weight) + head.filters[0].bias
        for own in windows
    ]
    normed = functional.batch_norm(torch.cat(values), None, None, training=True)
    parts = normed.split([len(own) for own in values])
    torch.testing.assert_close(found, torch.stack([part.amax(0).relu() for part in parts]))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"layers": ()}, "layers: expected at least one stage"),
        ({"widths": (3, 3, 3)}, "widths: expected 1 or 2 widths, as there are 2 stages, got 3"),
    ],
)
def test_impossible_stages_are_an_error(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeepCNNClassifier(5, ["a"], **options(**chosen))


@pytest.mark.parametrize("head", [CNNClassifier, DeepCNNClassifier])
def test_several_processes_would_have_different_averages(head: type) -> None:
    context = RunContext(("a",), task="a", single=frozenset("a"), processes=2)
    (error,) = head.check({"batch_norm": True}, context)
    assert (error.option, "train in one process" in str(error)) == ("batch_norm", True)
    assert not [*head.check({"batch_norm": False}, context)]
