"""Weights of sentences in the training loss."""

from __future__ import annotations

import pytest
import torch

from mtl.data.encoding import Batcher
from mtl.model import ModelOutput
from mtl.targets import SentenceLabelTarget, TokenLabelTarget
from mtl.text.example import Example
from mtl.training.objective import mean_loss


def batch(weights: list[float], repeat: list[int] | None = None):
    examples = [
        Example(("a",) * (i + 1), {"s": "x", "t": ("x",) * (i + 1)}, weights={"s": w, "t": w})
        for i, w in enumerate(weights)
    ]
    if repeat is not None:
        plain = [Example(e.tokens, e.labels) for e in examples]
        examples = [e for e, times in zip(plain, repeat, strict=True) for _ in range(times)]
    targets = {"s": SentenceLabelTarget("xy"), "t": TokenLabelTarget("xy")}
    return Batcher({}, targets).batch(examples, ["s", "t"])


@pytest.mark.parametrize("task", ["s", "t"])
def test_a_weight_of_two_counts_like_two_copies(task: str) -> None:
    weighted, repeated = batch([2.0, 0.0, 1.0]), batch([2.0, 0.0, 1.0], [2, 0, 1])
    losses = torch.tensor([0.7, 5.0, 1.1])
    copies = losses.repeat_interleave(torch.tensor([2, 0, 1]))
    torch.testing.assert_close(
        mean_loss(ModelOutput({task: losses}), weighted, task, 1.0),
        mean_loss(ModelOutput({task: copies}), repeated, task, 1.0),
    )


def test_a_batch_of_weight_zero_has_no_loss() -> None:
    assert mean_loss(ModelOutput({"s": torch.tensor([0.7])}), batch([0.0]), "s", 1.0) == 0
