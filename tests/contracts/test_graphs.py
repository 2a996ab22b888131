"""Heads can be traced whole, for sentences and batches of any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mtl.heads import HEADS, Head, LanguageModel
from tests.contracts.test_heads import LABELS, OPTIONS, WIDTH
from tests.contracts.variants import Variant, over, prefix_mask, shaken, variants

# Language models pick the real tokens out, as many as there are: no size that a graph can know.
heads = over([v for v in variants(HEADS, OPTIONS) if v.cls is not LanguageModel], every=4)
EXPORTED = {"softmax", "constrained", "crf", "cnn", "attention"}
exported = over(
    [
        v
        for v in variants(HEADS, OPTIONS)
        # The windows of key_value make torch fix the number of tokens.
        if v.name in EXPORTED
        and v.option("attention") != "key_value"
        and not v.option("rules")  # not exported, and so are transitions that depend on the input
        and v.option("transitions") != "input"
    ],
    every=4,
)


class Decoder(nn.Module):
    """The exported program: from hidden states to labels."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return self.head.decode(hidden, mask)


def text(*lengths: int) -> tuple[Tensor, Tensor]:
    mask = prefix_mask(lengths)
    return torch.randn(*mask.shape, WIDTH).double(), mask


# torch warns of itself when it traces an autograd function.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@heads
def test_the_loss_compiles_without_a_break(variant: Variant) -> None:
    head = shaken(variant.make(WIDTH, LABELS))
    hidden, mask = text(4, 1, 3)
    target = torch.zeros(mask.shape if head.level == "token" else 3, dtype=torch.long)
    torch.compiler.reset()  # it refuses to compile one function for ever more modules
    compiled = torch.compile(head.loss, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(hidden, mask, target), head.loss(hidden, mask, target))


@exported
def test_an_exported_head_predicts_the_same_labels_for_other_sizes(variant: Variant) -> None:
    head = Decoder(shaken(variant.make(WIDTH, LABELS)))
    sizes = {0: torch.export.Dim("B"), 1: torch.export.Dim("T")}
    program = torch.export.export(head, text(4, 1, 3), dynamic_shapes=(sizes, sizes)).module()
    hidden, mask = text(7, 2, 5, 1, 6)
    assert torch.equal(program(hidden, mask), head(hidden, mask))
